"""`flowvi.amortize`: a simulator in, q(z | x) for every x out."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Literal

import equinox as eqx
import numpy as np

from flowvi.amortized.conditional_flow import conditional_flow
from flowvi.amortized.elbo import Bound, bound_of
from flowvi.amortized.familiar import Familiar
from flowvi.amortized.layout import Layout, layout_of
from flowvi.amortized.network import Network, summaries
from flowvi.amortized.parameters import ModelParameters, NamedParameters, Parameters
from flowvi.amortized.result import Amortized
from flowvi.amortized.simulators import FromModel, Pairs, Stored, simulator_of
from flowvi.amortized.summary_of import sizes_vary, summary_of
from flowvi.amortized.supply import LEAST_PAIRS, Supply, require_enough
from flowvi.amortized.train import Trained, train
from flowvi.cache import kept_programs
from flowvi.calibration.simulated import given_data
from flowvi.errors import ArgumentError, CannotSimulateError
from flowvi.flows import Flow
from flowvi.objectives.arguments import check_choice
from flowvi.precision import double_precision
from flowvi.targets.base import Target
from flowvi.targets.of_model import RESERVED, parameter_names, target_of

_COLLAPSED = 1e-6
"""Spread of summaries over data sets, relative to their size, below which they say nothing."""
_CALLER = "flowvi.amortize"
_RESERVED = (
    *RESERVED, "observed", "simulate", "prior", "summary", "simulations", "objective", "fresh",
    "max_steps",
)  # fmt: skip


@double_precision
def amortize(
    model: Any = None,
    *args: Any,
    observed: str = "y",
    simulate: Callable[..., Any] | None = None,
    prior: Callable[..., Any] | None = None,
    summary: str | eqx.Module | None = None,
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
            Draws that raise, or have NaN in them, are dropped, counted and reported.
        prior: a function of a generator that returns a dict of parameters.
        summary: of the data: None (the entries themselves), "set" or "set_transformer" (exchangeable
            elements along the first axis, of any number), "series" (time along it), "image" ((height, width)
            or (height, width, channels)), or an equinox module of one standardised data set.
        simulations: how many to draw, or stored ones: a dict of arrays (n, *shape) and the n data sets.
        objective: "forward_kl" as above, which covers all of the posterior; or "elbo", the evidence lower
            bound E_q[log p(z, x) - log q(z | s(x))] of every simulated data set, which needs a model with a
            likelihood, and data of one size. Its `held_out` is that bound.
        fresh: draw new simulations in every round of training, `simulations` in all, rather than going
            through the same ones again and again.
        flow: "auto" (spline couplings), a builder's name, a builder, or a `Flow` conditioned on as many
            numbers as the summary has.
        max_steps: of Adam, on batches of 256 pairs; training mostly ends before.
        example: as for `flowvi.fit`, for a model that is a JAX log density.
        supports: parameter name -> support, of a simulator's parameters; see `flowvi.bijections.support`.

    Raises:
        CannotSimulateError: the model cannot draw from its own prior, or observes other sites.
        ArgumentError: an argument is of the wrong type or out of range, or a simulator does not return what
            it should.
        DataError: next to all simulations failed, or all data sets are the same or of unlike shapes.
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
    _check(max_steps, seed, simulations, fresh)
    check_choice("objective", objective, ("forward_kl", "elbo"))
    target = None
    if model is not None:
        of_density = None if example is None else supports
        target = target_of(model, args, model_kwargs, example, of_density, _CALLER, _RESERVED)
    elif args or model_kwargs or example is not None:
        raise ArgumentError("Arguments of a model were given, but no model.")
    simulator = simulator_of(target, simulate, prior, observed, simulations)
    stored = isinstance(simulator, Stored)
    total = len(simulator.x) if isinstance(simulator, Stored) else int(simulations)
    streams = [int(stream) for stream in np.random.SeedSequence(seed).generate_state(4)]
    with kept_programs():
        # where the rest is drawn on the way, these tell scales and when to stop
        at_first = max(total // 5, LEAST_PAIRS) if fresh else total
        first = simulator(streams[0], at_first)
        require_enough(first, Counter(first.failed))
        layout = layout_of(first.x, sizes_vary(summary))
        given = None
        if target is None:
            parameters: Parameters = NamedParameters(first.parameters, supports)
        else:
            given = _likelihood(
                simulate is not None, model, args, model_kwargs, example, supports, target, observed
            )
            if isinstance(simulator, FromModel) and _takes(model, observed):
                again = FromModel(given(first.x[0]), observed)(streams[0], at_first)
                _require_draws_of_its_own(first, again, observed)
            parameters = ModelParameters(given(first.x[0]), given(first.x[-1]))
        supply = Supply(simulator, parameters, layout, first, raw=objective == "elbo")
        encoder = summary_of(summary, supply.first_rows.x, layout, parameters.dim, streams[1])
        network = Network(encoder, conditional_flow(flow, parameters.dim, encoder.size, streams[2]))
        bound = _bound(given, layout, supply) if objective == "elbo" else None
        trained = train(
            network, supply, bound,
            fresh=total if fresh else 0, max_steps=max_steps, seed=streams[3], progress=progress,
        )  # fmt: skip
        notes = _collapsed(trained)
        return Amortized(
            curve=trained.curve,
            held_out=trained.held_out,
            failed=dict(supply.failed),
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
            _simulate=None if stored else simulator,
            _unseen=supply.first.take(trained.unseen_numbers),
            _given=given,
        )


def _bound(given: Callable[[np.ndarray], Target] | None, layout: Layout, supply: Supply) -> Bound:
    if given is None or layout.varies:
        raise ArgumentError(
            "objective='elbo' needs a model with a likelihood, and data sets of one size. Leave it out: "
            "forward KL needs simulations only."
        )
    return bound_of(given(supply.first.x[0]), given(supply.first.x[-1]), supply.location, supply.scale)


def _collapsed(trained: Trained) -> tuple[str, ...]:
    """A note, and a warning, where summaries do not depend on the data."""
    found = summaries(trained.network.summary, trained.unseen.x)
    if np.any(found.std(axis=0) > _COLLAPSED * (1 + np.abs(found.mean(axis=0)))):
        return ()
    note = (
        "The summaries are the same for all simulated data sets: the summary network has collapsed, and q is "
        "the prior whatever the data. Try another summary, more simulations, or data on another scale."
    )
    warnings.warn(note, stacklevel=4)
    return (note,)


def _likelihood(
    simulated: bool, model: Any, args: tuple, kwargs: Mapping[str, Any], example: Any, supports: Any,
    target: Target, observed: str,
) -> Callable[[np.ndarray], Target]:  # fmt: skip
    """The posterior of the model given data: by the argument of that name, or else in place of the observed
    site."""
    old = target.observed_data().get(observed)

    def as_before(x: np.ndarray) -> np.ndarray:
        return x if old is None else x.astype(old.dtype)

    if simulated or _takes(model, observed):
        return lambda x: given_data({observed: as_before(x)}, model, args, kwargs, example, supports)
    if old is None:
        raise ArgumentError(
            f"observed={observed!r} is no argument of the model and no observed site; the sites are "
            f"{list(target.observed_data())}."
        )
    return lambda x: target.with_observed({observed: as_before(x)})


def _takes(model: Any, observed: str) -> bool:
    """Whether the data are an argument of the model."""
    return not isinstance(model, Target) and observed in parameter_names(model)


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


def _check(max_steps: int, seed: int, simulations: Any, fresh: bool) -> None:
    whole = int | np.integer
    if isinstance(max_steps, bool) or not isinstance(max_steps, whole) or max_steps < 1:
        raise ArgumentError(f"max_steps={max_steps!r}: give a positive number of steps.")
    if isinstance(seed, bool) or not isinstance(seed, whole) or seed < 0:
        raise ArgumentError(f"seed={seed!r}: give a whole number, zero or more.")
    if isinstance(simulations, bool) or (isinstance(simulations, whole) and simulations < LEAST_PAIRS):
        raise ArgumentError(f"simulations={simulations!r}: {LEAST_PAIRS} are needed at least.")
    if fresh and not isinstance(simulations, whole):
        raise ArgumentError("Stored simulations cannot be `fresh`.")
