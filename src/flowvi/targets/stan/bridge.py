"""A Stan program compiled by BridgeStan, where it is installed with its sources."""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import json
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, final

import numpy as np

from flowvi.errors import DataError, ModelError
from flowvi.targets.stan.backend import GENERATED, TRANSFORMED, UNCONSTRAINED, Backend, Failures, register
from flowvi.targets.stan.program import StanModel

_handles = itertools.count()


def bridgestan_is_installed() -> bool:
    """Whether the package `bridgestan` is there and its sources are at `$BRIDGESTAN`; downloads nothing."""
    sources = os.environ.get("BRIDGESTAN", "")
    return (
        bool(sources)
        and (Path(sources) / "Makefile").exists()
        and importlib.util.find_spec("bridgestan") is not None
    )


@final
class BridgeStanModel(Backend):
    """A Stan program compiled by BridgeStan, loaded with its data; compiled code reaches it through Python.

    Raises:
        ModelError: the program does not compile.
        DataError: a variable of the data block is missing, or has the wrong shape, type or values.
    """

    ffi = False

    def __init__(self, model: StanModel):
        import bridgestan  # pyright: ignore[reportMissingImports]

        self.library = f"bridgestan_{hashlib.blake2b(model.code.encode(), digest_size=8).hexdigest()}"
        self.handle = next(_handles)
        with tempfile.TemporaryDirectory() as scratch:
            source = Path(scratch) / f"{self.library}.stan"
            source.write_text(model.code, encoding="utf-8")
            includes = [f"--include-paths={model.folder}"] if model.folder else []
            try:
                library = bridgestan.compile_model(
                    source, stanc_args=includes, make_args=["STAN_THREADS=true"]
                )
            except RuntimeError as error:
                raise ModelError(f"The Stan program {model.name} does not compile:\n{error}") from error
            data = json.dumps({name: value.tolist() for name, value in model.data.items()})
            try:
                self._model = bridgestan.StanModel(str(library), data, seed=0)
            except RuntimeError as error:
                raise DataError(f"The Stan program {model.name} does not take these data: {error}") from error
        register(self)

    def names(self, level: int) -> list[str]:
        if level == UNCONSTRAINED:
            return [name for name in self._model.param_unc_names() if name]
        found = self._model.param_names(include_tp=level >= TRANSFORMED, include_gq=level >= GENERATED)
        return [name for name in found if name]

    def evaluate(self, z: np.ndarray, gradient: bool) -> tuple[np.ndarray, np.ndarray, Failures]:
        def one(i: int) -> tuple[float, Any]:
            if gradient:
                return self._model.log_density_gradient(z[i], propto=False, jacobian=True)
            return self._model.log_density(z[i], propto=False, jacobian=True), np.nan

        # BridgeStan does not say which exception it was: none of them is taken for a rejection
        rows, failures = _each(len(z), one, (np.nan, np.nan))
        values = np.array([value for value, _ in rows], dtype=float)
        gradients = np.empty(z.shape if gradient else 0)
        if gradient:
            for i, (_, found) in enumerate(rows):
                gradients[i] = found
        return values, gradients, failures

    def constrain(self, z: np.ndarray, seed: int) -> tuple[np.ndarray, Failures]:
        def one(i: int) -> np.ndarray:
            rng = self._model.new_rng((seed * 1_000_003 + i) % 2**32)
            return self._model.param_constrain(z[i], include_tp=True, include_gq=True, rng=rng)

        rows, failures = _each(len(z), one, np.full(len(self.names(GENERATED)), np.nan))
        return np.array(rows).reshape(len(z), -1), failures

    def unconstrain(self, parameters: np.ndarray) -> tuple[np.ndarray, Failures]:
        rows, failures = _each(
            len(parameters),
            lambda i: self._model.param_unconstrain(parameters[i]),
            np.full(len(self.names(UNCONSTRAINED)), np.nan),
        )
        return np.array(rows).reshape(len(parameters), -1), failures


def _each(n: int, one: Callable[[int], Any], failed: Any) -> tuple[list[Any], Failures]:
    messages: list[str] = []

    def guarded(i: int) -> Any:
        try:
            return one(i)
        except RuntimeError as error:
            messages.append(str(error))
            return failed

    with ThreadPoolExecutor() as pool:
        rows = list(pool.map(guarded, range(n)))
    return rows, Failures(len(messages), messages[0] if messages else "")
