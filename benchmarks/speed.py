"""How fast flows train and sample: flowvi beside FlowJAX and zuko, at equal sizes and precision.

    python benchmarks/speed.py [--families NAME ...] [--libraries NAME ...] [--repeats 3] [--depths 4 8 16 32]
                               [--json FILE] [--markdown FILE]

Architectures, batch and data are those of speed_sizes.py. Every measurement is a fresh process with cold
caches, and the libraries take turns; cells are medians over the repeats. A training step is one of maximum
likelihood by Adam in float32, through what a user of each library runs: `flowvi.fit_density` (its
validation included), FlowJAX's `fit_to_data`, zuko's loop in PyTorch. Draws are made in float32, by a
compiled function where the library compiles. --depths asks for the time to compile training at these
numbers of layers. Results are kept in --json as they come; a run that stopped goes on from there.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from speed_sizes import FAMILIES
from speed_table import markdown

Record = dict[str, Any]

LIBRARIES = ("flowvi", "flowjax", "zuko")
DEPTHS = (4, 8, 16, 32)
DEEP_FAMILIES = ("affine coupling", "spline coupling", "affine autoregressive", "planar")
"""Families whose time to compile is measured at several depths."""
TIMEOUT = 1200.0
"""Seconds for one process."""


def main() -> None:
    """Measure what is asked for and print the tables."""
    options = parse()
    resumed = options.json is not None and options.json.exists()
    records: list[Record] = json.loads(options.json.read_text()) if resumed else []
    done = [key(r) for r in records]
    for task in plan(options):
        if key(task) in done:
            continue
        records.append(task | measured(task))
        print(json.dumps(records[-1]), file=sys.stderr, flush=True)
        if options.json:
            options.json.write_text(json.dumps(records, indent=1))
    text = markdown(records)
    print(text)
    if options.markdown:
        options.markdown.write_text(text + "\n")


def parse() -> argparse.Namespace:
    """The command line."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--families", nargs="+", default=list(FAMILIES), choices=FAMILIES)
    parser.add_argument("--libraries", nargs="+", default=list(LIBRARIES), choices=LIBRARIES)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--depths", type=int, nargs="*", default=list(DEPTHS), help="none: leave these out")
    parser.add_argument("--json", type=Path, help="where to keep the results")
    parser.add_argument("--markdown", type=Path, help="where to write the tables")
    return parser.parse_args()


def plan(options: argparse.Namespace) -> Iterator[Record]:
    """What to measure, the libraries in turn; layers is 0 for the usual number."""
    for repeat in range(options.repeats):
        for family in options.families:
            for layers in (0, *(options.depths if family in DEEP_FAMILIES else ())):
                for library in FAMILIES[family]:
                    if library in options.libraries:
                        yield {"repeat": repeat, "family": family, "layers": layers, "library": library}


def key(record: Record) -> tuple[Any, ...]:
    """What was measured."""
    return tuple(record[name] for name in ("repeat", "family", "layers", "library"))


def measured(task: Record) -> Record:
    """The times that speed_worker.py takes, or the error."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "times.json"
        worker = Path(__file__).with_name("speed_worker.py")
        arguments = [task["library"], task["family"], str(task["layers"]), str(out)]
        try:
            ended = subprocess.run(
                [sys.executable, str(worker), *arguments],
                env=os.environ | {"FLOWVI_CACHE_DIR": "", "JAX_PLATFORMS": "cpu"},
                capture_output=True,
                text=True,
                timeout=TIMEOUT,
            )
        except subprocess.TimeoutExpired:
            return {"error": f"over {TIMEOUT:.0f} s"}
        if ended.returncode:
            return {"error": message(ended.stderr)}
        return json.loads(out.read_text())


def message(stderr: str) -> str:
    """The line that names the error; JAX writes others below it."""
    lines = stderr.strip().splitlines() or ["ended without a message"]
    return next((line for line in reversed(lines) if re.match(r"[\w.]*(Error|Exception)\b", line)), lines[-1])


if __name__ == "__main__":
    main()
