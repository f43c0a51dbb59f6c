"""`flowvi.amortize`: a simulator in, q(z | x) for every x out."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import numpy as np

from flowvi.amortized.conditional_flow import conditional_flow
from flowvi.amortized.layout import Layout, layout_of
from flowvi.amortized.network import Network
from flowvi.amortized.parameters import ModelParameters, NamedParameters, Parameters
from flowvi.amortized.result import Amortized
from flowvi.amortized.simulators import Pairs, Simulator, Stored, simulator_of
from flowvi.amortized.summary_of import sizes_vary, summary_of
from flowvi.amortized.training import BATCH, Rows, rounds, score, steps_of_round
from flowvi.cache import kept_programs
from flowvi.calibration.simulated import given_data
from flowvi.density.result import Curve
from flowvi.density.rows import split
from flowvi.diagnostics.estimate import Estimate
from flowvi.errors import ArgumentError, DataError
from flowvi.flows import Flow
from flowvi.flows.standardise import standardise_by
from flowvi.precision import double_precision
from flowvi.targets.base import Target
from flowvi.targets.of_model import RESERVED, target_of
from flowvi.training.early_stopping import Round

_SECONDS_BETWEEN_LINES = 5.0
_LEAST_PAIRS = 100
_CALLER = "flowvi.amortize"
_RESERVED = (
    *RESERVED, "observed", "simulate", "prior", "summary", "simulations", "fresh", "max_steps",
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
    target = None
    if model is not None:
        target = target_of(
            model, args, model_kwargs, example, None if example is None else supports, _CALLER, _RESERVED
        )
    elif args or model_kwargs or example is not None:
        raise ArgumentError("Arguments of a model were given, but no model.")
    simulator = simulator_of(target, simulate, prior, observed, simulations)
    total = len(simulator.x) if isinstance(simulator, Stored) else int(simulations)
    streams = np.random.SeedSequence(seed).generate_state(4)
    with kept_programs():
        # with fresh pairs, those drawn at first only tell scales, and are held out
        first = simulator(int(streams[0]), min(total, max(total // 5, _LEAST_PAIRS)) if fresh else total)
        _require_enough(first)
        layout = layout_of(first.x, sizes_vary(summary))
        given = None
        if target is None:
            parameters: Parameters = NamedParameters(first.parameters, supports)
        else:
            given = _likelihood(
                simulate is not None, model, args, model_kwargs, example, supports, target, observed
            )
            parameters = ModelParameters(given(first.x[0]), given(first.x[-1]))
        return _trained(
            parameters, layout, simulator, first, given,
            summary=summary, flow=flow, streams=[int(s) for s in streams], fresh=total if fresh else 0,
            max_steps=max_steps, progress=progress,
        )  # fmt: skip


def _trained(
    parameters: Parameters,
    layout: Layout,
    simulator: Simulator,
    first: Pairs,
    given: Callable[[np.ndarray], Target] | None,
    *,
    summary: str | eqx.Module | None,
    flow: Any,
    streams: list[int],
    fresh: int,
    max_steps: int,
    progress: bool,
) -> Amortized:
    rng = np.random.default_rng(streams[1])
    failed = dict(first.failed)
    z, first = _unconstrained(parameters, first, failed)
    location, scale = z.mean(axis=0), z.std(axis=0)
    fixed = [parameters.coordinates[i] for i in np.flatnonzero(~(scale > 1e-12 * np.abs(location)))]
    if fixed:
        raise DataError(f"'{fixed[0]}' is the same in all simulations: there is nothing to infer about it.")

    def rows_of(z: np.ndarray, pairs: Pairs) -> Rows:
        return Rows(((z - location) / scale).astype(np.float32), layout.batch(pairs.x))

    pairs = rows_of(z, first)
    parts = split(len(z), rng)
    used = len(z)
    network_summary = summary_of(summary, pairs.x, layout, streams[2])
    network = Network(
        network_summary, conditional_flow(flow, parameters.dim, network_summary.size, streams[2])
    )

    def draw(n: int) -> Rows:
        nonlocal used
        drawn, parts = 0, []
        while drawn < n:
            new = simulator(int(rng.integers(2**32)), n - drawn)
            z, new = _unconstrained(parameters, new, failed_add(failed, new))
            if len(z):
                parts.append((z, new))
            drawn += len(z)
        used += n
        z = np.concatenate([z for z, _ in parts])
        x = [one for _, new in parts for one in new.x]
        return rows_of(z, Pairs({}, x, {}))

    train: Any = draw if fresh else pairs.take(parts.train)
    steps = min(steps_of_round(len(parts.train)), max_steps)
    if fresh:
        max_steps = min(max_steps, max(steps, (fresh - len(z)) // BATCH))
    log_scale = float(np.log(scale).sum())
    history: list[Round] = []
    interrupted = False
    show = _printer(progress, log_scale)
    try:
        for round_ in rounds(network, train, pairs.take(parts.validation), rng, steps, max_steps):
            history.append(round_)
            network = round_.model
            show(round_)
    except KeyboardInterrupt:
        interrupted = True
    value, error = score(network, pairs.take(parts.test))
    return Amortized(
        flow=standardise_by(network.flow, location, scale),
        summary=network.summary,
        curve=Curve(
            np.array([round_.steps for round_ in history], int),
            np.array([round_.training for round_ in history]) - log_scale,
            np.array([round_.validation for round_ in history]) - log_scale,
        ),
        held_out=Estimate(value - log_scale, error),
        failed=failed,
        simulations=used,
        notes=(),
        skipped=history[-1].skipped if history else 0,
        interrupted=interrupted,
        _parameters=parameters,
        _layout=layout,
        _simulator=simulator,
        _given=given,
    )


def failed_add(failed: dict[str, int], new: Pairs) -> dict[str, int]:
    for why, count in new.failed.items():
        failed[why] = failed.get(why, 0) + count
    return failed


def _unconstrained(parameters: Parameters, pairs: Pairs, failed: dict[str, int]) -> tuple[np.ndarray, Pairs]:
    """Points, and the pairs that have one: draws may lie at the edge of their support after rounding."""
    if not len(pairs.x):
        return np.zeros((0, parameters.dim)), pairs
    z, _ = parameters.unconstrain(dict(pairs.parameters))
    inside = np.isfinite(z).all(axis=1)
    if not inside.all():
        why = "parameters outside, or at the edge of, their support"
        failed[why] = failed.get(why, 0) + int((~inside).sum())
    kept = np.flatnonzero(inside)
    return z[kept], Pairs(
        {name: values[kept] for name, values in pairs.parameters.items()}, [pairs.x[i] for i in kept], {}
    )


def _likelihood(
    by_argument: bool, model: Any, args: tuple, kwargs: Mapping[str, Any], example: Any, supports: Any,
    target: Target, observed: str,
) -> Callable[[np.ndarray], Target]:  # fmt: skip
    """The posterior of the model given data: by the argument they are given under where a function simulates
    them, else in place of the observed site."""
    if not by_argument:
        return lambda x: target.with_observed({observed: x})
    return lambda x: given_data({observed: x}, model, args, kwargs, example, supports)


def _require_enough(pairs: Pairs) -> None:
    dropped = sum(pairs.failed.values())
    if len(pairs.x) >= _LEAST_PAIRS:
        return
    why = "".join(f" {count:,} were dropped: {reason}." for reason, count in pairs.failed.items())
    raise DataError(
        f"{len(pairs.x)} of {len(pairs.x) + dropped:,} simulations can be used; {_LEAST_PAIRS} are needed at "
        f"least.{why}"
    )


def _check(max_steps: int, seed: int, simulations: Any, fresh: bool) -> None:
    whole = int | np.integer
    if isinstance(max_steps, bool) or not isinstance(max_steps, whole) or max_steps < 1:
        raise ArgumentError(f"max_steps={max_steps!r}: give a positive number of steps.")
    if isinstance(seed, bool) or not isinstance(seed, whole) or seed < 0:
        raise ArgumentError(f"seed={seed!r}: give a whole number, zero or more.")
    if isinstance(simulations, bool) or (isinstance(simulations, whole) and simulations < _LEAST_PAIRS):
        raise ArgumentError(f"simulations={simulations!r}: {_LEAST_PAIRS} are needed at least.")
    if fresh and not isinstance(simulations, whole):
        raise ArgumentError("Stored simulations cannot be `fresh`.")


def _printer(progress: bool, log_scale: float) -> Callable[[Round], None]:
    """Prints a round at most every few seconds."""
    start = last = time.monotonic()

    def show(round_: Round) -> None:
        nonlocal last
        now = time.monotonic()
        if progress and now - last >= _SECONDS_BETWEEN_LINES:
            last = now
            print(
                f"amortize  step {round_.steps:,}  validation {round_.validation - log_scale:.3f} nats"
                f"  {now - start:.0f} s",
                file=sys.stderr,
                flush=True,
            )

    return show
