"""Rezende & Mohamed's figure 3 (arXiv 1505.05770): planar flows and NICE on four energies, and later flows.

    python benchmarks/rezende_mohamed.py [--steps 4000] [--seeds 3] [--energies U1 ...] [--flows NAME ...]
                                         [--json FILE] [--markdown FILE] [--picture FILE]

Trains each flow on each energy of energies.py by reverse KL with the total gradient, the target tempered at
first as in the paper: beta_t = min(1, 0.01 + t / (steps / 2)). The KL that a trained flow is left with is an
integral over the base, by quadrature, as is log Z. Results are kept in --json as they come, the densities for
the picture in a folder beside it; a run that stopped goes on from there.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from jax import Array

import energies
import flowvi
from flowvi import flows, objectives
from flowvi.compiling import Compiled
from flowvi.flows import Flow
from flowvi.flows.flow import forward_and_log_prob
from flowvi.memory import batch_map
from flowvi.precision import double_precision
from rezende_mohamed_table import EDGE, PIXELS, Record, file_name, markdown

FLOWS: dict[str, Callable[[int], Flow]] = {
    **{f"planar {k}": lambda seed, k=k: flows.planar(2, key=seed, length=k) for k in (2, 8, 32)},
    **{f"nice {k}": lambda seed, k=k: flows.nice(2, key=seed, layers=k) for k in (2, 8, 32)},
    "neural_spline": lambda seed: flows.neural_spline(2, key=seed),
    "real_nvp": lambda seed: flows.real_nvp(2, key=seed, layers=16),
    "residual": lambda seed: flows.residual(2, key=seed),
}
"""Name -> the flow before training, by its seed."""

BATCH = 256
STEP_SIZE = {"planar": 4e-2}
"""Adam's first step by the first word of a flow's name; `USUAL_STEP_SIZE` for the others. A planar map has
few numbers, which have far to go: with 0.01 length 32 ends at 0.065 nats on U4, with 0.04 at 0.009."""
USUAL_STEP_SIZE = 5e-3


def main() -> None:
    """Run what is asked for; print the table."""
    options = parse()
    resumed = options.json is not None and options.json.exists()
    records: list[Record] = json.loads(options.json.read_text()) if resumed else []
    for energy, name, seed in plan(options, records):
        flow, record = fitted(energy, name, seed, options.steps)
        records.append(record)
        print(json.dumps(record), file=sys.stderr, flush=True)
        if options.json:
            keep(options.json, records, flow)
    text = markdown(records)
    print(text)
    if options.markdown:
        options.markdown.write_text(text + "\n")
    if options.picture:
        from rezende_mohamed_picture import draw

        draw(records, densities_beside(options.json), options.picture)


def parse() -> argparse.Namespace:
    """The command line."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seeds", type=int, default=3, help="how many, from 0")
    parser.add_argument("--energies", nargs="+", default=list(energies.ENERGIES), choices=energies.ENERGIES)
    parser.add_argument("--flows", nargs="+", default=list(FLOWS), choices=FLOWS)
    parser.add_argument("--json", type=Path, help="where to keep the results")
    parser.add_argument("--markdown", type=Path, help="where to write the table")
    parser.add_argument("--picture", type=Path, help="where to draw the densities; needs --json")
    options = parser.parse_args()
    if options.picture and not options.json:
        parser.error("--picture needs --json, beside which the densities are kept")
    return options


def plan(options: argparse.Namespace, records: list[Record]) -> Iterator[tuple[str, str, int]]:
    """Energy, flow and seed of every fit that is not done."""
    done = {(r["energy"], r["flow"], r["seed"], r["steps"]) for r in records}
    for seed in range(options.seeds):
        for energy in options.energies:
            for name in options.flows:
                if (energy, name, seed, options.steps) not in done:
                    yield energy, name, seed


def fitted(energy: str, name: str, seed: int, steps: int) -> tuple[Flow, Record]:
    """A trained flow, and how far it is from the target."""
    start = time.perf_counter()
    flow = trained(FLOWS[name](seed), energy, name, seed, steps)
    seconds = time.perf_counter() - start
    kl, error = exact_kl(flow, energy)
    return flow, {
        "energy": energy,
        "flow": name,
        "seed": seed,
        "steps": steps,
        "kl": kl,
        "quadrature_error": error,
        "seconds": seconds,
    }


def trained(flow: Flow, energy: str, name: str, seed: int, steps: int) -> Flow:
    """The flow after so many steps on the tempered target."""
    objective = objectives.reverse_kl(tempered(energy, steps), gradient="total", samples=BATCH)
    step_size = STEP_SIZE.get(name.split()[0], USUAL_STEP_SIZE)
    return flowvi.train(flow, objective, key=seed, steps=steps, step_size=step_size).flow


@cache
def tempered(energy: str, steps: int) -> objectives.Annealed:
    """The energy's log density, tempered in the first half; one object for all seeds, which compiles once."""
    return objectives.annealed(energies.ENERGIES[energy], objectives.linear_schedule(0.01, steps // 2))


def exact_kl(flow: Flow, energy: str) -> tuple[float, float]:
    """KL(q || p) in nats by quadrature over the base, and how much a coarser grid is off.

    KL = integral of q0(x) (log q(f(x)) - log p~(f(x))) dx + log Z
    """
    fine, coarse = (_mean_over_base(flow, energy, cells) for cells in (1000, 700))
    return fine + energies.log_normaliser(energy), abs(fine - coarse)


@double_precision
def _mean_over_base(flow: Flow, energy: str, cells: int) -> float:
    # what a standard normal has beyond 6.5 is 1e-10
    points, area = energies.grid(6.5, cells)
    base, log_ratio = _on_base(flow, energies.ENERGIES[energy], jnp.asarray(points.reshape(-1, 2)))
    return float(np.sum(np.exp(np.asarray(base)) * np.asarray(log_ratio)) * area)


@Compiled
def _on_base(flow: Flow, log_density: Callable[[Array], Array], points: Array) -> tuple[Array, Array]:
    def at(x: Array) -> tuple[Array, Array]:
        z, log_q = forward_and_log_prob(flow, x)
        return flow.base.log_prob(x), log_q - log_density(z)

    return batch_map(at, points)


def keep(json_file: Path, records: list[Record], flow: Flow) -> None:
    """Write the records, and the density of the flow of the last one."""
    folder = densities_beside(json_file)
    folder.mkdir(exist_ok=True)
    points, _ = energies.grid(EDGE, PIXELS)
    np.save(folder / file_name(records[-1]), np.exp(flow.log_prob(points)).astype(np.float32))
    json_file.write_text(json.dumps(records, indent=1))


def densities_beside(json_file: Path) -> Path:
    """The folder of the densities of these results."""
    return json_file.with_suffix(".densities")


if __name__ == "__main__":
    main()
