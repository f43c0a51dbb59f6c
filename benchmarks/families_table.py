"""The records of families.py as Markdown tables, one per toy."""

from __future__ import annotations

from statistics import mean
from typing import Any

Record = dict[str, Any]

_HEADER = [
    "model",
    "log likelihood, nats",
    "MMD², 1e-3",
    "C2ST",
    "precision",
    "recall",
    "modes",
    "near a mode",
    "seconds",
]


def markdown(records: list[Record]) -> str:
    """A table per toy, a row per model; means over seeds."""
    parts = []
    for toy in dict.fromkeys(r["toy"] for r in records):
        of_toy = [r for r in records if r["toy"] == toy]
        rows = [row(model, of_toy) for model in dict.fromkeys(r["model"] for r in of_toy)]
        lines = ["| " + " | ".join(cells) + " |" for cells in (_HEADER, ["---"] * len(_HEADER), *rows)]
        seeds = len({r["seed"] for r in of_toy})
        settings = f"{of_toy[0]['rows']:,} rows, {of_toy[0]['steps']:,} steps at most"
        parts.append(
            f"**{toy}** ({settings}; {seeds} seed{'' if seeds == 1 else 's, means'})\n\n" + "\n".join(lines)
        )
    return "\n\n".join(parts)


def row(model: str, of_toy: list[Record]) -> list[str]:
    """The cells of a model."""
    found = [r for r in of_toy if r["model"] == model]
    return [
        model,
        likelihood(found),
        measured(found, "mmd", 1000, 2),
        *(measured(found, name, 1, 3) for name in ("c2st", "precision", "recall")),
        modes(found),
        near(found),
        f"{mean(r['seconds'] for r in found):.0f}",
    ]


def likelihood(found: list[Record]) -> str:
    """Exact, or between the bound and its estimate by importance sampling."""
    if any(r["log_likelihood"] is None for r in found):
        return "none" if found[0]["kind"] == "none" else ""
    value = f"{mean(r['log_likelihood'] for r in found):.3f}"
    if found[0]["kind"] == "exact":
        return value
    return f"{value} (bound {mean(r['bound'] for r in found):.3f})"


def measured(found: list[Record], name: str, factor: float, digits: int) -> str:
    """The mean, and the standard error of one."""
    value, error = mean(r[name][0] for r in found), mean(r[name][1] for r in found)
    return f"{factor * value:.{digits}f} ± {factor * error:.{digits}f}"


def modes(found: list[Record]) -> str:
    """Covered of all."""
    if found[0]["modes"] is None:
        return ""
    covered = [r["modes"][0] for r in found]
    span = f"{min(covered)}" if min(covered) == max(covered) else f"{min(covered)} to {max(covered)}"
    return f"{span} of {found[0]['modes'][1]}"


def near(found: list[Record]) -> str:
    """The share of draws within three standard deviations of a mode."""
    return "" if found[0]["modes"] is None else f"{mean(r['modes'][2] for r in found):.3f}"


def file_name(record: Record) -> str:
    """The file of a model's draws."""
    return f"{record['toy']}-{record['model'].replace(' ', '-')}-{record['seed']}.npy"
