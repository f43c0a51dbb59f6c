"""Fits of one target, judged; in a process that trust.py starts, with the shared folder on the path."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpyro_models

import accuracy
import flowvi
import synthetic
import workers

REFERENCE_DRAWS = 10_000

Draws = dict[str, np.ndarray]
"""Quantity -> (chains, draws, *shape)."""


@dataclass(frozen=True)
class Case:
    """How to fit a target, and what is known of it.

    Attributes:
        fit: the default call, given a seed.
        reference: draws to judge by; None of an improper target.
        log_evidence: with its standard error.
        errors: further quantities of draws (draws, *shape) that are zero but for Monte Carlo error.
    """

    fit: Callable[[int], flowvi.Posterior]
    reference: Draws | None
    log_evidence: tuple[float, float] | None
    errors: Mapping[str, Callable[[Draws], float]] = field(default_factory=dict)


def case(kind: str, folder: Path, name: str) -> Case:
    """A target by its name."""
    return shared_case(folder, name) if kind == "shared" else synthetic_case(name)


def shared_case(folder: Path, name: str) -> Case:
    """A posterior of the folder."""
    model, data = numpyro_models.load(name)
    return Case(
        fit=lambda seed: flowvi.fit(model, seed=seed, progress=False, **data),
        reference=workers.reference(folder, name),
        log_evidence=numpyro_models.reference_log_evidence(name, folder),
    )


def synthetic_case(name: str) -> Case:
    """A posterior of synthetic.py."""
    target = synthetic.TARGETS[name]()
    reference = None
    if target.draws is not None:
        draws = target.draws(np.random.default_rng(2024), REFERENCE_DRAWS)
        reference = {site: value.reshape(4, -1, *value.shape[1:]) for site, value in draws.items()}
    settings = {"example": target.example, "supports": target.supports, "progress": False}
    return Case(
        fit=lambda seed: flowvi.fit(target.log_density, seed=seed, **settings),
        reference=reference,
        log_evidence=None if target.log_evidence is None else (target.log_evidence, 0.0),
        errors=target.errors,
    )


def records(case: Case, seeds: Sequence[int]) -> Iterator[dict[str, Any]]:
    """One record per seed."""
    for seed in seeds:
        start = time.perf_counter()
        record = {"seed": seed, "proper": case.reference is not None}
        try:
            posterior = case.fit(seed)
        except Exception as error:
            record["error"] = f"{type(error).__name__}: {error}".splitlines()[0]
            yield record | {"seconds": time.perf_counter() - start}
        else:
            record["seconds"] = time.perf_counter() - start
            yield record | workers.described(posterior) | judged(case, posterior)


def judged(case: Case, posterior: flowvi.Posterior) -> dict[str, Any]:
    """The errors of draws and log evidence, as far as there is something to compare with."""
    record: dict[str, Any] = {"errors": {name: error(posterior.draws) for name, error in case.errors.items()}}
    if case.reference is not None:
        draws = {site: posterior.draws[site][None] for site in case.reference}
        # draws of Markov chains are autocorrelated, others are independent
        independent = posterior.verdict.level != "corrected"
        record |= accuracy.judge(draws, case.reference, independent).record()
    if posterior.log_evidence is not None and case.log_evidence is not None:
        value, error = case.log_evidence
        record["log_evidence_off"] = posterior.log_evidence.value - value
        record["log_evidence_off_error"] = float(np.hypot(posterior.log_evidence.standard_error, error))
    return record
