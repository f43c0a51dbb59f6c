"""What a density written in Python raises from inside a compiled program, as an error that stages handle."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import jax

_CALLBACK = "CpuCallback error"
_RAISED = re.compile(r"^[A-Za-z_][\w.]*(?:: .*)?$")


class EvaluationError(ArithmeticError):
    """The log density raised an exception while it was evaluated: the stage ends with what it has."""


@contextmanager
def named_failures() -> Iterator[None]:
    """Turn what a running program raises into an error that has the user's own message.

    Errors of tracing, which a model gives whatever the values, are left as they are.

    Raises:
        EvaluationError: the code inside raised such an error.

    Example:
        >>> with named_failures():
        ...     raise ValueError("CpuCallback error: ...\\n  File 'a.py', line 3, in f\\nKeyError: 'y'")
        Traceback (most recent call last):
        flowvi.inference.failure.EvaluationError: the log density raised KeyError: 'y'
    """
    try:
        yield
    except Exception as error:
        # which type an error of a callback has depends on the version of JAX
        if not isinstance(error, jax.errors.JaxRuntimeError) and _CALLBACK not in str(error):
            raise
        raise EvaluationError(f"the log density raised {_own_message(str(error))}") from error


def _own_message(text: str) -> str:
    """The last lines of a traceback in a text, those after the frames; the text itself where it has none."""
    lines = text.strip().split("\n")
    # frames are indented, and the exception comes after the last of them
    frames = [number for number, line in enumerate(lines) if line.startswith("  File ")]
    after = lines[frames[-1] + 1 :] if frames else lines
    first = next((number for number, line in enumerate(after) if _RAISED.match(line)), 0)
    return " ".join(line.strip() for line in after[first:]).rstrip(".")
