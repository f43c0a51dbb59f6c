"""Does the density fall off as one that integrates must?"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from flowvi.inference.density import Density
from flowvi.inference.gaussian import Gaussian
from flowvi.targets.base import Target

_RADII = 10.0 ** np.arange(0.5, 3.6, 0.25)
_LEAST_RADII = 3
_EXPONENT = 690.0
"""Where exponentials begin to leave the range of numbers, and a density that makes use of them the truth."""
_LARGEST_LOG = 200.0
"""Logarithm of a size that no parameter of a model has."""
_RANDOM = 64
_MOST_AXES = 256
_LEAST_FALL = 0.3
"""Nats a decade by which log p + k log r must fall: tails as heavy as r^-(k + 0.13) still do."""


def directions_without_end(density: Density, q: Gaussian, rng: np.random.Generator) -> tuple[str, ...]:
    """Coordinates that dominate a direction along which the density does not fall off; empty where all do.

    Along rays from the centre of q an integrable density has log p + k log r falling without end: with k = 1
    along the coordinates and along the axes of q, with k = dim in random directions. Lengths are in sds of q.
    Radii at which the density is not finite say nothing, nor those at which the exponential of a coordinate
    would not be, where there are enough others.
    """
    dim = len(q.location)
    scale = np.linalg.norm(q.scale_tril, axis=1)
    some = rng.permutation(dim)[:_MOST_AXES]
    axes = np.concatenate([np.diag(scale)[some], q.scale_tril.T[some]])
    random = rng.standard_normal((_RANDOM, dim))
    random = random / np.linalg.norm(random, axis=1, keepdims=True) @ q.scale_tril.T
    rays = np.concatenate([axes, -axes, random])
    k = np.concatenate([np.ones(2 * len(axes)), np.full(_RANDOM, dim)])
    z = q.location + _RADII[:, None, None] * rays
    height = density.value(z.reshape(-1, dim)).reshape(len(_RADII), -1) + np.outer(np.log(_RADII), k)
    told = np.isfinite(height)
    inside = told & (np.abs(z).max(axis=2) < _EXPONENT)
    enough = inside.sum(axis=0) >= _LEAST_RADII
    told = np.where(enough, inside, told)
    with np.errstate(invalid="ignore"):
        fall = np.diff(height, axis=0) / np.diff(np.log10(_RADII))[:, None]
    stays = (fall > -_LEAST_FALL) | ~(told[1:] & told[:-1])
    endless = stays.all(axis=0) & (told.sum(axis=0) >= _LEAST_RADII)
    dominant = np.abs(rays[endless] / scale).argmax(axis=1)
    return tuple(density.target.coordinates[i] for i in np.unique(dominant))


def at_the_edge_of_numbers(target: Target, location: Float[np.ndarray, " dim"]) -> tuple[str, ...]:
    """Coordinates whose centre makes a parameter so small or large that floating numbers are about to end.

    A density that is flat on a logarithmic scale is cut off there alone, so that it seems to have an end.
    """
    far = np.flatnonzero(np.abs(location) > _LARGEST_LOG)
    if not far.size:
        return ()
    sizes = [np.abs(np.asarray(value, float)).ravel() for value in target.constrain(location[None]).values()]
    size = np.concatenate(sizes)
    extreme = (size > 0) & (size < np.exp(-_LARGEST_LOG)) | (size > np.exp(_LARGEST_LOG))
    return tuple(target.coordinates[i] for i in far) if extreme.any() else ()
