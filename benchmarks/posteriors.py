"""flowvi beside NumPyro's NUTS and nutpie on real posteriors with reference draws and log evidence.

    python benchmarks/posteriors.py FOLDER [NAME ...] [--no-peers] [--only-peers] [--warm-nutpie]
                                    [--seeds 0 1 2] [--timeout 600] [--json FILE] [--markdown FILE]

FOLDER holds numpyro_models.py (`POSTERIORS`, `load`, `reference_draws`, `reference_log_evidence`),
pymc_models.py (`NAMES`, `build`) and a folder of reference draws per posterior; NAME is a part of a
posterior's name. Every fit runs in a fresh process with cold caches, one at a time, flowvi and peers in
turn. Time in all counts from asking for the process to draws in memory: imports and compiling included.
Results are kept in --json as they come; a run that stopped goes on from there.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from table import markdown

HERE = Path(__file__).resolve().parent
NUMPYRO = ("numpyro sequential", "numpyro vectorized")

Record = dict[str, Any]


def main() -> None:
    """Run what is asked for and print the table."""
    options = parse()
    resumed = options.json is not None and options.json.exists()
    records: list[Record] = json.loads(options.json.read_text()) if resumed else []
    done = {(r["name"], r["seed"], r["method"]) for r in records}
    for name, seed, method in plan(options):
        if (name, seed, method) in done:
            continue
        record = {"name": name, "seed": seed, "method": method}
        record |= run(method, options.folder, name, seed, options.timeout, options.warm_nutpie)
        records.append(record)
        print(line(record), file=sys.stderr, flush=True)
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
    parser.add_argument("folder", type=lambda text: Path(text).resolve())
    parser.add_argument("names", nargs="*", help="only posteriors with one of these in their name")
    parser.add_argument("--no-peers", action="store_true", help="flowvi alone")
    parser.add_argument("--only-peers", action="store_true", help="the peers alone")
    parser.add_argument("--warm-nutpie", action="store_true", help="keep PyTensor's and Numba's caches")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds per fit (600)")
    parser.add_argument("--json", type=Path, help="where to keep the results")
    parser.add_argument("--markdown", type=Path, help="where to write the table")
    return parser.parse_args()


def plan(options: argparse.Namespace) -> Iterator[tuple[str, int, str]]:
    """Posterior, seed and method of every fit, in order."""
    names, with_pymc = available(options.folder)
    for seed in options.seeds:
        for name in names:
            if options.names and not any(part in name for part in options.names):
                continue
            if not options.only_peers:
                yield name, seed, "flowvi"
            if not options.no_peers:
                yield from ((name, seed, method) for method in NUMPYRO)
                if name in with_pymc:
                    yield name, seed, "nutpie"


def available(folder: Path) -> tuple[list[str], list[str]]:
    """All posteriors, and those with a PyMC model; asked of another process, to keep JAX out of this one."""
    script = (
        "import json, numpyro_models, pymc_models\n"
        "print(json.dumps([list(numpyro_models.POSTERIORS), list(pymc_models.NAMES)]))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, check=True, stdout=subprocess.PIPE, text=True
    )
    names, with_pymc = json.loads(answer.stdout.splitlines()[-1])
    return names, with_pymc


def run(method: str, folder: Path, name: str, seed: int, timeout: float, warm_nutpie: bool) -> Record:
    """One fit in a fresh process with cold caches."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "record.json"
        environment = os.environ | {"FLOWVI_CACHE_DIR": "", "JAX_ENABLE_COMPILATION_CACHE": "false"}
        if not warm_nutpie:
            environment["NUMBA_CACHE_DIR"] = f"{scratch}/numba"
            environment["PYTENSOR_FLAGS"] = f"base_compiledir={scratch}/pytensor"
        environment.pop("JAX_COMPILATION_CACHE_DIR", None)
        start = time.time()
        command = [sys.executable, HERE / "workers.py", method, folder, name, str(seed), repr(start), out]
        try:
            answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout)
        except subprocess.TimeoutExpired:
            return {"seconds": timeout, "error": f"over {timeout:.0f} s"}
        if answer.returncode != 0 or not out.exists():
            last = (answer.stderr.strip() or "no message").splitlines()[-1]
            return {"seconds": time.time() - start, "error": last}
        return json.loads(out.read_text())


def line(record: Record) -> str:
    """One fit on one line, while the rest is running."""
    head = f"{record['name']}  seed {record['seed']}  {record['method']}  {record['seconds']:.1f} s"
    if "error" in record:
        return f"{head}  {record['error']}"
    return f"{head}  mean {record['location']:.3f}  sd {record['spread']:.3f}  {record.get('verdict', '')}"


if __name__ == "__main__":
    main()
