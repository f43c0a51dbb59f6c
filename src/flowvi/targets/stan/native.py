"""A Stan program in a shared library of our own, called by ctypes and by XLA."""

from __future__ import annotations

import ctypes
import functools
import threading
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import jax
import numpy as np

from flowvi.errors import DataError, DependencyError
from flowvi.targets.stan.backend import GENERATED, PARAMETERS, UNCONSTRAINED, Backend, Failures, register
from flowvi.targets.stan.compile import compile_program
from flowvi.targets.stan.program import StanModel

_MESSAGE_SIZE = 4096
_loading = threading.Lock()


class _Variable(ctypes.Structure):
    """`Variable` of runtime.cpp."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("is_integer", ctypes.c_int32),
        ("rank", ctypes.c_int32),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("values", ctypes.c_void_p),
    )


@final
class NativeModel(Backend):
    """A Stan program, compiled and loaded with its data; frees the C++ model when it goes.

    Raises:
        DependencyError: httpstan or a C++ compiler is missing, or the library cannot be loaded.
        ModelError: the program does not translate or compile.
        DataError: a variable of the data block is missing, or has the wrong shape, type or values.
    """

    ffi = True

    def __init__(self, model: StanModel):
        path = compile_program(model.name, model.code, model.folder)
        self._library = _load(path)
        self.library = _target_name(path)
        self.handle = self._create(model.name, model.data)
        weakref.finalize(self, self._library.flowvi_free, self.handle)
        self._dim = len(self.names(UNCONSTRAINED))
        self._width = len(self.names(PARAMETERS)), len(self.names(GENERATED))
        register(self)

    def names(self, level: int) -> list[str]:
        size = self._library.flowvi_names(self.handle, level, None, 0)
        text = ctypes.create_string_buffer(size + 1)
        self._library.flowvi_names(self.handle, level, text, size)
        return text.value.decode().split()

    def evaluate(self, z: np.ndarray, gradient: bool) -> tuple[np.ndarray, np.ndarray, Failures]:
        values = np.empty(len(z))
        gradients = np.empty((len(z), self._dim) if gradient else 0)
        pointer = gradients.ctypes.data if gradient else None
        failures = self._call("evaluate", len(z), z.ctypes.data, values.ctypes.data, pointer)
        return values, gradients, failures

    def constrain(self, z: np.ndarray, seed: int) -> tuple[np.ndarray, Failures]:
        values = np.full((len(z), self._width[1]), np.nan)
        failures = self._call("constrain", len(z), self._width[1], z.ctypes.data, seed, values.ctypes.data)
        return values, failures

    def unconstrain(self, parameters: np.ndarray) -> tuple[np.ndarray, Failures]:
        z = np.full((len(parameters), self._dim), np.nan)
        failures = self._call(
            "unconstrain", len(parameters), self._width[0], parameters.ctypes.data, z.ctypes.data
        )
        return z, failures

    def _call(self, function: str, *arguments: Any) -> Failures:
        message = ctypes.create_string_buffer(_MESSAGE_SIZE)
        call = getattr(self._library, f"flowvi_{function}")
        count = call(self.handle, *arguments, message, _MESSAGE_SIZE)
        return Failures(count, message.value.decode(errors="replace"))

    def _create(self, name: str, data: Mapping[str, np.ndarray]) -> int:
        arrays = {variable: np.ravel(values, order="F") for variable, values in data.items()}
        shapes = {variable: np.array(values.shape, dtype=np.int64) for variable, values in data.items()}
        variables = (_Variable * len(data))(
            *(
                _Variable(
                    variable.encode(),
                    values.dtype == np.int32,
                    len(shapes[variable]),
                    shapes[variable].ctypes.data_as(ctypes.POINTER(ctypes.c_int64)),
                    values.ctypes.data,
                )
                for variable, values in arrays.items()
            )
        )
        message = ctypes.create_string_buffer(_MESSAGE_SIZE)
        handle = self._library.flowvi_create(variables, len(data), 0, message, _MESSAGE_SIZE)
        if handle < 0:
            raise DataError(
                f"The Stan program {name} does not take these data: {message.value.decode(errors='replace')}"
            )
        return handle


def _load(path: Path) -> ctypes.CDLL:
    with _loading:  # XLA takes a name once; threads may build the same target at the same time
        return _load_once(path)


@functools.cache
def _load_once(path: Path) -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise DependencyError(
            f"The compiled Stan program {path} cannot be loaded; delete it. {error}"
        ) from error
    i32, i64, u32, size, pointer = (
        ctypes.c_int32,
        ctypes.c_int64,
        ctypes.c_uint32,
        ctypes.c_size_t,
        ctypes.c_void_p,
    )
    text = ctypes.c_char_p
    signatures = {
        "create": [ctypes.POINTER(_Variable), i64, u32, text, size],
        "names": [i32, i32, text, size],
        "evaluate": [i32, i64, pointer, pointer, pointer, text, size],
        "constrain": [i32, i64, i64, pointer, u32, pointer, text, size],
        "unconstrain": [i32, i64, i64, pointer, pointer, text, size],
    }
    for name, arguments in signatures.items():
        function = getattr(library, f"flowvi_{name}")
        function.restype, function.argtypes = i64, arguments
    library.flowvi_free.restype, library.flowvi_free.argtypes = None, [i32]
    for symbol, kind in (("flowvi_value", "value"), ("flowvi_value_and_gradient", "gradient")):
        handler = jax.ffi.pycapsule(getattr(library, symbol))
        jax.ffi.register_ffi_target(f"{_target_name(path)}_{kind}", handler, platform="cpu")
    return library


def _target_name(path: Path) -> str:
    return f"flowvi_stan_{path.stem}"
