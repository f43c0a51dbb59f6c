"""Simulations that were run before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flowvi.amortized.arguments import plain
from flowvi.amortized.simulators import Pairs, finite_pairs, numbers, read_parameters
from flowvi.errors import ArgumentError, DataError
from flowvi.targets.base import Draws


@dataclass(frozen=True)
class Stored:
    """Pairs that were simulated before, in an order of chance."""

    parameters: Draws
    x: Sequence[np.ndarray]

    @staticmethod
    def of(simulations: Any) -> Stored:
        """From a pair of a dict of arrays (n, *shape), and data: an array (n, *shape), or a list of arrays.
        Either may be a table of a row for each, by pandas for one.

        Raises:
            ArgumentError: it is something else.
            DataError: there are not as many data sets as parameters.
        """
        if not (isinstance(simulations, tuple | list) and len(simulations) == 2):
            raise ArgumentError(
                f"simulations={simulations!r:.60}: give how many, a whole number, or a pair of a dict of "
                "parameter arrays and the simulated data."
            )
        parameters, x = simulations
        if hasattr(parameters, "columns") and hasattr(parameters, "to_numpy"):
            parameters = {str(name): parameters[name].to_numpy() for name in parameters.columns}
        if not isinstance(parameters, Mapping):
            raise ArgumentError(
                f"Stored parameters are a {type(parameters).__name__}: give a dict of arrays (n, *shape)."
            )
        arrays = read_parameters(parameters)
        if not np.iterable(x) or isinstance(x, Mapping | str):
            raise ArgumentError(f"Stored data are a {type(x).__name__}: give an array, or a list of arrays.")
        data = [numbers(one, f"Data set {i}") for i, one in enumerate(plain(x))]
        lengths = {name: len(values) if values.ndim else 0 for name, values in arrays.items()}
        if set(lengths.values()) != {len(data)}:
            raise DataError(f"There are {len(data)} data sets, but parameters {lengths}: give one for each.")
        return Stored(arrays, data)

    def __call__(self, seed: int, n: int) -> Pairs:
        order = np.random.default_rng(seed).permutation(len(self.x))[:n]
        x = [self.x[i] for i in order]
        return finite_pairs({name: values[order] for name, values in self.parameters.items()}, x, {})
