"""How long draws of an amortized posterior take once it is trained, on the tasks of amortized.py.

    python benchmarks/amortized_speed.py [TASK ...] [--calls 200] [--sets 10000] [--draws 100]

For each task: 1,000 uncorrected draws for one new data set after another, and --draws draws for each of
--sets data sets in one call, all after one call of that shape has compiled. Training is cut short: how long
draws take does not depend on the weights.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import flowvi
from amortized_tasks import TASKS, simulated

DRAWS = 1000


def main() -> None:
    """Time the tasks, one row each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tasks", nargs="*", metavar="TASK", help=f"of {', '.join(TASKS)} (all)")
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--sets", type=int, default=10_000)
    parser.add_argument("--draws", type=int, default=100)
    options = parser.parse_args()
    print("| task | 1,000 draws, ms: median | least | 95% below |", end="")
    print(f" {options.draws:,} draws for each of {options.sets:,} data sets, s |")
    print("| --- | --- | --- | --- | --- |")
    for task in options.tasks or TASKS:
        print(row(task, options.calls, options.sets, options.draws), flush=True)


def row(task: str, calls: int, sets: int, draws: int) -> str:
    """The times of a task."""
    parameters, x = simulated(task, 1000, 0)
    amortized = flowvi.amortize(
        simulations=({"parameters": parameters}, x),
        supports={"parameters": TASKS[task].support},
        max_steps=100,
        progress=False,
    )
    _, new = simulated(task, sets, 1)
    amortized.sample(new[0], DRAWS)
    each = [timed(amortized, one, DRAWS) for one in new[:calls]]
    amortized.sample(new, draws, seed=1)
    together = timed(amortized, new, draws)
    median, least, most = 1000 * np.quantile(each, [0.5, 0.0, 0.95])
    return f"| {task} | {median:.1f} | {least:.1f} | {most:.1f} | {together:.2f} |"


def timed(amortized: flowvi.Amortized, x: np.ndarray, n: int) -> float:
    """Seconds that draws take."""
    start = time.perf_counter()
    amortized.sample(x, n)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
