"""The records of rezende_mohamed.py as a picture like the paper's figure 3."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

import energies
from rezende_mohamed_table import EDGE, PIXELS, Record, best_other, file_name


def draw(records: list[Record], folder: Path, out: Path) -> None:
    """A row per energy: the target, planar flows and NICE of length 2, 8 and 32, and the best of the others.

    Of the seeds, the one with the median KL is shown.
    """
    names = sorted({r["energy"] for r in records})
    figure, grid = plt.subplots(
        len(names), 8, figsize=(11.5, 1.6 * len(names)), squeeze=False, layout="constrained"
    )
    for axes, energy in zip(grid, names, strict=True):
        _show(axes[0], target(energy), energy)
        chains = [f"{name} {length}" for name in ("planar", "nice") for length in (2, 8, 32)]
        shown = [*chains, best_other(records, energy)]
        for axis, name in zip(axes[1:], shown, strict=True):
            record = median_fit(records, energy, name)
            if record is None:
                axis.set_axis_off()
            else:
                _show(axis, np.load(folder / file_name(record)), f"{name}: {record['kl']:.3f}")
    figure.savefig(out, dpi=100)


def target(energy: str) -> np.ndarray:
    """The normalised density on the grid of the pictures."""
    points, _ = energies.grid(EDGE, PIXELS)
    return np.exp(energies.log_densities(energy, points) - energies.log_normaliser(energy))


def median_fit(records: list[Record], energy: str, name: str | None) -> Record | None:
    """The fit of the median seed, the lower one of two."""
    fits = sorted((r for r in records if r["energy"] == energy and r["flow"] == name), key=lambda r: r["kl"])
    return fits[(len(fits) - 1) // 2] if fits else None


def _show(axis: Axes, density: np.ndarray, title: str) -> None:
    axis.imshow(density.T, origin="lower", extent=(-EDGE, EDGE, -EDGE, EDGE), cmap="Blues", vmin=0)
    axis.set(xticks=[], yticks=[])
    axis.set_title(title, fontsize="small")
