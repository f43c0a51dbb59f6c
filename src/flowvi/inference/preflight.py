"""Before anything is fitted: is the log density a finite, differentiable scalar?"""

from __future__ import annotations

import warnings

import numpy as np
from jaxtyping import Float

from flowvi.errors import DensityError
from flowvi.inference.density import Density
from flowvi.targets.base import Target

_TRIES = 5
"""Rounds of starts, each half as wide as the one before, in search of finite ones."""


def finite_starts(density: Density, starts: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, "n dim"]:
    """The starts, those where the density is not finite moved towards the origin.

    Raises:
        DensityError: the density is NaN or infinite at all of them, or +inf at one.
    """
    z = starts.copy()
    bad = np.ones(len(z), bool)
    for attempt in range(_TRIES):
        if attempt > 0:
            z[bad] /= 2
        value, grad = density.value_and_grad(z)
        _no_positive_infinity(density.target, z, value)
        bad = ~(np.isfinite(value) & np.isfinite(grad).all(axis=1))
        if not bad.any():
            return z
    if bad.all():
        raise DensityError(_describe(density.target, z, value, grad))
    return z[~bad]


def check_gradient(density: Density, z: Float[np.ndarray, "n dim"]) -> None:
    """Compare the gradient with central differences along a direction, and look for coordinates it does
    not see.

    A step from each of several sizes is tried, since what suits a model's scale is not known yet; the
    gradient is wrong if it agrees with none of them at most of the points.

    Raises:
        DensityError: a coordinate has zero gradient everywhere, or the gradient disagrees with the
            differences.
    """
    value, grad = density.value_and_grad(z)
    blind = np.flatnonzero((grad == 0).all(axis=0))
    if len(blind):
        names = ", ".join(f"'{density.target.coordinates[i]}'" for i in blind[:4])
        raise DensityError(
            f"The gradient with respect to {names} is zero at all {len(z)} starts: the log density does "
            f"not depend on it, or "
            "something cuts the derivative (rounding, comparison, integer conversion, stop_gradient). "
            "Remove the parameter, "
            "or make the density differentiable in it."
        )
    direction = np.random.default_rng(0).choice([-1.0, 1.0], z.shape)
    if _disagrees(density, z, value, grad, direction):
        wrong = _worst_coordinate(density, z[0], value[0], grad[0])
        raise DensityError(
            f"The gradient of the log density disagrees with finite differences, most with respect to "
            f"'{wrong}'. Look for a custom "
            "derivative, stop_gradient, or a discontinuity in the model."
        )


_STEPS = (1e-3, 1e-4, 1e-5, 1e-6)


def _disagrees(
    density: Density, z: np.ndarray, value: np.ndarray, grad: np.ndarray, direction: np.ndarray
) -> bool:
    slopes = (grad * direction).sum(axis=1)
    agree = np.zeros(len(z), bool)
    for h in _STEPS:
        difference = (
            density.value_and_grad(z + h * direction)[0] - density.value_and_grad(z - h * direction)[0]
        ) / (2 * h)
        rounding = 1e-14 * np.abs(value) / h
        agree |= np.abs(difference - slopes) <= 1e-2 * np.abs(grad).sum(axis=1) + 10 * rounding
        # a point where the difference is not finite says nothing
        agree |= ~np.isfinite(difference)
    return bool(agree.mean() < 0.5)


def _worst_coordinate(density: Density, z: np.ndarray, value: float, grad: np.ndarray) -> str:
    smallest = np.full(len(z), np.inf)
    unit = np.eye(len(z))
    for h in _STEPS:
        difference = (density.value_and_grad(z + h * unit)[0] - density.value_and_grad(z - h * unit)[0]) / (
            2 * h
        )
        smallest = np.minimum(smallest, np.abs(difference - grad))
    return density.target.coordinates[int(np.argmax(np.nan_to_num(smallest)))]


def _no_positive_infinity(target: Target, z: np.ndarray, value: np.ndarray) -> None:
    if np.isposinf(value).any():
        where = describe_point(target, z[np.isposinf(value)][0])
        raise DensityError(
            f"The log density is +inf at {where}. A density must be finite or zero (-inf): look for a log "
            f"of zero with the "
            "wrong sign, or a division by zero."
        )


def _describe(target: Target, z: np.ndarray, value: np.ndarray, grad: np.ndarray) -> str:
    where = describe_point(target, z[0])
    if np.isneginf(value).all():
        return f"The log density is -inf at all {len(z)} starts, for example at {where}. " + (
            _reason(target, z[0])
            or "The data may be impossible under the model, or a constraint lacks its support."
        )
    if np.isnan(value[0]):
        return f"The log density is NaN at {where}, and at no start is it finite. " + (
            _reason(target, z[0])
            or "Look for the log or square root of a negative number, 0 * inf, or NaN in the data."
        )
    coordinate = target.coordinates[int(np.argmax(~np.isfinite(grad[0])))]
    return (
        f"The gradient with respect to '{coordinate}' is not finite at {where}, where the log density is "
        f"{value[0]:.6g}. Look for a "
        "square root at zero, or a `where` whose other branch is not finite."
    )


def _reason(target: Target, z: np.ndarray) -> str:
    """Why the density is zero or NaN at a point, as far as the model or its observations tell."""
    message = target.explain(z)
    return f"The model says: {message.strip()}" if message else _bad_observation(target, z)


def _bad_observation(target: Target, z: np.ndarray) -> str:
    """The first observation whose log likelihood at a point is -inf or NaN, if there is one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        log_likelihood = target.log_likelihood(target.constrain(z[None]))
    observed = target.observed_data()
    for name, rows in log_likelihood.items():
        each = rows[0]
        bad = np.argwhere(np.isnan(each) | np.isneginf(each))
        if len(bad) == 0:
            continue
        index = tuple(bad[0])
        entry = f"{name}[{','.join(map(str, index))}]" if index else name
        # what the model says was observed may be shaped unlike its likelihood
        known = name in observed and observed[name].shape[: each.ndim] == each.shape
        shown = f"{entry} = {observed[name][index]}" if known else entry
        others = f" (and {len(bad) - 1} more of {each.size})" if len(bad) > 1 else ""
        return (
            f"The log likelihood there is {each[index]} for the observation {shown}{others}. Look for "
            "missing values, and for values that the model gives no probability."
        )
    return ""


def describe_point(target: Target, z: np.ndarray) -> str:
    """A point in the model's own terms: the first few scalars of its parameters."""
    with warnings.catch_warnings():
        # quantities computed from the parameters are not shown, and may well fail
        warnings.simplefilter("ignore")
        draws = target.constrain(z[None])
    parameters = {label.partition("[")[0] for label in target.coordinates}
    scalars = []
    for name, values in draws.items():
        if name not in parameters:
            continue
        flat = values[0].ravel()
        shown = ", ".join(f"{v:.4g}" for v in flat[:4]) + (", ..." if flat.size > 4 else "")
        scalars.append(f"{name} = {shown}" if values[0].ndim == 0 else f"{name} = [{shown}]")
    return "; ".join(scalars[:6]) + ("; ..." if len(scalars) > 6 else "")
