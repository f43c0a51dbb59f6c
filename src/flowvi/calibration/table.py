"""A calibration in print."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, get_args

from flowvi.inference.judge import Level

if TYPE_CHECKING:
    from flowvi.calibration.result import Calibration, Scalar

_MOST_ROWS = 20

_OFF = 2.0
"""Standard errors beyond which a mean or a spread of ranks is said to be off."""


def table(calibration: Calibration) -> str:
    """A row per scalar, the counts of verdicts and failures, and what the ranks say."""
    lines = [
        f"{calibration.simulations} simulated data sets, true values ranked among {calibration.draws} draws"
    ]
    if calibration.scalars:
        lines += _rows(calibration)
    lines.append(f"verdicts: {verdicts(calibration)}")
    lines.append(f"all fits: {_finding(calibration)}")
    claimed = _claimed(calibration)
    if claimed is None:
        lines.append("claimed fits: none")
    elif claimed.simulations < calibration.simulations:
        lines.append(f"the {claimed.simulations} claimed fits: {_finding(claimed)}")
    if calibration.failures:
        first = min(calibration.failures)
        lines.append(
            f"{len(calibration.failures)} data sets could not be fitted and are left out; number {first}: "
            f"{calibration.failures[first]}"
        )
    return "\n".join([*lines, *calibration.notes])


def verdicts(calibration: Calibration) -> str:
    """How many fits had which verdict: "97 good, 3 corrected"."""
    counted = Counter(calibration.levels)
    return ", ".join(f"{counted[level]} {level}" for level in get_args(Level) if counted[level])


def _claimed(calibration: Calibration) -> Calibration | None:
    return calibration.claimed if {"good", "corrected"} & set(calibration.levels) else None


def _rows(calibration: Calibration) -> list[str]:
    scalars, claimed = calibration.scalars, _claimed(calibration)
    beside = claimed is not None and claimed.simulations < calibration.simulations
    header = ["", "mean", "spread", "p", "adjusted"] + ["p, claimed"] * beside
    rows = [header, ["if calibrated", "0.50", "1.00"]]
    shown = sorted(scalars, key=lambda label: scalars[label].p)[:_MOST_ROWS]
    for label, scalar in scalars.items():
        if label in shown:
            row = [
                label,
                f"{scalar.mean:.2f}",
                f"{scalar.spread:.2f}",
                p_value(scalar.p),
                p_value(scalar.adjusted),
            ]
            rows.append(row + ([p_value(claimed.scalars[label].p)] if claimed is not None and beside else []))
    lines = aligned(rows)
    if len(shown) < len(scalars):
        lines.append(f"... {len(scalars) - len(shown):,} more, with larger p")
    return lines


def _finding(calibration: Calibration) -> str:
    scalars, off = calibration.scalars, calibration.miscalibrated
    if not scalars:
        return "no scalar varies, so nothing can be said"
    if not off:
        label = min(scalars, key=lambda label: scalars[label].p)
        return (
            "no ranks depart from uniform ones beyond chance "
            f"(smallest p {p_value(scalars[label].p)} of {label}; "
            f"{p_value(scalars[label].adjusted)} adjusted for {len(scalars)} scalars)"
        )
    named = [f"{label} ({how})" if (how := _how(scalars[label])) else label for label in off[:4]]
    more = f" and {len(off) - 4} more" if len(off) > 4 else ""
    return (
        f"MISCALIBRATED: the ranks of {', '.join(named)}{more} are not uniform "
        f"(adjusted p {p_value(min(scalars[label].adjusted for label in off))})"
    )


def _how(scalar: Scalar) -> str:
    """What draws with such ranks are: too low, too high, too narrow, too wide; empty where it is neither."""
    n = len(scalar.ranks)
    # standard errors for uniform ranks: of their mean, and of their spread by the delta method
    location = (scalar.mean - 0.5) * (12 * n) ** 0.5
    scale = (scalar.spread - 1) * (5 * n) ** 0.5
    if max(abs(location), abs(scale)) < _OFF:
        return ""
    if abs(location) > abs(scale):
        return "draws too low" if location > 0 else "draws too high"
    return "draws too narrow" if scale > 0 else "draws too wide"


def aligned(rows: list[list[str]]) -> list[str]:
    """Lines of a table: the first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(len(rows[0]))]
    return [
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=False))
        ).rstrip()
        for row in rows
    ]


def p_value(p: float) -> str:
    """A p value in print."""
    return f"{p:.2f}" if p >= 0.1 else f"{p:.3f}" if p >= 0.001 else "< 0.001"
