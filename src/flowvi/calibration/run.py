"""`flowvi.calibrate`: simulation-based calibration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from flowvi.cache import kept_programs
from flowvi.calibration.interrupts import noticing_interrupts
from flowvi.calibration.lines import line_of
from flowvi.calibration.ranking import LOG_DENSITY, Ranked, rank
from flowvi.calibration.result import Calibration
from flowvi.calibration.simulated import Simulate, data_sets
from flowvi.errors import (
    ArgumentError,
    CannotSimulateError,
    DependencyError,
    FlowError,
    FlowviError,
    ModelError,
    PrecisionError,
)
from flowvi.flows import Flow
from flowvi.inference.budget import Budget
from flowvi.inference.fit import fit
from flowvi.lines import Lines
from flowvi.precision import double_precision

_MOST_RANKED = 199
"""Draws to rank among: more add little to a few hundred data sets, and 200 ranks fall into equal bins."""

_OF_THE_CALL = (ArgumentError, CannotSimulateError, DependencyError, FlowError, ModelError, PrecisionError)
"""Errors that every data set would meet."""


@double_precision
def calibrate(
    model: Any,
    *args: Any,
    simulate: Simulate | None = None,
    simulations: int = 100,
    seed: int = 0,
    flow: str | Flow = "auto",
    budget: Budget | None = None,
    draws: int = 4000,
    progress: bool = True,
    example: Any = None,
    supports: Mapping[str, Any] | None = None,
    **model_kwargs: Any,
) -> Calibration:
    """Check `fit` on data simulated from the model: the ranks of true values among posterior draws have to be
    uniform.

        theta* ~ p(theta),  y ~ p(y | theta*),  theta_1..L ~ fit(y):  #{theta_l < theta*} ~ Uniform{0..L}

    A model with `obs=` or `observed=` draws parameters and data itself; of the data it is given, only the
    shapes matter there. For a Stan program, a log density, or a model with factors, `simulate` draws them.
    Ctrl-C ends with what has been done so far. A data set whose fit fails is reported and left out; every
    other one counts, whatever its verdict, and the claimed ones are looked at by themselves too.

    Args:
        model, args, model_kwargs, flow, draws, example, supports: as for `flowvi.fit`.
        simulate: a function of a `numpy.random.Generator` that returns two dicts: parameters drawn from the
            prior, by their names in the posterior (all, or those of interest), and data drawn given these, by
            the names that the model takes data under: arguments of a function, variables of Stan's data
            block, observed variables or `pm.Data` of PyMC.
        simulations: how many data sets to simulate and fit.
        seed: of everything random.
        budget: a limit for each fit.
        progress: print a line now and then.

    Raises:
        CannotSimulateError: the model cannot draw from its own prior, or that is improper.
        ArgumentError: an argument is out of range, or `simulate` does not return what it should.
        ModelError, FlowError: as for `flowvi.fit`.
        FlowviError: no data set could be fitted; the error is that of the first.

    Source: Talts et al. 2018 (arXiv 1804.06788). The joint density as one more quantity, which notices draws
    that ignore the data: Modrak et al. 2023 (arXiv 2211.02383).

    Example:
        >>> def log_density(p, y):
        ...     return -0.5 * p["mu"] ** 2 - 0.5 * jnp.sum((y - p["mu"]) ** 2)
        >>> def simulate(rng):
        ...     mu = rng.normal()
        ...     return {"mu": mu}, {"y": mu + rng.normal(size=5)}
        >>> calibration = calibrate(
        ...     log_density, example={"mu": 0.0}, simulate=simulate, simulations=10, progress=False
        ... )
        >>> calibration.ranks["mu"].shape
        (10,)
    """
    whole = int | np.integer
    if isinstance(simulations, bool) or not isinstance(simulations, whole) or simulations < 1:
        raise ArgumentError(f"simulations={simulations!r}: ask for a whole number of them, at least one.")
    data_set = data_sets(model, args, model_kwargs, simulate, example, supports)
    among = min(draws, _MOST_RANKED)
    done: list[Ranked] = []
    failures: dict[int, FlowviError] = {}
    with kept_programs(), noticing_interrupts() as interrupted, Lines(progress) as lines:
        try:
            for number in range(simulations):
                # a seed of its own for each: the errors of fits with one seed would go the same way
                streams = np.random.SeedSequence([seed, number]).generate_state(3)
                try:
                    truth, target = data_set(int(streams[0]))
                    posterior = fit(
                        target, seed=int(streams[1]), flow=flow, budget=budget, draws=draws, progress=False
                    )
                    if interrupted():
                        # what `fit` returned is what it had
                        break
                    done.append(rank(truth, target, posterior, among, np.random.default_rng(streams[2])))
                except _OF_THE_CALL:
                    raise
                except FlowviError as error:
                    failures[number] = error
                levels = [one.level for one in done]
                lines.show(line_of(levels, len(failures), simulations, lines.elapsed))
        except KeyboardInterrupt:
            # a second one, or one between two fits
            pass
    if done:
        return _collect(done, failures, among, simulations)
    if failures:
        first = failures[min(failures)]
        raise type(first)(f"None of the simulated data sets could be fitted; the first: {first}") from first
    raise KeyboardInterrupt


def _collect(
    done: list[Ranked], failures: Mapping[int, FlowviError], among: int, simulations: int
) -> Calibration:
    left_out = {name: reason for one in reversed(done) for name, reason in one.left_out.items()}
    names = [name for name in done[0].ranks if name not in left_out]
    notes = [
        f"No ranks of {'the log density' if name == LOG_DENSITY else repr(name)}: {reason}"
        for name, reason in left_out.items()
    ]
    few = sum(one.effective_draws < among for one in done)
    if few:
        notes.append(
            f"In {few} of the fits, draws are worth fewer than {among} independent ones; ranks are then "
            "spread too far even where the draws are right."
        )
    fitted = len(done) + len(failures)
    if fitted < simulations:
        notes.append(f"Interrupted: {fitted} of the {simulations} data sets that were asked for were fitted.")
    return Calibration(
        ranks={name: np.stack([one.ranks[name] for one in done]) for name in names},
        draws=among,
        levels=tuple(one.level for one in done),
        constant={name: np.all([one.constant[name] for one in done], axis=0) for name in names},
        failures={number: str(error) for number, error in failures.items()},
        notes=tuple(notes),
    )
