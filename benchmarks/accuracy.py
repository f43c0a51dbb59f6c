"""How accurate draws are against reference draws: the one definition that all benchmarks share.

For every scalar quantity, with r the reference draws (mean m, sd s, kurtosis k) and x the draws judged:

    location error  |mean(x) - m| / s            standard error  sqrt(1/n + 1/N)
    spread error    |log(sd(x) / s)|             standard error  sqrt((k - 1)/4 (1/n' + 1/N'))

n and N are the effective sample sizes of draws and reference for the mean, n' and N' those of
(x - mean)^2. Where k is above 10 the moments are too noisy to compare, and median and 5-95% range W
take their places, the unit being the sd u = W / 3.29 of the normal distribution with that range:

    location error  |median(x) - median(r)| / u  standard error  sqrt(v(.5))
    spread error    |log(W(x) / W)|              standard error  sqrt(v(.05) + v(.95) - 2 c) u / W

v(p) is the variance of the quantile p in units of u^2, read off the order statistics of the reference,
and c = sqrt(v(.05) v(.95)) / 19 the covariance of the two quantiles of one sample; both summed over
draws and reference. Kurtosis, scale and order statistics in the standard errors are those of the
reference for both samples, so that wild draws do not excuse themselves.

Accurate: every error within 0.1 + 2 standard errors. Wrong: some error beyond 0.15 + 2 of them, or
not finite.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from arviz_stats.base import array_stats

_ACCURATE, _WRONG = 0.1, 0.15
_HEAVY_TAILED = 10.0
_NORMAL_RANGE = 2 * 1.6448536269514722

Chains = Mapping[str, np.ndarray]
"""Quantity -> draws (chains, draws, *shape)."""


@dataclass(frozen=True)
class Accuracy:
    """The worst errors over all scalars, which scalars have them, and what follows."""

    location: float
    location_of: str
    spread: float
    spread_of: str
    accurate: bool
    wrong: bool

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def judge(draws: Chains, reference: Chains, independent: bool = False) -> Accuracy:
    """Compare draws with the reference's, for every scalar of the reference.

    Args:
        draws: quantity -> (chains, draws, *shape); needs every quantity of the reference.
        reference: the same of the reference.
        independent: the draws are independent, so that their number is their effective size.
    """
    names = [_label(name, index) for name, r in reference.items() for index in np.ndindex(r.shape[2:])]
    x = np.concatenate([_columns(draws[name], r.shape[2:]) for name, r in reference.items()], axis=2)
    r = np.concatenate([_columns(r, r.shape[2:]) for r in reference.values()], axis=2)
    errors = np.array([_errors(x[..., [i]], r[..., [i]], independent) for i in range(len(names))])
    location, spread = errors[:, 0], errors[:, 1]
    beyond = np.concatenate([location - 2 * errors[:, 2], spread - 2 * errors[:, 3]])
    return Accuracy(
        location=float(location.max()),
        location_of=names[int(location.argmax())],
        spread=float(spread.max()),
        spread_of=names[int(spread.argmax())],
        accurate=bool(np.all(beyond <= _ACCURATE)),
        wrong=bool(np.any(beyond > _WRONG)),
    )


def evidence_within_bar(value: float, error: float, reference: float, reference_error: float) -> bool:
    """Whether a log evidence is within 0.02 or 3 standard errors of the reference, its own below 0.05."""
    tolerance = max(0.02, 3 * float(np.hypot(error, reference_error)))
    return abs(value - reference) <= tolerance and error < 0.05


def _errors(x: np.ndarray, r: np.ndarray, independent: bool) -> tuple[float, float, float, float]:
    """Location and spread error of one scalar, and their standard errors; x and r are (chains, draws, 1)."""
    if not np.all(np.isfinite(x)):
        return np.inf, np.inf, 0.0, 0.0
    mean, sd = r.mean(), r.std(ddof=1)
    kurtosis = float(np.mean((r - mean) ** 4) / sd**4)
    if kurtosis > _HEAVY_TAILED:
        return _quantile_errors(x, r, independent)

    def per_draw(transform: Callable[[np.ndarray], np.ndarray]) -> float:
        return 1 / _size(transform(x), independent) + 1 / _size(transform(r), False)

    location = abs(x.mean() - mean) / sd
    with np.errstate(divide="ignore"):
        spread = abs(np.log(x.std(ddof=1) / sd))
    location_error = np.sqrt(per_draw(lambda a: a))
    spread_error = np.sqrt((kurtosis - 1) / 4 * per_draw(lambda a: (a - a.mean()) ** 2))
    return float(location), float(spread), float(location_error), float(spread_error)


def _quantile_errors(x: np.ndarray, r: np.ndarray, independent: bool) -> tuple[float, float, float, float]:
    low, middle, high = np.quantile(r, [0.05, 0.5, 0.95])
    x_low, x_middle, x_high = np.quantile(x, [0.05, 0.5, 0.95])
    width = high - low
    unit = width / _NORMAL_RANGE

    def errors(p: float) -> np.ndarray:
        """Standard errors of the quantile in draws and reference, in units."""
        sizes = _size(x, independent, "quantile", p), _size(r, False, "quantile", p)
        return np.array([_quantile_error(r, p, size) for size in sizes]) / unit

    with np.errstate(divide="ignore"):
        spread = abs(np.log((x_high - x_low) / width))
    a, b = errors(0.05), errors(0.95)
    spread_error = np.sqrt(np.sum(a**2 + b**2 - 2 * a * b / 19)) * unit / width
    location_error = np.sqrt(np.sum(errors(0.5) ** 2))
    return float(abs(x_middle - middle) / unit), float(spread), float(location_error), float(spread_error)


def _quantile_error(r: np.ndarray, p: float, size: float) -> float:
    """Standard error of the quantile p of `size` independent draws of the reference distribution."""
    step = np.sqrt(p * (1 - p) / size)
    low, high = np.quantile(r, np.clip([p - step, p + step], 0, 1))
    return float((high - low) / 2)


def _size(a: np.ndarray, independent: bool, method: str = "mean", prob: float | None = None) -> float:
    """Effective sample size of draws (chains, draws, 1), never above their number."""
    number = a.shape[0] * a.shape[1]
    if independent:
        return float(number)
    size = float(array_stats.ess(a[..., 0], chain_axis=0, draw_axis=1, method=method, prob=prob))
    return min(max(size, 1.0), number) if np.isfinite(size) else 1.0


def _columns(a: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(chains, draws, *shape) as (chains, draws, scalars)."""
    a = np.asarray(a, dtype=float)
    if a.shape[2:] != shape:
        raise ValueError(f"draws have shape {a.shape[2:]} where the reference has {shape}")
    return a.reshape(*a.shape[:2], -1)


def _label(name: str, index: tuple[int, ...]) -> str:
    return f"{name}[{','.join(map(str, index))}]" if index else name
