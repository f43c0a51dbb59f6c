"""The records of trust.py as a picture: the worst error of every fit against the level of its verdict."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from confusion import LEVELS, Record, level, outcome, worst

COLOURS = {"accurate": "#2a7f62", "in between": "#d99a2b", "wrong": "#b03a2e"}
MARKERS = {"shared": "o", "synthetic": "^"}
LARGEST = 10.0
"""Where errors beyond it are drawn."""


def draw(records: Iterable[Record], path: Path) -> None:
    """Every fit of a proper posterior that ended."""
    fits = [r for r in records if outcome(r) in COLOURS]
    levels = [one for one in LEVELS if any(level(r) == one for r in fits)]
    figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
    rng = np.random.default_rng(0)
    for kind, marker in MARKERS.items():
        for what, colour in COLOURS.items():
            group = [r for r in fits if r["kind"] == kind and outcome(r) == what]
            if not group:
                continue
            x = np.array([levels.index(level(r)) for r in group]) + rng.uniform(-0.3, 0.3, len(group))
            y = [min(worst(r)[0], LARGEST) for r in group]
            label = f"{what}, {kind} ({len(group)})"
            axis.plot(x, y, marker, markersize=5, alpha=0.7, markeredgewidth=0, color=colour, label=label)
    for bound in (0.1, 0.15):
        axis.axhline(bound, color="grey", linewidth=0.8, linestyle=":")
    axis.set(yscale="log", ylabel="worst error over all scalars, in sds", xlim=(-0.5, len(levels) - 0.5))
    axis.set_xticks(range(len(levels)), levels)
    axis.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    figure.savefig(path, dpi=110)
