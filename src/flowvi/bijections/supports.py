"""Supports by their public names."""

from collections.abc import Callable
from typing import Any

import numpy as np

from flowvi.bijections.base import Bijection
from flowvi.bijections.cholesky import CholeskyCorr, CholeskyCov
from flowvi.bijections.identity import Identity
from flowvi.bijections.interval import Interval, LowerBounded, UpperBounded
from flowvi.bijections.ordered import Ordered, PositiveOrdered
from flowvi.bijections.positive import Positive
from flowvi.bijections.simplex import Simplex
from flowvi.errors import SupportError
from flowvi.precision import is_traced

NAMED: dict[str, Callable[[tuple[int, ...]], Bijection]] = {
    "real": Identity,
    "positive": Positive,
    "unit_interval": lambda shape: Interval(0.0, 1.0, shape),
    "simplex": Simplex,
    "ordered": Ordered,
    "positive_ordered": PositiveOrdered,
    "cholesky_corr": CholeskyCorr,
    "cholesky_cov": CholeskyCov,
}


def support(spec: Any, shape: tuple[int, ...]) -> Bijection:
    """The bijection from unconstrained coordinates onto the support of a parameter of the given shape.

    `spec` is "real", "positive", "unit_interval", "simplex", "ordered", "positive_ordered", "cholesky_corr",
    "cholesky_cov" or ("interval", low, high), where None, -inf and inf leave a side open. Simplex and ordered
    act on the last axis, Cholesky factors on the last two, the others on each entry.

    Raises:
        SupportError: the name is unknown, or does not fit the shape.

    Example:
        >>> from flowvi.bijections import support
        >>> support(("interval", 0.0, None), (3,)).shape
        (3,)
        >>> support("simplex", (5, 4)).shape
        (5, 3)
    """
    match spec:
        case str() if spec in NAMED:
            return NAMED[spec](shape)
        case ("interval", low, high):
            return _interval(low, high, shape)
    raise SupportError(
        f"{spec!r} is not a support. Use one of {', '.join(map(repr, NAMED))}, or ('interval', low, high) "
        "with None for an open side."
    )


def _interval(low: Any, high: Any, shape: tuple[int, ...]) -> Bijection:
    match _is_open(low, -np.inf), _is_open(high, np.inf):
        case True, True:
            return Identity(shape)
        case False, True:
            return LowerBounded(low, shape)
        case True, False:
            return UpperBounded(high, shape)
    return Interval(low, high, shape)


def _is_open(bound: Any, infinity: float) -> bool:
    return bound is None or (not is_traced(bound) and bool(np.all(np.asarray(bound) == infinity)))
