"""A Stan program compiled by BridgeStan, where it is installed with its sources."""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import json
import os
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, final

import numpy as np

from flowvi.errors import DataError, DependencyError, ModelError
from flowvi.targets.stan.backend import (
    GENERATED,
    PARAMETERS,
    TRANSFORMED,
    UNCONSTRAINED,
    Backend,
    Failures,
    register,
)
from flowvi.targets.stan.compile import _cache_folder
from flowvi.targets.stan.program import StanModel

_handles = itertools.count()
_WORTH_A_THREAD = 2e-4  # seconds per point
_threads = os.cpu_count() or 1
_pool = ThreadPoolExecutor(_threads)  # kept: each new thread makes itself an autodiff tape


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
        DependencyError: there is no `make`.
        ModelError: the program does not compile.
        DataError: a variable of the data block is missing, or has the wrong shape, type or values.
    """

    ffi = False

    def __init__(self, model: StanModel):
        import bridgestan  # pyright: ignore[reportMissingImports]

        library = _compile(model)
        self.library = library.stem
        self.handle = next(_handles)
        try:
            # the library is loaded once for all data: that is no mistake to be warned of
            self._model = bridgestan.StanModel(library, json.dumps(_nested(model.data)), seed=0, warn=False)
        except RuntimeError as error:
            raise DataError(f"The Stan program {model.name} does not take these data: {error}") from error
        levels = (UNCONSTRAINED, PARAMETERS, TRANSFORMED, GENERATED)
        self._widths = [len(self.names(level)) for level in levels]
        register(self)

    def names(self, level: int) -> list[str]:
        if level == UNCONSTRAINED:
            return [name for name in self._model.param_unc_names() if name]
        found = self._model.param_names(include_tp=level >= TRANSFORMED, include_gq=level >= GENERATED)
        return [name for name in found if name]

    def evaluate(self, z: np.ndarray, gradient: bool) -> tuple[np.ndarray, np.ndarray, Failures]:
        values = np.full(len(z), np.nan)
        gradients = np.full(z.shape if gradient else 0, np.nan)

        def one(i: int) -> None:
            try:
                if gradient:
                    values[i], _ = self._model.log_density_gradient(
                        z[i], propto=False, jacobian=True, out=gradients[i]
                    )
                else:
                    values[i] = self._model.log_density(z[i], propto=False, jacobian=True)
            except RuntimeError as error:
                # BridgeStan does not say which exception it was; by far the most are rejections
                rejected = not np.isnan(z[i]).any() and "out of range" not in str(error)
                values[i] = -np.inf if rejected else np.nan
                if gradient:
                    gradients[i] = 0.0 if rejected else np.nan
                raise

        return values, gradients, _each(len(z), one)

    def constrain(self, z: np.ndarray, seed: int) -> tuple[np.ndarray, Failures]:
        values = np.full((len(z), self._widths[GENERATED]), np.nan)

        def one(i: int) -> None:
            rng = self._model.new_rng((seed * 1_000_003 + i) % 2**32)
            try:
                self._model.param_constrain(z[i], include_tp=True, include_gq=True, rng=rng, out=values[i])
            except RuntimeError:  # BridgeStan gives nothing of it: what comes before is asked for by itself
                for level in (PARAMETERS, TRANSFORMED):
                    self._model.param_constrain(
                        z[i], include_tp=level == TRANSFORMED, out=values[i, : self._widths[level]]
                    )
                raise

        return values, _each(len(z), one)

    def unconstrain(self, parameters: np.ndarray) -> tuple[np.ndarray, Failures]:
        z = np.full((len(parameters), self._widths[UNCONSTRAINED]), np.nan)
        return z, _each(len(parameters), lambda i: self._model.param_unconstrain(parameters[i], out=z[i]))


def _compile(model: StanModel) -> Path:
    """The shared library of a program, from the cache where it can be known that nothing changed.

    Raises:
        DependencyError: there is no `make`.
        ModelError: the program does not compile.
    """
    import bridgestan  # pyright: ignore[reportMissingImports]

    sources = os.environ["BRIDGESTAN"]
    key = "\0".join((model.code, model.name, str(model.folder), bridgestan.__version__, sources))
    name = f"bridgestan_{hashlib.blake2b(key.encode(), digest_size=8).hexdigest()}"
    kept = _cache_folder() / f"{name}.so"
    # included files are not in the key
    if kept.exists() and "#include" not in model.code:
        return kept
    arguments = [f"--filename-in-msg={model.name}"]
    if model.folder:
        arguments.append(f"--include-paths={model.folder}")
    # they pass through make and its shell
    arguments = [shlex.quote(argument).replace("$", "$$") for argument in arguments]
    with tempfile.TemporaryDirectory() as scratch:  # not in the cache: make takes no path with spaces
        source = Path(scratch) / f"{name}.stan"
        source.write_text(model.code, encoding="utf-8")
        try:
            library = bridgestan.compile_model(source, stanc_args=arguments, make_args=["STAN_THREADS=true"])
        except FileNotFoundError as error:
            raise DependencyError(f"BridgeStan needs make and a C++ compiler: {error}.") from error
        except RuntimeError as error:
            raise ModelError(f"The Stan program {model.name} does not compile:\n{error}") from error
        if "#include" in model.code:  # a path of its own, or the library already loaded would be found
            content = hashlib.blake2b(library.read_bytes(), digest_size=8).hexdigest()
            kept = kept.with_stem(f"{name}_{content}")
        copy = kept.with_suffix(f".{os.getpid()}-{next(_handles)}")
        shutil.copy(library, copy)
        os.replace(copy, kept)
    return kept


def _nested(data: Any) -> dict[str, Any]:
    """Data as Stan's JSON has them: parts of a tuple, `"t.1"` and `"t.2"`, in an object of their own."""
    nested: dict[str, Any] = {}
    for name, value in data.items():
        *outer, last = name.split(".")
        place = nested
        for part in outer:
            place = place.setdefault(part, {})
        place[last] = value.tolist()
    return nested


def _each(n: int, one: Callable[[int], Any]) -> Failures:
    """Call for every index, on all cores; a `RuntimeError`, which is Stan's, counts as a failure."""

    def some(indices: range) -> list[str]:
        messages: list[str] = []
        for i in indices:
            try:
                one(i)
            except RuntimeError as error:
                messages.append(str(error).strip())
        return messages

    began = time.perf_counter()
    messages = some(range(min(n, 1)))
    # threads that wait for one another's Python cost more than a cheap density
    threads = _threads if time.perf_counter() - began > _WORTH_A_THREAD else 1
    size = max(-(-(n - 1) // threads), 1)
    parts = [range(start, min(start + size, n)) for start in range(1, n, size)]
    for found in _pool.map(some, parts) if threads > 1 else map(some, parts):
        messages += found
    return Failures(len(messages), messages[0] if messages else "")
