"""One density of one table, in a process of its own that tables.py starts."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

from table_methods import METHODS
from tables_shipped import continuous, load


def main() -> None:
    """METHOD TABLE PATH SEED START OUT, START being the time at which the process was asked for."""
    name, table, path, seed, start, out = sys.argv[1:]
    x = continuous(load(table, path), int(seed))
    method = METHODS[name]
    record = by_flowvi(method, x, int(seed)) if isinstance(method, str) else by_other(method, x, int(seed))
    record |= {"seconds": time.time() - float(start), "rows": len(x), "columns": x.shape[1]}
    Path(out).write_text(json.dumps(record))


def by_flowvi(flow: str, x: np.ndarray, seed: int) -> dict[str, float]:
    """A flow by its name."""
    import flowvi

    fit = flowvi.fit_density(x, flow=flow, seed=seed, progress=False)
    return {
        "nats": fit.held_out.value,
        "standard_error": fit.held_out.standard_error,
        "steps": int(fit.curve.steps[-1]),
    }


def by_other(method, x: np.ndarray, seed: int) -> dict[str, float]:
    """Anything else, on the rows that `fit_density` takes and as it standardises them."""
    from flowvi.density.rows import split

    parts = split(len(x), np.random.default_rng(seed))
    location, scale = x[parts.train].mean(axis=0), x[parts.train].std(axis=0)
    values = method(tuple((x[part] - location) / scale for part in parts), seed) - np.log(scale).sum()
    return {"nats": values.mean(), "standard_error": values.std(ddof=1) / len(values) ** 0.5}


if __name__ == "__main__":
    main()
