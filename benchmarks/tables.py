"""Held-out log likelihood of real tables: flowvi beside a Gaussian, a mixture, kernels, FlowJAX and zuko.

    python benchmarks/tables.py [TABLE ...] [--methods NAME ...] [--file NAME=PATH ...] [--seed 0]
                                [--timeout 1200] [--json FILE] [--markdown FILE]

TABLE is one that scikit-learn (or statsmodels, where installed) ships, or one named by --file: POWER, GAS,
HEPMASS, MINIBOONE, BSDS300 or any other as .npy or .csv, one row per line. Columns that have no density are
spread by uniform noise where their values lie on a lattice and dropped where not, alike for everybody. Every
method trains on the same rows, chooses what it chooses by the same validation rows, and is scored in float64
on the same test rows, in nats per row on the scale of the data. Flows "at equal architecture" are spline
couplings (6 layers, 8 bins) and affine autoregressive flows (4 layers), networks of 2 hidden layers of 64
units, batches of 256. Seconds are those of a fresh process with cold caches, from asking for it to the
score: imports and compiling included. Results are kept in --json as they come; a run that stopped goes on
from there.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import fresh
from fresh import Record
from table_methods import METHODS
from tables_shipped import shipped


def main() -> None:
    """Fit what is asked for and print the table."""
    options = parse()
    files = dict(item.split("=", 1) for item in options.file)
    records = fresh.kept(options.json)
    for table in options.tables or [*shipped(), *files]:
        for method in options.methods:
            if any((r["table"], r["method"]) == (table, method) for r in records):
                continue
            arguments = method, table, files.get(table, ""), str(options.seed)
            record = fresh.run("table_worker.py", *arguments, timeout=options.timeout)
            records.append({"table": table, "method": method} | record)
            print(table, method, cell(records[-1]), file=sys.stderr, flush=True)
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
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"of {', '.join(shipped())} (all)")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), metavar="NAME")
    parser.add_argument("--file", nargs="+", default=[], metavar="NAME=PATH", help="tables of your own")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--timeout", type=float, default=1200.0, help="seconds per fit (1200)")
    parser.add_argument("--json", type=Path, help="where to keep the results")
    parser.add_argument("--markdown", type=Path, help="where to write the table")
    return parser.parse_args()


def cell(record: Record) -> str:
    """A fit as a cell of the table."""
    if "error" in record:
        return record["error"]
    return f"{record['nats']:.3f} ± {record['standard_error']:.3f}, {record['seconds']:.0f} s"


def markdown(records: list[Record]) -> str:
    """A row per table, a column per method."""
    tables = list(dict.fromkeys(r["table"] for r in records))
    methods = list(dict.fromkeys(r["method"] for r in records))
    cells = {(r["table"], r["method"]): cell(r) for r in records}
    rows = [("table (rows x columns)", *methods), ("---",) * (1 + len(methods))]
    for table in tables:
        size = next(
            (f" ({r['rows']:,} x {r['columns']})" for r in records if table == r["table"] and "rows" in r), ""
        )
        rows.append((table + size, *(cells.get((table, method), "") for method in methods)))
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


if __name__ == "__main__":
    main()
