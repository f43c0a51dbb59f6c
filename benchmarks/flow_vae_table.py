"""The records of flow_vae.py as a Markdown table, and differences of posteriors image by image."""

from __future__ import annotations

from statistics import mean
from typing import Any

import numpy as np

Record = dict[str, Any]

OTHERS = ("iaf", "real_nvp", "sylvester", "neural_spline")
"""First words of the posteriors of which the best is asked for."""


def markdown(records: list[Record], of_images: dict[str, np.ndarray]) -> str:
    """A row per posterior: both bounds, the difference from the diagonal one, and time; then the bars."""
    parts = []
    for data in dict.fromkeys(r["data"] for r in records):
        of_data = [r for r in records if r["data"] == data]
        names = list(dict.fromkeys(r["posterior"] for r in of_data))
        header = [
            "posterior",
            "negative ELBO",
            "negative weighted bound",
            "below the diagonal's ELBO, by seed",
            "ms per step, compiling included",
        ]
        rows = [row(name, of_data, of_images) for name in names]
        lines = ["| " + " | ".join(cells) + " |" for cells in (header, ["---"] * len(header), *rows)]
        first = of_data[0]
        title = (
            f"**{data}**, nats per image; {first['steps']:,} steps, {first['samples']:,} draws of each image"
        )
        parts.append("\n".join([title, "", *lines, "", *verdicts(of_data, of_images)]))
    return "\n\n".join(parts)


def row(name: str, of_data: list[Record], of_images: dict[str, np.ndarray]) -> list[str]:
    """The cells of a posterior."""
    found = [r for r in of_data if r["posterior"] == name]
    gains = [] if name == "diagonal" else differences(name, "diagonal", of_data, of_images)
    return [
        name,
        f"{-mean(r['elbo'] for r in found):.2f}",
        f"{-mean(r['log_prob'] for r in found):.2f}",
        ", ".join(f"{gain:.2f} ± {error:.2f}" for gain, error in gains),
        f"{min(1000 * r['seconds'] / r['steps'] for r in found):.0f}",
    ]


def differences(
    name: str, other: str, of_data: list[Record], of_images: dict[str, np.ndarray]
) -> list[tuple[float, float]]:
    """By seed, how much lower the negative ELBO is than another's: the mean over images and its error."""
    pairs = []
    for seed in sorted({r["seed"] for r in of_data}):
        both = [
            of_images.get(file_name(r))
            for wanted in (name, other)
            for r in of_data
            if (r["posterior"], r["seed"]) == (wanted, seed)
        ]
        if len(both) == 2 and all(each is not None for each in both):
            gain = both[0][0] - both[1][0]
            pairs.append((float(gain.mean()), float(gain.std(ddof=1) / np.sqrt(len(gain)))))
    return pairs


def verdicts(of_data: list[Record], of_images: dict[str, np.ndarray]) -> list[str]:
    """One line for each order that these records say something about."""
    ran = [n for n in dict.fromkeys(r["posterior"] for r in of_data) if n.split()[0] in OTHERS]
    best = max(ran, key=lambda n: mean(r["elbo"] for r in of_data if r["posterior"] == n), default=None)
    lines = []
    for name, other in (("planar 10", "diagonal"), ("planar 80", "planar 10"), (best, "planar 80")):
        gains = [] if name is None else differences(name, other, of_data, of_images)
        if gains:
            shown = ", ".join(f"{gain:.2f} ± {error:.2f}" for gain, error in gains)
            better = "yes" if all(gain > 2 * error for gain, error in gains) else "NO"
            lines.append(f"- {name} below {other} by more than two standard errors: {shown}: {better}")
    return lines


def file_name(record: Record) -> str:
    """The file of the bounds of each image."""
    name = record["posterior"].replace(" ", "-")
    return f"{record['data']}-{name}-{record['seed']}-{record['steps']}.npy"
