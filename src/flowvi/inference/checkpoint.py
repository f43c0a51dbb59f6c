"""`fit(..., checkpoint=directory)`: whether a directory belongs to this fit, and the journal in it."""

from __future__ import annotations

import importlib.metadata
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np

from flowvi.errors import ArgumentError, CheckpointError
from flowvi.flows import Flow
from flowvi.inference.density import BATCH, gradients
from flowvi.inference.failure import named_failures
from flowvi.inference.journal import Journal, checksum
from flowvi.targets.base import Target

_FORMAT = 2
_HEAD = "checkpoint.json"
_CALLS = "calls"
_ROUNDING = 1e-9
"""Relative difference that log densities of the same model may have on different machines."""

_OTHERWISE = "Give another directory, or delete this one to start anew."


def open_journal(
    path: str | os.PathLike | None, target: Target, *, seed: int, flow: str | Flow, draws: int
) -> Journal:
    """The journal of a fit, new or begun; one that keeps nothing where no directory is given.

    A directory belongs to one call of `fit`, its budget aside. That model and data are the same is told by
    the log density at 32 points around the origin: a change that none of them shows is not noticed.

    Raises:
        ArgumentError: `path` is no path.
        CheckpointError: the directory cannot be written to, or belongs to another fit.
        EvaluationError: a density written in Python raised an exception.

    Example:
        >>> import tempfile
        >>> target = Target.from_log_density(lambda x: -0.5 * x**2, example=0.0)
        >>> with jax.enable_x64(True):
        ...     journal = open_journal(tempfile.mkdtemp(), target, seed=0, flow="auto", draws=100)
        >>> journal.directory.name
        'calls'
    """
    if path is None:
        return Journal()
    if not isinstance(path, str | os.PathLike):
        raise ArgumentError(f"checkpoint={path!r} is a {type(path).__name__}: give the name of a directory.")
    head, calls = Path(path) / _HEAD, Path(path) / _CALLS
    with _writing(path):
        calls.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=calls) as file:
            file.write(bytes(1))
    facts = {
        "format": _FORMAT,
        "flowvi": importlib.metadata.version("flowvi"),
        "jax": jax.__version__,
        "coordinates": list(target.coordinates),
        "seed": int(seed),
        "flow": flow if isinstance(flow, str) else f"a Flow with checksum {checksum(flow)}",
        "draws": int(draws),
    }
    before = _facts(head) if head.exists() else None
    if before is not None:
        _require_equal(path, before, facts)
    values = _some_log_densities(target)
    if before is not None:
        _require_same_density(path, before["log_density"], values)
        return Journal(calls)
    with _writing(path):
        unfinished = head.with_suffix(".unfinished")
        with open(unfinished, "w", encoding="utf-8") as file:
            json.dump({**facts, "log_density": values}, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, head)
    return Journal(calls)


@contextmanager
def _writing(path: str | os.PathLike) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CheckpointError(
            f"Cannot write a checkpoint to {path}: {error.strerror or error}. Choose a directory with room "
            "that you can write to."
        ) from error


def _facts(head: Path) -> dict[str, Any]:
    """What the fit that a directory belongs to was called with."""
    try:
        facts = json.loads(head.read_text(encoding="utf-8"))
        np.asarray(facts["log_density"], float)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{head} is damaged, or not a file of flowvi's. {_OTHERWISE}") from error
    return facts


def _require_equal(path: str | os.PathLike, before: dict[str, Any], facts: dict[str, Any]) -> None:
    different = [name for name in facts if before.get(name) != facts[name]]
    if different:
        name = different[0]
        raise CheckpointError(
            f"The checkpoint in {path} belongs to another fit: its {name} is {_short(before.get(name))}, and "
            f"that of this one {_short(facts[name])}. {_OTHERWISE}"
        )


def _require_same_density(path: str | os.PathLike, before: list[float], values: list[float]) -> None:
    same = len(before) == len(values) and np.isclose(
        before, values, rtol=_ROUNDING, atol=_ROUNDING, equal_nan=True
    )
    if not np.all(same):
        i = int(np.argmin(same)) if np.ndim(same) else 0
        raise CheckpointError(
            f"The checkpoint in {path} belongs to a fit of another model, or of other data: at one point the "
            f"log density was {before[i]:.10g} and now is {values[i]:.10g}. {_OTHERWISE}"
        )


def _some_log_densities(target: Target) -> list[float]:
    """At fixed points from near the origin to as far as starts lie."""
    distances = np.repeat([0.01, 0.1, 0.5, 1.0], BATCH // 4)[:, None]
    z = distances * np.random.default_rng(0).uniform(-2, 2, (BATCH, target.dim))
    with named_failures():
        return gradients(target, z)[0].tolist()


def _short(fact: Any) -> str:
    text = json.dumps(fact)
    return text if len(text) <= 60 else f"{text[:60]}..."
