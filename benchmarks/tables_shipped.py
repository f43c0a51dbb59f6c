"""Real tables that come with a package, and those of a user's own files."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

_SKLEARN = ("wine", "breast_cancer", "diabetes", "iris")
_STATSMODELS = ("ccard", "china_smoking", "copper", "elnino", "fair", "modechoice", "randhie", "star98")


def shipped() -> list[str]:
    """The names of the tables that installed packages ship with fifty rows or more."""
    names = [*_SKLEARN] if importlib.util.find_spec("sklearn") else []
    return names + ([*_STATSMODELS] if importlib.util.find_spec("statsmodels") else [])


def load(name: str, path: str) -> np.ndarray:
    """The numbers of a table, (rows, columns)."""
    if path:
        loaded = np.load(path) if Path(path).suffix == ".npy" else np.loadtxt(path, delimiter=",", skiprows=1)
        return np.asarray(loaded, np.float64)
    if name in _SKLEARN:
        from sklearn import datasets

        return getattr(datasets, f"load_{name}")().data
    from statsmodels import datasets

    frame = getattr(datasets, name).load_pandas().data
    return frame.select_dtypes("number").dropna().to_numpy(np.float64)


def continuous(values: np.ndarray, seed: int) -> np.ndarray:
    """Columns with a density: others are spread over their lattice, or dropped where they have none."""
    from flowvi.density.columns import noise_widths
    from flowvi.density.table import read_table
    from flowvi.errors import DataError

    rng = np.random.default_rng([seed, 1])
    columns = []
    for column in values.T[np.ptp(values, axis=0) > 0]:
        try:
            (width,) = noise_widths(read_table(column, "x"), True)
        except DataError:
            continue
        columns.append(column + width * rng.uniform(-0.5, 0.5, len(column)))
    return np.column_stack(columns)
