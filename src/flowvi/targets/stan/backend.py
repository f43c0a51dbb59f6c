"""What a loaded Stan model offers, and its log density inside JAX programs."""

from __future__ import annotations

import weakref
from abc import ABC, abstractmethod
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32

UNCONSTRAINED, PARAMETERS, TRANSFORMED, GENERATED = range(4)
"""Levels of names; each of the last three lists begins with the one before it."""


class Failures(NamedTuple):
    """How many points of a batch made the Stan program throw, and the first message."""

    count: int
    message: str


class Backend(ABC):
    """A Stan program loaded with its data.

    Attributes:
        library: identifies the compiled program; the same for all data.
        handle: identifies the model in its library; never used twice.
        ffi: whether XLA can call the library itself, as `<library>_value` and `<library>_gradient`.
    """

    library: str
    handle: int
    ffi: bool

    @abstractmethod
    def names(self, level: int) -> list[str]:
        """Stan's flat names, as `"theta.3"`."""

    @abstractmethod
    def evaluate(self, z: np.ndarray, gradient: bool) -> tuple[np.ndarray, np.ndarray, Failures]:
        """Log densities (n,) at points (n, dim) and gradients (n, dim), which are empty unless asked for.

        A point that Stan rejects has -inf and a gradient of zeros; any other exception gives NaN.
        """

    @abstractmethod
    def constrain(self, z: np.ndarray, seed: int) -> tuple[np.ndarray, Failures]:
        """All flat quantities (n, width) of the level `GENERATED`; NaN from an exception on."""

    @abstractmethod
    def unconstrain(self, parameters: np.ndarray) -> tuple[np.ndarray, Failures]:
        """Points (n, dim) of flat parameters (n, width); NaN where a value is outside its support."""


_loaded: weakref.WeakValueDictionary[tuple[str, int], Backend] = weakref.WeakValueDictionary()


def register(model: Backend) -> None:
    """Make a model known to the compiled programs that call back into Python."""
    _loaded[model.library, model.handle] = model


class _Calls(NamedTuple):
    """How a compiled JAX program reaches a library."""

    library: str
    ffi: bool

    def __call__(self, handle: Array, z: Array, gradient: bool) -> Any:
        shapes = (jax.ShapeDtypeStruct((), np.float64), jax.ShapeDtypeStruct(z.shape, np.float64))
        shapes = shapes if gradient else shapes[:1]
        if self.ffi:
            name = f"{self.library}_{'gradient' if gradient else 'value'}"
            return jax.ffi.ffi_call(name, shapes, vmap_method="broadcast_all")(handle, z)
        # XLA may call from its own thread, where x64 is off and JAX cuts doubles down: they go as bits
        bits = tuple(jax.ShapeDtypeStruct((*shape.shape, 2), np.uint32) for shape in shapes)
        call = partial(_call_back, self.library, gradient)
        z = jax.lax.bitcast_convert_type(z, jnp.uint32)
        found = jax.pure_callback(call, bits, handle, z, vmap_method="broadcast_all")
        return tuple(jax.lax.bitcast_convert_type(part, jnp.float64) for part in found)


def _call_back(library: str, gradient: bool, handle: Any, z: Any) -> tuple[np.ndarray, ...]:
    handles = np.ravel(np.asarray(handle))
    points = np.ascontiguousarray(z).view(np.float64)[..., 0]
    flat = points.reshape(-1, points.shape[-1])
    values, gradients = np.empty(len(flat)), np.empty(flat.shape)
    for one in np.unique(handles):
        here = handles == one
        model = _loaded.get((library, int(one)))
        if model is None:
            raise RuntimeError("this Stan model is gone: it was deleted before a program that uses it ran")
        values[here], found, _ = model.evaluate(np.ascontiguousarray(flat[here]), gradient)
        if gradient:
            gradients[here] = found
    results = values.reshape(points.shape[:-1]), gradients.reshape(points.shape)
    return tuple(part[..., None].view(np.uint32) for part in results[: 1 + gradient])


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _log_density(calls: _Calls, handle: Array, z: Array) -> Array:
    return calls(handle, z, gradient=False)[0]


@_log_density.defjvp
def _log_density_jvp(calls: _Calls, primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    value, gradient = calls(*primals, gradient=True)
    return value, gradient @ tangents[1]


def log_density(model: Backend, handle: Int32[Array, ""], z: Float[Array, " dim"]) -> Float[Array, ""]:
    """The log density at one point, of the model that `handle`, which may be traced, stands for.

    A batch made by `vmap` is one call, spread over all cores. It has first derivatives, forward and reverse.
    """
    # XLA calls C++ only from programs for the CPU
    calls = _Calls(model.library, model.ffi and jax.default_backend() == "cpu")
    return _log_density(calls, handle, z.astype(jnp.float64))
