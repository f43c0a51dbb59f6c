"""The records of rezende_mohamed.py as a Markdown table, and what they amount to."""

from __future__ import annotations

from statistics import mean, median, stdev
from typing import Any

Record = dict[str, Any]

BARS = {"U1": 0.1, "U2": 0.1, "U3": 0.2, "U4": 0.2}
"""Nats that a planar flow of length 32 may be off by (median of the seeds)."""
EDGE, PIXELS = 4.0, 160
"""The pictures show the square [-EDGE, EDGE]^2."""
OTHERS, BAR_OF_BEST = ("neural_spline", "real_nvp", "residual"), 0.05


def markdown(records: list[Record]) -> str:
    """A row per flow, a column per energy: the median KL of the seeds, and their range."""
    names = list(dict.fromkeys(r["flow"] for r in records))
    energies = sorted({r["energy"] for r in records})
    header = ["KL(q, p), nats", *energies, "seconds"]
    rows = [
        [name, *(cell(kls(records, e, name)) for e in energies), seconds(records, name)] for name in names
    ]
    lines = ["| " + " | ".join(cells) + " |" for cells in (header, ["---"] * len(header), *rows)]
    worst = max((r["quadrature_error"] for r in records), default=0.0)
    lines += ["", *(line for e in energies for line in verdicts(records, e)), ""]
    return "\n".join([*lines, f"The quadrature of the KL is off by {worst:.1e} at most."])


def kls(records: list[Record], energy: str, name: str) -> list[float]:
    """The KL of every seed."""
    return [r["kl"] for r in records if r["energy"] == energy and r["flow"] == name]


def cell(values: list[float]) -> str:
    """Median and range."""
    if not values:
        return ""
    return f"{median(values):.3f} ({min(values):.3f} .. {max(values):.3f})"


def seconds(records: list[Record], name: str) -> str:
    """The median time of training, compiling included."""
    return f"{median(r['seconds'] for r in records if r['flow'] == name):.0f}"


def verdicts(records: list[Record], energy: str) -> list[str]:
    """One line for each bar that these records say something about."""
    short, long = (kls(records, energy, f"planar {k}") for k in (2, 32))
    lines = []
    if len(short) > 1 and len(long) > 1:
        fall, error = mean(short) - mean(long), standard_error(short, long)
        lines.append(
            f"- {energy}: from planar 2 to 32 the mean falls by {fall:.3f}, {fall / error:.0f} standard "
            f"errors: {met(fall > 2 * error)}"
        )
    if long:
        bar = BARS[energy]
        lines.append(f"- {energy}: planar 32 {median(long):.3f}, at most {bar}: {met(median(long) <= bar)}")
    best = best_other(records, energy)
    if best is not None:
        value = median(kls(records, energy, best))
        lines.append(f"- {energy}: {best} {value:.3f}, at most {BAR_OF_BEST}: {met(value <= BAR_OF_BEST)}")
    return lines


def standard_error(first: list[float], second: list[float]) -> float:
    """Of the difference of two means over seeds."""
    return (stdev(first) ** 2 / len(first) + stdev(second) ** 2 / len(second)) ** 0.5


def met(reached: bool) -> str:
    """A bar's verdict."""
    return "yes" if reached else "NO"


def best_other(records: list[Record], energy: str) -> str | None:
    """The best of spline, RealNVP and residual flow by median."""
    ran = [name for name in OTHERS if kls(records, energy, name)]
    return min(ran, key=lambda name: median(kls(records, energy, name)), default=None)


def file_name(record: Record) -> str:
    """The file of a fit's density on the grid of the pictures."""
    return f"{record['energy']}-{record['flow'].replace(' ', '-')}-{record['seed']}.npy"
