"""`flowvi.amortize`: a simulator in, q(z | x) for every x out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import equinox as eqx
import numpy as np

from flowvi.amortized.arguments import whole
from flowvi.amortized.conditional_flow import conditional_flow
from flowvi.amortized.contrast import contrasts
from flowvi.amortized.elbo import Bound, bound_of
from flowvi.amortized.failures import listed
from flowvi.amortized.familiar import Familiar
from flowvi.amortized.layout import layout_of
from flowvi.amortized.likelihood import Likelihood, Model
from flowvi.amortized.network import Network, summaries
from flowvi.amortized.parameters import ModelParameters, NamedParameters, Parameters
from flowvi.amortized.result import Amortized
from flowvi.amortized.simulators import FromModel, Pairs, Simulator, simulator_of
from flowvi.amortized.statistics import WithStatistics
from flowvi.amortized.stored import Stored
from flowvi.amortized.summary_of import has_one_scale, sizes_vary, statistics_of, summary_of
from flowvi.amortized.supply import LEAST_PAIRS, Supply, require_enough
from flowvi.amortized.train import Trained, at_first, least_fresh, train
from flowvi.amortized.warned import warn
from flowvi.cache import kept_programs
from flowvi.errors import ArgumentError, CannotSimulateError
from flowvi.flows import Flow
from flowvi.objectives.arguments import check_choice
from flowvi.precision import double_precision

_COLLAPSED = 1e-6
"""Spread of summaries over data sets, relative to their size, below which they say nothing."""
_MANY_DROPPED = 0.05
"""Share of the simulations."""
_CALLER = "flowvi.amortize"


@double_precision
def amortize(
    model: Any = None,
    *args: Any,
    observed: str = "y",
    simulate: Callable[..., Any] | None = None,
    prior: Callable[..., Any] | None = None,
    summary: str | eqx.Module | Callable[..., Any] | None = None,
    simulations: Any = 10_000,
    objective: Literal["forward_kl", "elbo"] = "forward_kl",
    fresh: bool = False,
    flow: str | Flow | Callable[..., Flow] = "auto",
    max_steps: int = 20_000,
    seed: int = 0,
    progress: bool = True,
    example: Any = None,
    supports: Mapping[str, Any] | None = None,
    **model_kwargs: Any,
) -> Amortized:
    """Train q(parameters | data) once, on simulations, for every data set to come.

        maximise E_p(parameters, x) log q(z | s(x)),    z the unconstrained parameters

    The summary network s and the conditional flow q are trained together, on standardised parameters and
    data. A tenth of the simulations decides when to stop, and as many give the score that is reported. Ctrl-C
    ends training and keeps the best so far. The same seed gives the same q.

    Args:
        model: a NumPyro model function or a `pymc.Model`, which simulates from its own prior predictive; or
            any model of `flowvi.fit` beside `simulate=`, for its likelihood; or None for a plain simulator.
        args, model_kwargs: the model's own arguments; of its data, only the shape matters.
        observed: the name of the observed site, or of the argument that data are given to the model under.
        simulate: a function of a `numpy.random.Generator` that returns a dict of parameters and an array of
            data; or, with `prior`, a function of the parameters and a generator that returns the data.
            Draws that raise, have no data, or have NaN in them, are dropped, counted and reported.
        prior: a function of a generator that returns a dict of parameters.
        summary: of the data: None (the entries themselves), "set" or "set_transformer" (exchangeable
            elements along the first axis, of any number), "series" (time along it), "image" ((height, width)
            or (height, width, channels)), an equinox module of one standardised data set, which is trained
            too, or a function of one data set as it is that returns a vector of statistics.
        simulations: how many to draw, or stored ones: a dict of arrays (n, *shape) and the n data sets.
        objective: "forward_kl" as above, which covers all of the posterior; or "elbo", the evidence lower
            bound E_q[log p(z, x) - log q(z | s(x))] of every simulated data set, which needs a model with a
            likelihood, and data of one size. Its `held_out` is that bound.
        fresh: draw new simulations in every round of training, `simulations` in all, rather than going
            through the same ones again and again. Where a simulator fails from some time on, training ends
            with a warning, and the best so far is kept.
        flow: "auto" (spline couplings), a builder's name, a builder, or a `Flow` conditioned on as many
            numbers as the summary has.
        max_steps: of Adam, on batches of 256 pairs; training mostly ends before.
        example: as for `flowvi.fit`, for a model that is a JAX log density.
        supports: parameter name -> support, of a simulator's parameters; see `flowvi.bijections.support`.

    Raises:
        CannotSimulateError: the model cannot draw from its own prior, observes other sites, or has a support
            that depends on the data.
        ArgumentError: an argument is of the wrong type or out of range, or a simulator does not return what
            it should.
        DataError: next to all simulations failed, or all data sets are the same or of unlike shapes.
        DensityError: no step of training was finite.
        ModelError, FlowError, SupportError: as for `flowvi.fit`.

    Source: neural posterior estimation: Papamakarios & Murray 2016 (arXiv 1605.06376); summary networks
    trained with it: Radev et al. 2020 (arXiv 2003.06281).

    Example:
        >>> def simulate(rng):
        ...     mu = rng.normal()
        ...     return {"mu": mu}, rng.normal(mu, 1.0, size=3)
        >>> amortized = flowvi.amortize(
        ...     simulate=simulate, simulations=500, flow="real_nvp", max_steps=50, progress=False
        ... )
        >>> amortized.sample([1.0, 0.8, 1.3], 100)["mu"].shape
        (100,)
    """
    check_choice("objective", objective, ("forward_kl", "elbo"))
    max_steps, seed = whole("max_steps", max_steps, 1), whole("seed", seed, 0)
    total, stored = _how_many(simulations, fresh, max_steps)
    given_model, target = Model(model, args, model_kwargs, example, supports), None
    if model is not None:
        target = given_model.target(_CALLER)
    elif args or model_kwargs or example is not None:
        raise ArgumentError("Arguments of a model were given, but no model.")
    simulator = simulator_of(target, simulate, prior, observed, stored)
    statistics = statistics_of(summary)
    streams = [int(stream) for stream in np.random.SeedSequence(seed).generate_state(4)]
    with kept_programs():

        def usable(simulator: Simulator) -> Simulator:
            return simulator if statistics is None else WithStatistics(simulator, statistics)

        before = at_first(total) if fresh else total
        first = usable(simulator)(streams[0], before)
        require_enough(first, first.failed)
        layout = layout_of(
            first.x, sizes_vary(summary), one_scale=has_one_scale(summary), statistics=statistics
        )
        given, others = None, contrasts(first.x)
        if target is None:
            parameters: Parameters = NamedParameters.of(first.parameters, supports)
        else:
            given = Likelihood.of(given_model, target, observed, simulate is not None, first.x)
            if isinstance(simulator, FromModel) and given_model.takes(observed):
                # the data it was called with may be among those that are simulated
                other = contrasts([target.observed_data()[observed].astype(float), *first.x])[0]
                again = usable(FromModel(given(other), observed))(streams[0], before)
                _require_draws_of_its_own(first, again, observed)
            parameters = ModelParameters.of(
                given(first.x[0]), [given(one) for one in others], first.parameters
            )
        by_bound = objective == "elbo"
        if by_bound:
            _require_likelihood(given, first)
        supply = Supply(usable(simulator), parameters, layout, first, raw=by_bound, total=total)
        encoder = summary_of(summary, supply.first_rows.x, layout, parameters.dim, streams[1])
        network = Network(encoder, conditional_flow(flow, parameters.dim, encoder.size, streams[2]))
        bound: Bound | None = None
        if given is not None and by_bound:
            bound = bound_of(given(first.x[0]), given(others[0]), supply.location, supply.scale)
        trained = train(
            network, supply, bound, fresh=fresh, max_steps=max_steps, seed=streams[3], progress=progress
        )
        notes = _notes(trained) if trained.ended else (*_dropped(supply), *_notes(trained))
        for note in notes:
            warn(note)
        return Amortized(
            curve=trained.curve,
            held_out=trained.held_out,
            failed=supply.failed,
            simulations=supply.used,
            notes=notes,
            skipped=trained.skipped,
            interrupted=trained.interrupted,
            _network=trained.network,
            _location=supply.location,
            _scale=supply.scale,
            _parameters=parameters,
            _layout=layout,
            _familiar=Familiar.of(trained.network.summary, trained.seen.x, trained.unseen.x),
            _simulate=None if stored is not None else usable(simulator),
            _unseen=supply.first.take(trained.unseen_numbers),
            _given=given,
            _observed=observed,
        )


def _require_likelihood(given: Likelihood | None, first: Pairs) -> None:
    if given is None or len({one.shape for one in first.x}) > 1:
        raise ArgumentError(
            "objective='elbo' needs a model with a likelihood, and data sets of one size. Leave it out: "
            "forward KL needs simulations only."
        )


def _dropped(supply: Supply) -> tuple[str, ...]:
    """What there is to warn of where simulations fail often, which mostly depends on the parameters."""
    dropped = sum(supply.failed.values())
    if dropped <= _MANY_DROPPED * (dropped + supply.used):
        return ()
    return (
        f"Of {dropped + supply.used:,} simulations {listed(supply.failed)}. The prior that q knows is that "
        "of the parameters whose simulations can be used.",
    )


def _notes(trained: Trained) -> tuple[str, ...]:
    """What there is to warn of after training."""
    notes = []
    if trained.ended:
        notes.append(
            f"Training ended after {trained.curve.steps[-1]:,} steps, since the simulator gave no more: "
            f"{trained.ended}. The best until then is kept."
        )
    if not np.isfinite(trained.held_out.value):
        notes.append(
            "The held-out score is not finite: q, or the summary network, is not finite for some of the "
            "simulated data sets that were held out, and cannot be trusted for others like them."
        )
    found = summaries(trained.network.summary, trained.unseen.x)
    found = found[np.isfinite(found).all(axis=1)]
    if len(found) and not np.any(found.std(axis=0) > _COLLAPSED * (1 + np.abs(found.mean(axis=0)))):
        notes.append(
            "The summaries are the same for all simulated data sets: the summary network has collapsed, and "
            "q is the prior whatever the data. Try another summary, more simulations, or data on another "
            "scale."
        )
    return tuple(notes)


def _require_draws_of_its_own(first: Pairs, again: Pairs, observed: str) -> None:
    """Raise where what a model draws depends on the data that it is called with.

    Raises:
        CannotSimulateError: pairs by one seed differ between data.
    """
    if not all(np.array_equal(one, other) for one, other in zip(first.x, again.x, strict=False)):
        raise CannotSimulateError(
            f"What the model draws for '{observed}' depends on the data that it is called with, as where "
            "earlier observations predict later ones: it does not simulate whole data sets. Give `simulate=`."
        )


def _how_many(simulations: Any, fresh: bool, max_steps: int) -> tuple[int, Stored | None]:
    """How many simulations there are to be, and those that are stored.

    Raises:
        ArgumentError: they are too few, or neither a number nor pairs.
        DataError: stored ones do not fit together.
    """
    if isinstance(simulations, float | np.floating) and simulations.is_integer():
        simulations = int(simulations)
    if isinstance(simulations, bool | float | np.floating):
        raise ArgumentError(f"simulations={simulations!r}: give a whole number.")
    if not isinstance(simulations, int | np.integer):
        if fresh:
            raise ArgumentError("Stored simulations cannot be `fresh`.")
        stored = Stored.of(simulations)
        return len(stored.x), stored
    if simulations < LEAST_PAIRS:
        raise ArgumentError(f"simulations={simulations!r}: {LEAST_PAIRS} are needed at least.")
    if fresh and simulations < least_fresh(max_steps):
        raise ArgumentError(
            f"simulations={simulations!r}: where each is `fresh`, seen once, training takes "
            f"{least_fresh(max_steps):,} at least. Give as many, or leave `fresh` out, to go through them "
            "again and again."
        )
    return int(simulations), None
