"""Points of the plane on their way through a flow, and the panels that show them."""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING

import jax
import numpy as np
from jaxtyping import Array, Float

from flowvi.errors import ArgumentError, FlowError
from flowvi.flows import Flow
from flowvi.flows.layers import through_layers
from flowvi.precision import double_precision

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Condition = Float[Array | np.ndarray, " condition"] | None

POINTS = 201
"""Points on a line, and on each side of a mesh."""


def through(flow: Flow, points: np.ndarray, condition: Condition) -> tuple[np.ndarray, np.ndarray]:
    """As `through_layers`, for points with any leading axes."""
    moved, log_dets = through_layers(flow, points.reshape(-1, 2), condition)
    return moved.reshape(-1, *points.shape), log_dets.reshape(-1, *points.shape[:-1])


@double_precision
def box(flow: Flow) -> tuple[np.ndarray, np.ndarray]:
    """Corners of a rectangle that holds nearly all draws of the base."""
    check_plane(flow)
    draws = np.asarray(jax.vmap(flow.base.sample)(jax.random.split(jax.random.key(0), 4000)))
    low, high = np.quantile(draws, [0.001, 0.999], axis=0)
    margin = 0.1 * (high - low)
    return low - margin, high + margin


def mesh(flow: Flow) -> np.ndarray:
    """Points evenly over the box, (rows, columns, 2)."""
    low, high = box(flow)
    axes = np.linspace(low, high, POINTS).T
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1)


def shown(stages: int, most: int) -> np.ndarray:
    """The numbers of the stages that get a panel: the first, the last, and what lies evenly between."""
    if isinstance(most, bool) or not isinstance(most, numbers.Integral) or most < 2:
        raise ArgumentError(
            f"most is {most!r}, but the first and the last panel are always shown: give a whole number, 2 or "
            "more."
        )
    return np.unique(np.linspace(0, stages - 1, min(stages, most)).round().astype(int))


def titled(axis: Axes, k: int, last: int, symbol: str = "z") -> None:
    """Name the stage, and give both axes one scale."""
    place = "the base" if k == 0 else "the flow" if k == last else f"layer {k}"
    axis.set(title=f"${symbol}_{{{k}}}$: {place}", aspect="equal")


def check_plane(flow: Flow) -> None:
    """Raises: FlowError: this is no flow, or one not of dim 2."""
    if not isinstance(flow, Flow):
        raise FlowError(f"flow is of type {type(flow).__name__}: give a Flow, such as flowvi.flows builds.")
    if flow.dim != 2:
        raise FlowError(
            f"The flow has dim {flow.dim}, but only the plane can be drawn. Give a flow of dim 2."
        )
