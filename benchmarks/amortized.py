"""Amortized posteriors on six tasks of sbibm, beside those of sbi.

    pip download sbibm --no-deps
    python benchmarks/amortized.py --wheel sbibm-1.1.0-py2.py3-none-any.whl [TASK ...] [--simulations 10000]
        [--methods flowvi sbi] [--observations 10] [--draws 10000] [--seed 0] [--timeout 7200] [--json FILE]
        [--markdown FILE]

A cell is the C2ST between draws of the trained q and the reference draws, 0.5 where a classifier cannot tell
them apart and 1 where it always can: mean over the observations with the standard error of that mean, and the
seconds of training, compiling included. Both methods get the same simulations, spline couplings of five
layers with 50 hidden units, and stop early by a tenth of the simulations. C2ST as in sbibm: scikit-learn's
network with two hidden layers of 10 units per dimension, five-fold, both sets standardised by the reference.
Without --wheel, where there is an exact posterior (gaussian_linear), observations are simulated and the
reference is drawn from it; the other tasks are left out. sbi is left out where it is not installed.
Every training runs in a fresh process with cold caches, one at a time; results are kept in --json.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import time
from pathlib import Path

import numpy as np

import fresh
from amortized_tasks import TASKS, observation, simulated
from fresh import Record

METHODS = ("flowvi", "sbi")
LAYERS, WIDTH = 5, 50


def main() -> None:
    """Train what is asked for, and print the table."""
    options = parse()
    records = fresh.kept(options.json)
    for task in options.tasks or TASKS:
        for method in options.methods:
            done = any((r["task"], r["method"]) == (task, method) for r in records)
            if done or (options.wheel is None and task != "gaussian_linear"):
                continue
            wheel = "" if options.wheel is None else str(options.wheel.resolve())
            sizes = [str(n) for n in (options.simulations, options.observations, options.draws, options.seed)]
            record = fresh.run("amortized.py", "--one", task, method, wheel, *sizes, timeout=options.timeout)
            records.append({"task": task, "method": method} | record)
            print(task, method, cell(records[-1]), file=sys.stderr, flush=True)
            if options.json:
                options.json.write_text(json.dumps(records))
    text = markdown(records)
    print(text)
    if options.markdown:
        options.markdown.write_text(text + "\n")


def parse() -> argparse.Namespace:
    """The command line."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("tasks", nargs="*", metavar="TASK", help=f"of {', '.join(TASKS)} (all)")
    parser.add_argument("--wheel", type=Path, help="sbibm's, for observations and reference draws")
    parser.add_argument("--simulations", type=int, default=10_000)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--observations", type=int, default=10, help="of the ten that there are")
    parser.add_argument("--draws", type=int, default=10_000, help="to be compared, of q and the reference")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--timeout", type=float, default=7200.0, help="seconds per task and method (7,200)")
    parser.add_argument("--json", type=Path, help="where to keep the results")
    parser.add_argument("--markdown", type=Path, help="where to write the table")
    options = parser.parse_args()
    unknown = set(options.tasks) - set(TASKS)
    if unknown:
        parser.error(f"no task is named {', '.join(sorted(unknown))}; there are {', '.join(TASKS)}")
    if importlib.util.find_spec("sbi") is None:
        options.methods = [method for method in options.methods if method != "sbi"]
    return options


def one(
    task: str, method: str, wheel: str, simulations: str, observations: str, draws: str, seed: str, *rest: str
) -> None:
    """One training and its scores, in the process that was started for it."""
    parameters, x = simulated(task, int(simulations), int(seed))
    start = time.perf_counter()
    sample, steps = {"flowvi": by_flowvi, "sbi": by_sbi}[method](task, parameters, x, int(seed))
    seconds = time.perf_counter() - start
    scores, sampling = [], []
    for number in range(1, int(observations) + 1):
        data, reference = observation(Path(wheel), task, number) if wheel else exact(number)
        start = time.perf_counter()
        drawn = sample(data, int(draws))
        sampling.append(time.perf_counter() - start)
        scores.append(c2st(reference[: int(draws)], drawn))
    record = {"scores": scores, "training_seconds": seconds, "sampling_seconds": sampling, "steps": steps}
    Path(rest[-1]).write_text(json.dumps(record))


def by_flowvi(task: str, parameters: np.ndarray, x: np.ndarray, seed: int):
    """A function that draws from q given data, and the steps of its training."""
    import flowvi

    amortized = flowvi.amortize(
        simulations=({"parameters": parameters}, x),
        supports={"parameters": TASKS[task].support},
        flow=lambda dim, *, key, condition_dim: flowvi.flows.neural_spline(
            dim, key=key, layers=LAYERS, width=WIDTH, condition_dim=condition_dim
        ),
        seed=seed,
        progress=False,
    )
    return lambda data, n: amortized.sample(data, n)["parameters"], int(amortized.curve.steps[-1])


def by_sbi(task: str, parameters: np.ndarray, x: np.ndarray, seed: int):
    """The same by sbi's neural posterior estimation, as it is set by default but for the flow."""
    import torch
    from sbi.inference import NPE
    from sbi.neural_nets import posterior_nn
    from sbi.utils import BoxUniform

    torch.manual_seed(seed)
    build = posterior_nn("nsf", hidden_features=WIDTH, num_transforms=LAYERS)
    support, dim = TASKS[task].support, parameters.shape[1]
    prior = None if support == "real" else BoxUniform(*(bound * torch.ones(dim) for bound in support[1:]))
    inference = NPE(prior=prior, density_estimator=build, show_progress_bars=False)
    inference.append_simulations(*(torch.as_tensor(a, dtype=torch.float32) for a in (parameters, x)))
    estimator = inference.train()
    epochs = int(inference.summary["epochs_trained"][-1])
    if prior is not None:
        # leaves out what is beyond the prior
        posterior = inference.build_posterior(estimator)
        return lambda data, n: np.asarray(
            posterior.sample((n,), x=torch.as_tensor(data, dtype=torch.float32), show_progress_bars=False)
        ), epochs

    def sample(data: np.ndarray, n: int) -> np.ndarray:
        with torch.no_grad():
            condition = torch.as_tensor(data[None], dtype=torch.float32)
            return np.asarray(estimator.sample((n,), condition=condition)).reshape(n, dim)

    return sample, epochs


def exact(number: int) -> tuple[np.ndarray, np.ndarray]:
    """An observation of the linear Gaussian task, and draws of its posterior: prior and noise are equal."""
    rng = np.random.default_rng(number)
    x = simulated("gaussian_linear", 1, 1000 + number)[1][0]
    return x, x / 2 + np.sqrt(0.05) * rng.normal(size=(10_000, 10))


def c2st(reference: np.ndarray, drawn: np.ndarray) -> float:
    """Accuracy of a classifier between two sets of points, cross-validated, as sbibm has it."""
    from sklearn.model_selection import KFold, cross_val_score
    from sklearn.neural_network import MLPClassifier

    location, scale = reference.mean(axis=0), reference.std(axis=0, ddof=1)
    points = (np.concatenate([reference, drawn]) - location) / scale
    labels = np.repeat([0, 1], [len(reference), len(drawn)])
    width = 10 * reference.shape[1]
    network = MLPClassifier(hidden_layer_sizes=(width, width), max_iter=10_000, random_state=1)
    folds = KFold(n_splits=5, shuffle=True, random_state=1)
    return float(cross_val_score(network, points, labels, cv=folds, scoring="accuracy").mean())


def cell(record: Record) -> str:
    """A training as a cell of the table."""
    if "error" in record:
        return record["error"]
    scores = np.array(record["scores"])
    error = scores.std(ddof=1) / len(scores) ** 0.5 if len(scores) > 1 else np.nan
    return f"{scores.mean():.3f} ± {error:.3f}, {record['training_seconds']:.0f} s"


def markdown(records: list[Record]) -> str:
    """A row per task, a column per method."""
    methods = list(dict.fromkeys(r["method"] for r in records))
    tasks = list(dict.fromkeys(r["task"] for r in records))
    cells = {(r["task"], r["method"]): cell(r) for r in records}
    rows = [("task", *methods), ("---",) * (1 + len(methods))]
    rows += [(task, *(cells.get((task, method), "") for method in methods)) for task in tasks]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(*sys.argv[2:])
    else:
        main()
