"""The pictures of docs/geometry.md: planar maps that take a normal to an energy of Rezende & Mohamed.

python benchmarks/geometry_pictures.py docs/pictures
"""

from __future__ import annotations

import sys
from pathlib import Path

import energies
import flowvi
from flowvi import objectives
from flowvi.flows import Flow
from flowvi.plots import area_magnification, density_through_layers, local_linear_map, warped_grid

STEPS = 4000


def trained(energy: str) -> Flow:
    """Sixteen planar maps trained by reverse KL, the target tempered at first."""
    target = objectives.annealed(energies.ENERGIES[energy], objectives.linear_schedule(0.01, STEPS // 2))
    objective = objectives.reverse_kl(target, gradient="total", samples=256)
    flow = flowvi.flows.planar(2, key=0, length=16)
    return flowvi.train(flow, objective, key=0, steps=STEPS, step_size=0.02).flow


def main() -> None:
    """Train once and draw four pictures."""
    folder = Path(sys.argv[1])
    flow = trained("U1")
    figures = {
        "warped_grid": warped_grid(flow),
        "area_magnification": area_magnification(flow),
        "local_linear_map": local_linear_map(flow, at=[1.0, 0.8]),
        "density_through_layers": density_through_layers(flow),
    }
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", dpi=90)


if __name__ == "__main__":
    main()
