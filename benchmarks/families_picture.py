"""The draws that families.py kept, as a picture."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from families_table import Record, file_name


def draw(records: list[Record], folder: Path, out: Path) -> None:
    """A row per toy, a column per model, draws of the first seed."""
    toys, models = (list(dict.fromkeys(r[name] for r in records)) for name in ("toy", "model"))
    shape = len(toys), len(models)
    figure, grid = plt.subplots(
        *shape, figsize=(1.6 * shape[1], 1.7 * shape[0]), squeeze=False, layout="constrained"
    )
    for axes, toy in zip(grid, toys, strict=True):
        limit = None
        for axis, model in zip(axes, models, strict=True):
            axis.set(xticks=[], yticks=[], aspect="equal")
            found = [r for r in records if (r["toy"], r["model"]) == (toy, model)]
            if not found:
                axis.set_axis_off()
                continue
            draws = np.load(folder / file_name(found[0]))
            # all panels of a toy show the same square
            limit = 1.15 * np.abs(draws).max() if limit is None else limit
            axis.plot(*draws.T, ".", markersize=1, alpha=0.4, markeredgewidth=0)
            axis.set(xlim=(-limit, limit), ylim=(-limit, limit))
            axis.set_title(title(found[0]), fontsize="x-small")
    figure.savefig(out, dpi=130)


def title(record: Record) -> str:
    """The model, and what it covers."""
    if record["modes"] is None:
        return record["model"]
    return f"{record['model']}: {record['modes'][0]} of {record['modes'][1]} modes"
