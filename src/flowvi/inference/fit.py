"""`flowvi.fit`: a model in, a posterior out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from flowvi.cache import kept_programs
from flowvi.diagnostics.label_switching import switched_labels
from flowvi.display import display
from flowvi.errors import ArgumentError, FlowError, ModelError
from flowvi.flows import Flow, Normal
from flowvi.inference.budget import Budget, Ledger
from flowvi.inference.chains import thinned
from flowvi.inference.checkpoint import open_journal
from flowvi.inference.correct import Weighted, unique_draws
from flowvi.inference.cover import cover
from flowvi.inference.density import Density
from flowvi.inference.evidence import log_evidence
from flowvi.inference.failure import EvaluationError
from flowvi.inference.judge import judge
from flowvi.inference.preflight import describe_point
from flowvi.inference.proposal import Proposal
from flowvi.inference.repair import repair
from flowvi.inference.search import Search
from flowvi.inference.stages import nothing_yet, run_stages, weighed
from flowvi.inference.training import builder
from flowvi.posterior import Posterior
from flowvi.precision import double_precision
from flowvi.targets.base import Target
from flowvi.targets.of_model import target_of

_SMALL_PART, _PER_PART = 0.02, 256
"""Weight of a part of q that is no mode by itself, and draws of the others that tell where they are."""


@double_precision
def fit(
    model: Any,
    *args: Any,
    seed: int = 0,
    flow: str | Flow = "auto",
    budget: Budget | None = None,
    draws: int = 4000,
    progress: bool = True,
    example: Any = None,
    supports: Mapping[str, Any] | None = None,
    checkpoint: str | os.PathLike | None = None,
    **model_kwargs: Any,
) -> Posterior:
    """Fit a posterior: draws, log evidence, and a verdict on whether to trust them.

    Stages: explore (many starts climb to the modes), gaussian (batch-and-match), flow (couplings in whitened
    coordinates, by the path gradient of the ELBO), correct (importance weights, smoothed, to unique draws;
    where these do not carry, Markov chains in the base space of the flow), judge. A stage that is not needed
    is left out. Ctrl-C, or a spent budget, ends with the best so far, which the verdict then says.

    Args:
        model: a NumPyro model function, a `pymc.Model`, a `flowvi.StanModel`, a `flowvi.Target`, or, with
            `example=`, a JAX function `log_density(params, *args, **model_kwargs)` of parameters on their
            own scale, without Jacobians.
        args, model_kwargs: the model's own arguments. Arrays and floats are traced: new data of the same
            shapes compile nothing.
        seed: of everything random.
        flow: "auto" trains a flow only where a Gaussian is not good enough; "gaussian" never does; a
            builder's name ("real_nvp", "neural_spline", ...) or a `Flow` of the model's dimension always
            does, on the whitened scale.
        budget: a limit on gradients or seconds.
        draws: how many posterior draws to return.
        progress: show stage, ELBO, sd(log w), k-hat, gradients and time while fitting.
        example: a pytree of arrays that gives the shapes of the parameters of a JAX log density; its
            values are not used.
        supports: parameter name -> support for a JAX log density; see `flowvi.bijections.support`.
        checkpoint: a directory in which the fit keeps what it has computed. Called again with it after a
            crash or an interrupt, it goes on to the same answer; once it has ended, the answer is read. It
            belongs to one call, whose budget alone may change; seconds count from the newest call.

    Raises:
        ArgumentError: `seed`, `budget`, `draws` or `checkpoint` is of the wrong type or out of range.
        CheckpointError: the directory cannot be written to, or belongs to another fit.
        ModelError: the model cannot be fitted as it stands.
        DensityError: the log density is not a finite, differentiable scalar.
        FlowError: the flow is unknown, of another dimension, or of angles.

    Example:
        >>> import jax.numpy as jnp
        >>> log_density = lambda p: -0.5 * jnp.sum(p["x"] ** 2)
        >>> posterior = fit(log_density, example={"x": jnp.zeros(2)}, progress=False)
        >>> posterior.verdict.level
        'good'
    """
    _check_arguments(seed, budget, draws)
    _check_space(flow)
    target = target_of(model, args, model_kwargs, example, supports)
    if target.dim == 0:
        raise ModelError("The model has no parameters: nothing is left to infer.")
    build = builder(flow, target.dim, seed)
    rng = np.random.default_rng(seed)
    with kept_programs(), display(progress) as shown:
        ledger = Ledger(budget or Budget(), shown)
        try:
            journal = open_journal(checkpoint, target, seed=seed, flow=flow, draws=draws)
        except EvaluationError as error:
            raise nothing_yet(error) from error
        density = Density(target, ledger, journal)
        search = Search(density, rng, draws)
        run_stages(search, build, always=flow != "auto")
        fitted, weighted = weighed(search)
        weighted = cover(search, weighted)
        # of a q that was trained further, or widened
        fitted = search.q.fitted or fitted
        repair(search, weighted)
        try:
            if journal.failure:
                search.notes.append(journal.failure)
            return _posterior(target, search, ledger, fitted, weighted, draws, seed)
        except KeyboardInterrupt:
            search.notes.append("Interrupted in stage 'judge'.")
            return _posterior(target, search, ledger, fitted, weighted, draws, seed)


def _check_arguments(seed: int, budget: Budget | None, draws: int) -> None:
    whole = int | np.integer
    if isinstance(draws, bool) or not isinstance(draws, whole) or draws < 1:
        raise ArgumentError(f"draws={draws!r}: ask for a whole number of draws, at least one draw.")
    # JAX takes no larger seeds
    if isinstance(seed, bool) or not isinstance(seed, whole) or not 0 <= seed < 2**63:
        raise ArgumentError(f"seed={seed!r}: give a whole number from 0 to 2**63 - 1.")
    if budget is not None and not isinstance(budget, Budget):
        raise ArgumentError(
            f"budget={budget!r} is a {type(budget).__name__}: give flowvi.Budget(gradients=...) or "
            "flowvi.Budget(seconds=...)."
        )


def _check_space(flow: Any) -> None:
    if isinstance(flow, Flow) and flow.periodic:
        raise FlowError(
            f"flow is over {type(flow.base).__name__}, a density of angles, but the parameters of a model "
            "are put on R^dim, where it is not normalised. Give a flow over a base on R^dim such as Normal."
        )


def _posterior(
    target: Target,
    search: Search,
    ledger: Ledger,
    fitted: Weighted,
    weighted: Weighted,
    draws: int,
    seed: int,
) -> Posterior:
    """Draw, judge, and put together what the user gets."""
    notes = list(search.notes)
    if search.chains is not None:
        by_chain, log_density = thinned(search.chains, draws)
        z = by_chain.reshape(-1, target.dim)[-draws:]
        log_weights = log_density.ravel()[-draws:] - search.q.proposal.log_prob(z)
    else:
        if ledger.out_of_time() and weighted.most_unique < draws:
            notes.append(f"The budget allowed {weighted.most_unique:,} of the {draws:,} draws.")
            draws = weighted.most_unique
        chosen = unique_draws(weighted, draws, np.random.default_rng([seed, 2]))
        z, log_weights = weighted.z[chosen], weighted.log_weights[chosen]
    verdict = judge(
        fitted,
        weighted,
        search.chains,
        search.drift,
        search.modes,
        search.uncovered,
        draws=draws,
        converged=search.converged,
        notes=tuple(notes),
        improper=target.improper,
        endless=search.endless,
        audited=search.audited,
        beyond=search.q.beyond,
        nonfinite=ledger.nonfinite,
        nonfinite_example=_nonfinite_example(target, ledger),
        coordinates=target.coordinates,
        parts=len(search.q.proposal.parts()),
        tempered=search.tempered,
        labels=_labels(target, search.q.proposal),
    )
    if search.chains is None:
        effective = weighted.ess_ratio * len(weighted.z)
    else:
        effective = search.chains.mixing.least_ess
    claimed = verdict.level in ("good", "corrected")
    return Posterior(
        target=target,
        q=search.q.proposal.flow(),
        z=z,
        draws=target.constrain(z, seed),
        log_weights=log_weights,
        verdict=verdict,
        log_evidence=log_evidence(search, weighted) if claimed else None,
        elbo=fitted.elbo,
        stages=dict(ledger.stages),
        density_evaluations=ledger.densities,
        effective_draws=min(float(draws), effective),
        coordinates=target.coordinates,
    )


def _labels(target: Target, q: Proposal) -> tuple[str, ...]:
    """Quantities whose elements stand in another order in the other parts of q, if that is all."""
    parts = [part for part, w in zip(q.parts(), q.part_weights(), strict=True) if w > _SMALL_PART]
    if len(parts) < 2:
        return ()
    rng = np.random.default_rng(0)
    normal = [part.with_base(Normal(target.dim)) for part in parts]
    drawn = target.constrain(np.concatenate([part(rng, _PER_PART)[0] for part in normal]))
    by_part = {name: draws.reshape(len(parts), _PER_PART, *draws.shape[1:]) for name, draws in drawn.items()}
    means = {name: draws.mean(axis=1) for name, draws in by_part.items()}
    return switched_labels(means, {name: draws.std(axis=1) for name, draws in by_part.items()})


def _nonfinite_example(target: Target, ledger: Ledger) -> str:
    if ledger.first_nonfinite is None:
        return ""
    z, value = ledger.first_nonfinite
    what = f"{value:.6g} with a gradient that is not finite" if np.isfinite(value) else f"{value:.6g}"
    return f"for one {what} at {describe_point(target, z)}"
