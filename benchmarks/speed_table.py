"""The records of speed.py as Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable
from math import exp, log
from statistics import mean, median
from typing import Any

Record = dict[str, Any]
PEERS = ("flowjax", "zuko")
QUANTITIES = {
    "step": "A training step, microseconds",
    "sample": "10,000 draws in float32, microseconds",
    "sample_as_called": "10,000 draws by the public method (flowvi's in float64), microseconds",
    "compile": "Compiling training, seconds",
    "sample_compile": "Compiling draws, seconds",
}
RATIOS = ("step", "sample")
"""Quantities of the bars."""


def markdown(records: list[Record]) -> str:
    """A table for each quantity, the geometric means of the ratios, and compiling by depth."""
    usual = [r for r in records if r["layers"] == 0]
    parts = [table(usual, quantity, title) for quantity, title in QUANTITIES.items()]
    parts += ["\n".join(line for quantity in RATIOS for line in summary(usual, quantity))]
    deep = [r for r in records if r["layers"] != 0]
    if deep:
        parts.append(by_depth(deep))
    errors = [f"- {r['library']}, {r['family']}: {r['error']}" for r in records if "error" in r]
    return "\n\n".join(part for part in [*parts, "\n".join(errors)] if part)


def table(records: list[Record], quantity: str, title: str) -> str:
    """A row per family: the medians of each library, and the peers' over flowvi's."""
    header = [title, "flowvi", *PEERS, *(f"{peer} / flowvi" for peer in PEERS)]
    rows = []
    for family in names(records, "family"):
        values = [middle(records, family, library, quantity) for library in ("flowvi", *PEERS)]
        ratios = [_ratio(theirs, values[0]) for theirs in values[1:]]
        rows.append([family, *map(_number, values), *(_number(r) for r in ratios)])
    return _lines(header, rows)


def summary(records: list[Record], quantity: str) -> list[str]:
    """The geometric mean of the ratios over the families that a peer shares with flowvi."""
    lines = []
    for peer in PEERS:
        ratios = [
            _ratio(middle(records, f, peer, quantity), middle(records, f, "flowvi", quantity))
            for f in names(records, "family")
        ]
        shared = [ratio for ratio in ratios if ratio]
        if shared:
            geometric = exp(mean(map(log, shared)))
            lines.append(f"- {quantity}: {peer} takes {geometric:.1f} times as long ({len(shared)} families)")
    return lines


def by_depth(records: list[Record]) -> str:
    """Seconds to compile training, a column per number of layers."""
    depths = sorted({r["layers"] for r in records})
    header = ["Compiling training, seconds, by layers", *map(str, depths)]
    rows = [
        [
            f"{family}, {library}",
            *(
                _number(middle([r for r in records if r["layers"] == d], family, library, "compile"))
                for d in depths
            ),
        ]
        for family in names(records, "family")
        for library in names([r for r in records if r["family"] == family], "library")
    ]
    return _lines(header, rows)


def middle(records: Iterable[Record], family: str, library: str, quantity: str) -> float | None:
    """The median over the repeats."""
    of_both = [r for r in records if r["family"] == family and r["library"] == library]
    values = [r[quantity] for r in of_both if quantity in r]
    return median(values) if values else None


def names(records: Iterable[Record], field: str) -> list[str]:
    """The different values of a field, in order."""
    return list(dict.fromkeys(r[field] for r in records))


def _ratio(theirs: float | None, ours: float | None) -> float | None:
    return theirs / ours if theirs and ours else None


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def _lines(header: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, ["---"] * len(header), *rows))
