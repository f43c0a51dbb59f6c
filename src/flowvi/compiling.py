"""How the programs of a fit are compiled: quickly, and beside other work where there is some."""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import equinox as eqx
import jax
import numpy as np

from flowvi.precision import double_precision

_QUICK = {"xla_cpu_use_fusion_emitters": False}
"""The older emitters compile a third faster; what they make runs up to three times as long.
See docs/decisions."""

_ALONE = ("_callback", "lapack_")
"""In the names of custom calls that want no other program beside theirs. What is called outside JAX may not
bear two threads; factorisations wait on XLA's own threads for tasks that wait there for a thread: for ever,
where as many programs factorise as there are threads (jaxlib 0.10)."""


class Compiled:
    """`equinox.filter_jit` with options that shorten compiling, and a way to compile ahead of the first call.

    With `quick=False` compiling takes longer and the program runs faster, for those that run for long.

    Example:
        >>> import jax.numpy as jnp
        >>> double = Compiled(lambda x: 2 * x)
        >>> double.ahead(jnp.ones(3))
        False
        >>> double(jnp.ones(3)).tolist()
        [2.0, 2.0, 2.0]
    """

    def __init__(self, function: Callable, *, quick: bool = True) -> None:
        self._function = function
        self._quick = quick
        self._ahead: list[Future] = []
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any) -> Any:
        """The function's result; waits for what is being compiled ahead."""
        # an error of the compiler comes again, where it can be handled, when the program is called
        wait(self._ahead)
        self._ahead.clear()
        return self._jitted(*args)

    def ahead(self, *args: Any) -> bool:
        """Trace now, and compile on another thread what a call with arguments like these will run.

        Returns whether calls must not overlap: the program leaves JAX, to call Python or another library, or
        factorises matrices.
        """
        lowered = self._jitted.lower(*args)
        self._ahead.append(_worker().submit(double_precision(lowered.compile)))
        # callbacks are custom calls like xla_ffi_python_cpu_callback; constants may be of any size
        text = lowered.lowered.compiler_ir().operation.get_asm(large_elements_limit=16)
        return any(name in text for name in _ALONE)

    @functools.cached_property
    def _jitted(self) -> Any:
        # further arguments of jax.jit are not in the signature
        options = _options() if self._quick else None
        return eqx.filter_jit(self._function, compiler_options=options)  # pyright: ignore[reportCallIssue]


def meanwhile(function: Callable[[], object]) -> None:
    """Call a function on the thread that compiles, after what waits there."""
    _worker().submit(function)


@functools.cache
def _worker() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "flowvi-compile")


@functools.cache
def _options() -> dict[str, Any] | None:
    """The options that this version of XLA knows: they are not part of any interface."""
    try:
        jax.jit(lambda x: x, compiler_options=_QUICK).lower(np.float32(0)).compile()
    except jax.errors.JaxRuntimeError:
        return None
    return dict(_QUICK)
