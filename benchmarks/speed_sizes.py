"""What flows the speed benchmark compares, and at which sizes: the same for every library."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

DIM, ROWS, BATCH, DRAWS = 8, 10_000, 256, 10_000
LAYERS, WIDTH, DEPTH, BINS, BOUND = 8, 64, 2, 8, 5.0
"""Layers of the flow; hidden units, hidden layers of its networks (all silu); of its splines."""
BLOCK_LAYERS, BLOCK_WIDTH = 2, 8
"""Layers of a block autoregressive flow, and its hidden units per coordinate."""
CONTINUOUS_LAYERS = 1
"""Velocity fields of a continuous flow: networks of one hidden layer, their divergence exact. flowvi solves
with a fixed number of steps, zuko with adaptive ones at its own tolerance."""
STEP_SIZE = 2e-3
"""Adam's; it has no part in how long a step takes."""

FAMILIES = {
    "affine coupling": ("flowvi", "flowjax", "zuko"),
    "spline coupling": ("flowvi", "flowjax", "zuko"),
    "additive coupling": ("flowvi", "flowjax", "zuko"),
    "affine autoregressive": ("flowvi", "flowjax", "zuko"),
    "spline autoregressive": ("flowvi", "flowjax", "zuko"),
    "planar": ("flowvi", "flowjax"),
    "block autoregressive": ("flowvi", "flowjax"),
    "continuous": ("flowvi", "zuko"),
}
"""Family -> the libraries that have it."""


class Work(NamedTuple):
    """What a library does with one family.

    Attributes:
        train: train from the start for about so many steps of maximum likelihood; the steps taken.
        few: the fewest steps that `train` is made for.
        sample: 10,000 draws in memory, in single precision, of the flow in the direction that samples fast.
        sample_as_called: the same by the library's public method, where that is something else.
    """

    train: Callable[[int], int]
    few: int
    sample: Callable[[], object]
    sample_as_called: Callable[[], object] | None = None


def layers_of(family: str, layers: int | None) -> int:
    """The number of layers, unless another is asked for."""
    usual = {"block autoregressive": BLOCK_LAYERS, "continuous": CONTINUOUS_LAYERS}
    return layers or usual.get(family, LAYERS)


def rows() -> np.ndarray:
    """Bent and correlated rows (ROWS, DIM) of moderate size, in single precision."""
    rng = np.random.default_rng(0)
    normal = rng.normal(size=(ROWS, DIM)) @ (np.eye(DIM) + 0.3 * rng.normal(size=(DIM, DIM)))
    return (normal + 0.3 * np.roll(normal, 1, axis=1) ** 2).astype(np.float32)
