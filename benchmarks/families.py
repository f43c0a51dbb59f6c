"""Flows, autoencoders and adversarial networks on the same data, by the same numbers.

    python benchmarks/families.py [--steps 5000] [--rows 5000] [--seeds 1] [--toys grid ring pinwheel]
                                  [--models NAME ...] [--json FILE] [--markdown FILE] [--picture FILE]

Fits each model to rows of each toy, draws as many rows as are held out, and prints: the log likelihood of the
held-out rows (exact for flows, bounded and estimated for autoencoders, none for networks that are played
against a critic), MMD^2 and C2ST against the held-out rows, precision and recall, modes covered, and seconds
of training, compiling included. Fresh draws of the toy are judged the same way: what a perfect model gets.
Results are kept in --json as they come, draws for the picture in a folder beside it; a run that stopped goes
on from there.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from families_table import Record, file_name, markdown
from families_toys import FAMILY_TOYS, Toy
from flowvi import families
from flowvi.diagnostics.c2st import c2st
from flowvi.diagnostics.mmd import mmd_squared
from flowvi.diagnostics.modes_covered import modes_covered
from flowvi.diagnostics.precision_recall import precision_recall
from flowvi.errors import NoDensityError
from flowvi.families import Family, Fitted
from flowvi.vae import Bounds

MODELS: dict[str, Callable[[int], Family]] = {
    "flow": lambda steps: families.Flow(max_steps=steps),
    "VAE": lambda steps: families.VAE(steps=steps),
    "GAN": lambda steps: families.GAN(steps=steps),
    "WGAN-GP": lambda steps: families.GAN("wasserstein", steps=steps),
    "GAN of a flow": lambda steps: families.GAN(generator="real_nvp", steps=steps),
}
"""Name -> the family's settings, by its steps."""

TRUTH = "fresh data"
HELD_OUT = 2000
CLASSIFIER_WIDTH = 64
SDS = 3.0
"""Of a mode, within which a draw belongs to it."""


def main() -> None:
    """Run what is asked for; print the table."""
    options = parse()
    resumed = options.json is not None and options.json.exists()
    records: list[Record] = json.loads(options.json.read_text()) if resumed else []
    for toy, model, seed in plan(options, records):
        record, draws = judged(toy, model, seed, options.steps, options.rows)
        records.append(record)
        print(json.dumps(record), file=sys.stderr, flush=True)
        if options.json:
            keep(options.json, records, draws)
    text = markdown(records)
    print(text)
    if options.markdown:
        options.markdown.write_text(text + "\n")
    if options.picture:
        from families_picture import draw

        draw(records, draws_beside(options.json), options.picture)


def parse() -> argparse.Namespace:
    """The command line."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--rows", type=int, default=5000, help="to train on")
    parser.add_argument("--seeds", type=int, default=1, help="how many, from 0")
    parser.add_argument("--toys", nargs="+", default=list(FAMILY_TOYS), choices=FAMILY_TOYS)
    parser.add_argument("--models", nargs="+", default=[TRUTH, *MODELS], choices=[TRUTH, *MODELS])
    parser.add_argument("--json", type=Path, help="where to keep the results")
    parser.add_argument("--markdown", type=Path, help="where to write the table")
    parser.add_argument("--picture", type=Path, help="where to draw the draws; needs --json")
    options = parser.parse_args()
    if options.picture and not options.json:
        parser.error("--picture needs --json, beside which the draws are kept")
    return options


def plan(options: argparse.Namespace, records: list[Record]) -> Iterator[tuple[str, str, int]]:
    """Toy, model and seed of every fit that is not done."""
    done = {(r["toy"], r["model"], r["seed"], r["steps"], r["rows"]) for r in records}
    for seed in range(options.seeds):
        for toy in options.toys:
            for model in options.models:
                if (toy, model, seed, options.steps, options.rows) not in done:
                    yield toy, model, seed


def judged(name: str, model: str, seed: int, steps: int, rows: int) -> tuple[Record, np.ndarray]:
    """The numbers of a fit, and its draws."""
    toy = FAMILY_TOYS[name]
    rng = np.random.default_rng([seed, list(FAMILY_TOYS).index(name)])
    training, held_out = toy.draw(rows, rng), toy.draw(HELD_OUT, rng)
    start = time.perf_counter()
    fitted = None if model == TRUTH else MODELS[model](steps).fit(training, seed)
    seconds = time.perf_counter() - start
    draws = toy.draw(HELD_OUT, rng) if fitted is None else fitted.sample(HELD_OUT, seed)
    of_balls = precision_recall(held_out, draws)
    record = {
        "toy": name,
        "model": model,
        "seed": seed,
        "steps": steps,
        "rows": rows,
        **likelihood(toy, fitted, held_out),
        "mmd": mmd_squared(held_out, draws),
        "c2st": c2st(held_out, draws, seed=seed, width=CLASSIFIER_WIDTH),
        "precision": of_balls.precision,
        "recall": of_balls.recall,
        "modes": None if toy.centres is None else modes_covered(draws, toy.centres, SDS * toy.sd),
        "seconds": seconds,
    }
    return record, draws


def likelihood(toy: Toy, fitted: Fitted | None, x: np.ndarray) -> Record:
    """The mean log likelihood of held-out rows, how it is known, and the lower bound of an autoencoder."""
    if fitted is None:
        exact = toy.log_density(x)
        return {"log_likelihood": None if exact is None else exact.mean(), "kind": "exact", "bound": None}
    try:
        known = fitted.log_prob(x)
    except NoDensityError:
        return {"log_likelihood": None, "kind": "none", "bound": None}
    if isinstance(known, Bounds):
        return {"log_likelihood": known.log_prob.mean(), "kind": "estimate", "bound": known.elbo.mean()}
    return {"log_likelihood": known.mean(), "kind": "exact", "bound": None}


def keep(json_file: Path, records: list[Record], draws: np.ndarray) -> None:
    """Write the records, and the draws of the last one."""
    folder = draws_beside(json_file)
    folder.mkdir(exist_ok=True)
    np.save(folder / file_name(records[-1]), draws.astype(np.float32))
    json_file.write_text(json.dumps(records, indent=1))


def draws_beside(json_file: Path) -> Path:
    """The folder of the draws of these results."""
    return json_file.with_suffix(".draws")


if __name__ == "__main__":
    main()
