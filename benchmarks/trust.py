"""Whether flowvi's verdict can be trusted: levels against true errors, on shared and synthetic posteriors.

    python benchmarks/trust.py FOLDER [NAME ...] [--only-shared] [--only-synthetic] [--seeds 0 1 2]
                               [--timeout 300] [--json FILE] [--markdown FILE] [--picture FILE]

FOLDER is that of posteriors.py; the synthetic posteriors, with exact draws, are those of synthetic.py; NAME
is a part of a posterior's name. flowvi's default call. The seeds of one posterior share a process, so that
seconds, which are those of the fit alone, include compiling for the first seed only; it is ended where a fit
takes longer than the timeout. Results are kept in --json as they come; a run that stopped goes on from there.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import synthetic
from confusion import markdown
from posteriors import available

STARTING = 60.0
"""Seconds that a process may take before its first fit."""

Record = dict[str, Any]


def main() -> None:
    """Run what is asked for and print the tables."""
    options = parse()
    os.environ["FLOWVI_CACHE_DIR"] = ""
    resumed = options.json is not None and options.json.exists()
    records: list[Record] = json.loads(options.json.read_text()) if resumed else []
    done = {(r["kind"], r["name"], r["seed"]) for r in records}
    for kind, name in plan(options):
        seeds = [seed for seed in options.seeds if (kind, name, seed) not in done]
        for fitted in fits(options.folder, kind, name, seeds, options.timeout):
            records.append({"kind": kind, "name": name} | fitted)
            print(line(records[-1]), file=sys.stderr, flush=True)
            if options.json:
                options.json.write_text(json.dumps(records, indent=1))
    text = markdown(records)
    print(text)
    if options.markdown:
        options.markdown.write_text(text + "\n")
    if options.picture:
        from confusion_picture import draw

        draw(records, options.picture)


def parse() -> argparse.Namespace:
    """The command line."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("folder", type=lambda text: Path(text).resolve())
    parser.add_argument("names", nargs="*", help="only posteriors with one of these in their name")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--only-shared", action="store_true", help="those of the folder alone")
    only.add_argument("--only-synthetic", action="store_true", help="those with exact draws alone")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds per fit (300)")
    parser.add_argument("--json", type=Path, help="where to keep the results")
    parser.add_argument("--markdown", type=Path, help="where to write the tables")
    parser.add_argument("--picture", type=Path, help="where to draw errors against levels")
    return parser.parse_args()


def plan(options: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """Kind and name of every posterior, in order."""
    shared = [] if options.only_synthetic else available(options.folder)[0]
    made = [] if options.only_shared else list(synthetic.TARGETS)
    for kind, names in (("shared", shared), ("synthetic", made)):
        for name in names:
            if not options.names or any(part in name for part in options.names):
                yield kind, name


def fits(folder: Path, kind: str, name: str, seeds: list[int], timeout: float) -> Iterator[Record]:
    """A record per seed; where a fit ends its process, or is ended with it, the next seed gets another."""
    left = list(seeds)
    while left:
        for record in in_one_process(folder, kind, name, left, timeout):
            left.remove(record["seed"])
            yield record


def in_one_process(folder: Path, kind: str, name: str, seeds: list[int], timeout: float) -> Iterator[Record]:
    """Records until all seeds are done, or up to the first whose fit did not end by itself."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(sender, folder, kind, name, seeds), daemon=True)
    process.start()
    sender.close()
    patience = timeout + STARTING
    try:
        for seed in seeds:
            start = time.perf_counter()
            error = f"over {timeout:.0f} s"
            try:
                if receiver.poll(patience):
                    yield receiver.recv()
                    patience = timeout
                    continue
            except EOFError:
                process.join()
                error = f"the process ended with {process.exitcode}"
            yield {"seed": seed, "seconds": time.perf_counter() - start, "error": error}
            return
    finally:
        process.kill()
        process.join()


def work(sender: Connection, folder: Path, kind: str, name: str, seeds: list[int]) -> None:
    """In the other process: send a record for every seed."""
    sys.path.insert(0, str(folder))
    import trust_worker

    for record in trust_worker.records(trust_worker.case(kind, folder, name), seeds):
        sender.send(record)


def line(record: Record) -> str:
    """One fit on one line, while the rest is running."""
    head = f"{record['name']}  seed {record['seed']}  {record['seconds']:.1f} s"
    if "error" in record:
        return f"{head}  {record['error']}"
    errors = f"  mean {record['location']:.3f}  sd {record['spread']:.3f}" if record["proper"] else ""
    return f"{head}  {record['verdict']}{errors}"


if __name__ == "__main__":
    main()
