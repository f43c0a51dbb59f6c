"""Six densities in the plane that flows are shown on, and their entropies where they have a formula."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import i0e, logsumexp

Draw = Callable[[int, np.random.Generator], np.ndarray]


def checkerboard(n: int, rng: np.random.Generator) -> np.ndarray:
    """Uniform on the black squares, of side 2, of a board of 4 by 4."""
    column, row = rng.integers(4, size=n), rng.integers(2, size=n)
    corner = np.column_stack([2 * column, 4 * row + 2 * (column % 2)])
    return corner - 4 + 2 * rng.uniform(size=(n, 2))


def spirals(n: int, rng: np.random.Generator) -> np.ndarray:
    """Two arms."""
    angle = 3 * np.pi * np.sqrt(rng.uniform(size=n))
    arm = np.column_stack([-np.cos(angle), np.sin(angle)]) * (angle + rng.uniform(size=n) / 2)[:, None]
    return np.where(rng.uniform(size=(n, 1)) < 0.5, arm, -arm) / 3 + 0.1 * rng.normal(size=(n, 2))


def pinwheel(n: int, rng: np.random.Generator) -> np.ndarray:
    """Five bent blades."""
    radial, tangential = 0.3 * rng.normal(size=n) + 1, 0.1 * rng.normal(size=n)
    angle = 2 * np.pi * rng.integers(5, size=n) / 5 + 0.25 * np.exp(radial)
    return 2 * np.column_stack(
        [
            radial * np.cos(angle) - tangential * np.sin(angle),
            radial * np.sin(angle) + tangential * np.cos(angle),
        ]
    )


def moons(n: int, rng: np.random.Generator) -> np.ndarray:
    """Two half circles, one inside the other's opening."""
    angle, side = np.pi * rng.uniform(size=n), rng.integers(2, size=n)
    upper = np.column_stack([np.cos(angle), np.sin(angle)])
    points = np.where(side[:, None] == 0, upper, np.array([1.0, 0.5]) - upper)
    return 2 * (points + 0.1 * rng.normal(size=(n, 2))) - np.array([1.0, 0.5])


_RADII, _RING_SD = np.array([0.75, 1.5, 2.25, 3.0]), 0.08


def rings(n: int, rng: np.random.Generator) -> np.ndarray:
    """Four circles, with as many points each."""
    angle, radius = 2 * np.pi * rng.uniform(size=n), rng.choice(_RADII, size=n)
    circle = radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    return circle + _RING_SD * rng.normal(size=(n, 2))


def _rings_log_density(x: np.ndarray) -> np.ndarray:
    """A circle with normal noise: the distance from the centre has Rice's density."""
    distance, variance = np.linalg.norm(x, axis=1)[:, None], _RING_SD**2
    of_ring = -((distance - _RADII) ** 2) / (2 * variance) + np.log(i0e(distance * _RADII / variance))
    return logsumexp(of_ring, axis=1) - np.log(len(_RADII) * 2 * np.pi * variance)


_ANGLES = np.pi * np.arange(8) / 4
_CENTRES = 4 / np.sqrt(2) * np.column_stack([np.cos(_ANGLES), np.sin(_ANGLES)])
_SD = 0.5 / np.sqrt(2)


def eight_gaussians(n: int, rng: np.random.Generator) -> np.ndarray:
    """Eight normals on a circle."""
    return _CENTRES[rng.integers(8, size=n)] + _SD * rng.normal(size=(n, 2))


def _eight_gaussians_log_density(x: np.ndarray) -> np.ndarray:
    squares = ((x[:, None] - _CENTRES) ** 2).sum(axis=2)
    return logsumexp(-squares / (2 * _SD**2), axis=1) - np.log(8 * 2 * np.pi * _SD**2)


TOYS: dict[str, Draw] = {
    "checkerboard": checkerboard,
    "spirals": spirals,
    "pinwheel": pinwheel,
    "moons": moons,
    "rings": rings,
    "eight_gaussians": eight_gaussians,
}
EXACT: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "checkerboard": lambda x: np.full(len(x), -np.log(32.0)),
    "rings": _rings_log_density,
    "eight_gaussians": _eight_gaussians_log_density,
}
