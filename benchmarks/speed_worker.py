"""The times of one library and family, in a process of its own that speed.py starts."""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from speed_sizes import Work

SECONDS, MOST_STEPS = 5.0, 2000
"""What the steps that are timed may take together, and how many there are at most."""
SAMPLES = 20


def seconds(call: Callable[[], object]) -> tuple[float, object]:
    """How long a call takes, and what it gives."""
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def trained(work: Work, compiling_only: bool) -> dict[str, float]:
    """Seconds that the first fit takes longer than the same again, and microseconds per step after that.

    The time of a step is the difference between two fits, by that of their steps: setting up is aside.
    """
    first, _ = seconds(lambda: work.train(work.few))
    short, few = seconds(lambda: work.train(work.few))
    if compiling_only:
        return {"compile": first - short}
    more = int(min(max(SECONDS / short * few, 2 * work.few), MOST_STEPS))
    long, many = seconds(lambda: work.train(work.few + more))
    return {"compile": first - short, "step": 1e6 * (long - short) / (many - few), "steps": many - few}


def sampled(work: Work) -> dict[str, float]:
    """Microseconds of 10,000 draws, the median of twenty times; seconds that the first took longer."""
    times = {}
    for name, call in (("sample", work.sample), ("sample_as_called", work.sample_as_called)):
        if call is not None:
            first, _ = seconds(call)
            again = median(seconds(call)[0] for _ in range(SAMPLES))
            times |= {name: 1e6 * again, f"{name}_compile": first - again}
    return times


def main() -> None:
    """LIBRARY FAMILY LAYERS OUT; LAYERS is 0 for the usual number, another one asks for compiling only."""
    library, family, layers, out = sys.argv[1:]
    work = importlib.import_module(f"speed_{library}").work(family, int(layers) or None)
    record = trained(work, compiling_only=layers != "0")
    if layers == "0":
        record |= sampled(work)
    Path(out).write_text(json.dumps(record))


if __name__ == "__main__":
    main()
