"""Every flow on six densities in the plane, by exact maximum likelihood.

    python benchmarks/toy_densities.py [TOY ...] [--flows NAME ...] [--rows 20000] [--seed 0] [--steps 4000]
                                       [--timeout 600] [--json FILE] [--markdown FILE] [--picture FILE]

A cell is the held-out log likelihood in nats per point with its standard error, by `flowvi.fit_density`, and
the seconds from asking for the process to the fitted flow: imports and compiling included. The same points,
split alike, for all flows. "exact" is the log density of the toy itself at the same points, the most that any
flow can reach, where it has a formula. Residual and continuous flows, whose steps are the dearest, get a
quarter of the steps. Every fit runs in a fresh process with cold caches, one at a time.
Results are kept in --json as they come; a run that stopped goes on from there.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import fresh
from fresh import Record
from toys import EXACT, TOYS

FLOWS = (
    "gaussian",
    "planar",
    "radial",
    "sylvester",
    "nice",
    "real_nvp",
    "glow",
    "maf",
    "iaf",
    "neural_spline",
    "neural_spline_autoregressive",
    "unconstrained_monotonic",
    "bnaf",
    "residual",
    "continuous",
)
DEAR = ("residual", "continuous")
PIXELS = 72
SIDE = 4.5


def main() -> None:
    """Fit what is asked for; print the table, and draw the picture."""
    options = parse()
    records = fresh.kept(options.json)
    for toy, flow in plan(options):
        if any((r["toy"], r["flow"]) == (toy, flow) for r in records):
            continue
        steps = options.steps // 4 if flow in DEAR else options.steps
        size = str(options.rows), str(options.seed), str(steps)
        record = {"toy": toy, "flow": flow} | fresh.run(
            "toy_densities.py", "--one", toy, flow, *size, timeout=options.timeout
        )
        records.append(record)
        print(toy, flow, cell(record), file=sys.stderr, flush=True)
        if options.json:
            options.json.write_text(json.dumps(records))
    text = markdown(records)
    print(text)
    if options.markdown:
        options.markdown.write_text(text + "\n")
    if options.picture:
        picture(records, options)


def parse() -> argparse.Namespace:
    """The command line."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("toys", nargs="*", metavar="TOY", help=f"of {', '.join(TOYS)} (all)")
    parser.add_argument("--flows", nargs="+", default=FLOWS, help="builders by their names (all)")
    parser.add_argument("--rows", type=int, default=20_000, help="points, of which a fifth is held out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=4000, help="at most (4,000)")
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds per fit (600)")
    parser.add_argument("--json", type=Path, help="where to keep the results")
    parser.add_argument("--markdown", type=Path, help="where to write the table")
    parser.add_argument("--picture", type=Path, help="where to draw the densities")
    options = parser.parse_args()
    unknown = set(options.toys) - set(TOYS)
    if unknown:
        parser.error(f"no toy is named {', '.join(sorted(unknown))}; there are {', '.join(TOYS)}")
    return options


def plan(options: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """Toy and flow of every fit, in order."""
    for toy in options.toys or TOYS:
        yield toy, "exact"
        yield from ((toy, flow) for flow in options.flows)


def one(toy: str, flow: str, rows: str, seed: str, steps: str, start: str, out: str) -> None:
    """One fit, in the process that was started for it."""
    x = TOYS[toy](int(rows), np.random.default_rng(int(seed)))
    record = of_truth(toy, x, int(seed)) if flow == "exact" else of_flow(flow, x, int(seed), int(steps))
    record.setdefault("seconds", time.time())
    record["seconds"] -= float(start)
    Path(out).write_text(json.dumps(record))


def of_truth(toy: str, x: np.ndarray, seed: int) -> Record:
    """The log density of the toy at the points that flows are tested on."""
    from flowvi.density.rows import split

    if toy not in EXACT:
        return {"nats": None}
    values = EXACT[toy](x[split(len(x), np.random.default_rng(seed)).test])
    return {"nats": values.mean(), "standard_error": values.std() / len(values) ** 0.5}


def of_flow(flow: str, x: np.ndarray, seed: int, steps: int) -> Record:
    """The held-out score of a flow, and its density on a grid."""
    import flowvi

    fit = flowvi.fit_density(x, flow=flow, seed=seed, max_steps=steps, progress=False)
    done = time.time()
    density = np.exp(fit.flow.log_prob(grid()))
    return {
        "nats": fit.held_out.value,
        "standard_error": fit.held_out.standard_error,
        "seconds": done,
        "steps": int(fit.curve.steps[-1]),
        "skipped": fit.skipped,
        "density": density.round(4).tolist(),
    }


def grid() -> np.ndarray:
    """The centres of the pixels, (rows, columns, 2)."""
    middle = (np.arange(PIXELS) + 0.5) / PIXELS * 2 * SIDE - SIDE
    return np.stack(np.meshgrid(middle, middle), axis=-1)


def cell(record: Record) -> str:
    """A fit as a cell of the table."""
    if "error" in record:
        return record["error"]
    if record["nats"] is None:
        return ""
    text = f"{record['nats']:.3f} ± {record['standard_error']:.3f}"
    return text if record["flow"] == "exact" else f"{text}, {record['seconds']:.0f} s"


def markdown(records: list[Record]) -> str:
    """A row per flow, a column per toy; the best flows of a toy, within 2 standard errors, in bold."""
    toys = list(dict.fromkeys(r["toy"] for r in records))
    flows = shown(records, ("exact", *FLOWS))
    cells = {(r["flow"], r["toy"]): cell(r) for r in records}
    for toy in toys:
        scored = [r for r in records if r["toy"] == toy and "steps" in r]
        for r in best(scored):
            cells[r["flow"], toy] = f"**{cells[r['flow'], toy]}**"
    rows = [("flow", *toys), ("---",) * (1 + len(toys))]
    rows += [(flow, *(cells.get((flow, toy), "") for toy in toys)) for flow in flows]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def shown(records: list[Record], flows: tuple[str, ...]) -> list[str]:
    """Those of the flows that there are records of."""
    return [flow for flow in flows if any(r["flow"] == flow for r in records)]


def best(scored: list[Record]) -> list[Record]:
    """The highest score, and those within two of its standard errors."""
    if not scored:
        return []
    top = max(scored, key=lambda r: r["nats"])
    return [r for r in scored if r["nats"] >= top["nats"] - 2 * top["standard_error"]]


def picture(records: list[Record], options: argparse.Namespace) -> None:
    """A row per toy: its points, then the density of each flow."""
    import matplotlib.pyplot as plt

    densities = {(r["toy"], r["flow"]): r["density"] for r in records if "density" in r}
    toys, flows = list(dict.fromkeys(t for t, _ in densities)), shown(records, FLOWS)
    size = 1.3 * (1 + len(flows)), 1.4 * len(toys)
    figure, axes = plt.subplots(
        len(toys), 1 + len(flows), figsize=size, squeeze=False, layout="constrained", sharex=True, sharey=True
    )
    extent = (-SIDE, SIDE, -SIDE, SIDE)
    for row, toy in zip(axes, toys, strict=True):
        x = TOYS[toy](3000, np.random.default_rng(options.seed))
        row[0].plot(*x.T, ",", color="#204060")
        for axis, flow in zip(row[1:], flows, strict=True):
            if (toy, flow) in densities:
                axis.imshow(densities[toy, flow], extent=extent, origin="lower", cmap="Blues")
    for axis, title in zip(axes[0], ("points", *(flow.replace("_", "\n") for flow in flows)), strict=True):
        axis.set_title(title, fontsize=8)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[], xlim=extent[:2], ylim=extent[2:], aspect="equal")
    figure.savefig(options.picture, dpi=80)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(*sys.argv[2:])
    else:
        main()
