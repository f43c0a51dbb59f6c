"""The stages that look for q: explore, gaussian, flow; each ends the search when its weights carry. Then the
weights of the last."""

from __future__ import annotations

from itertools import islice

import numpy as np

from flowvi.errors import DensityError
from flowvi.flows import Flow, whiten
from flowvi.inference.chains import compile_ahead as compile_chains_ahead
from flowvi.inference.correct import LEAST_PROPOSALS, MOST_PROPOSALS, Weighted, weigh
from flowvi.inference.explore import explore, starts
from flowvi.inference.failure import EvaluationError
from flowvi.inference.gaussian import RUNAWAY, Gaussian, fit_gaussian, mean_field
from flowvi.inference.preflight import check_gradient, finite_starts
from flowvi.inference.proposal import compile_ahead
from flowvi.inference.search import Search
from flowvi.inference.tails import at_the_edge_of_numbers, directions_without_end
from flowvi.inference.training import Build, trained_from_best_start
from flowvi.inference.uncovered import uncovered
from flowvi.inference.widen import widened

_MOST_GAUSSIAN_PROPOSALS = 20
"""Proposals per draw beyond which training a flow costs less than weights on the Gaussian."""

_LEAST_ESS_RATIO = 0.4
"""ESS/S below which it does so too."""

_GOOD_FLOW = 0.992
"""ESS/S at which training ends at once."""

_FEW_ROUNDS = 4
_CHEAP_PROPOSALS = 30
"""Proposals per draw at which, after a few rounds, weights cost less than another round."""

_POOR_GAUSSIAN = 0.1
"""ESS/S of the Gaussian below which other axes are tried."""

_POOR_FLOW = 0.2
_SLOW = 0.25
"""ESS/S below which chains cost less than what training would still take, where a round gains less than
this share of KL(q, p), by sd(log w)^2 / 2."""

_WORTHWHILE = 0.01
"""Gain in ELBO, in nats a round, below which as many proposals as can be had are tried."""

_USUAL_ROUNDS = 5
_MOST_ROUNDS = 12


def run_stages(search: Search, build: Build | None, always: bool) -> None:
    """Go through the stages until the weights of one carry, the budget is spent or the user interrupts.

    Args:
        build: makes the flow to train, on the whitened scale; None ends at the Gaussian.
        always: train the flow even where the Gaussian is good enough.
    """
    search.build = build
    try:
        # a density may grow beyond all numbers, which the checks that follow look for
        with np.errstate(all="ignore"):
            _explore(search)
            _fit_gaussian(search)
            enough = search.endless or (not always and _gaussian_suffices(search))
            enough = enough or search.interrupted or search.ledger.exhausted()
            if build is not None and not enough:
                _choose_axes(search)
                _train(search, build())
    except KeyboardInterrupt:
        search.converged = False
        search.interrupt(": this is the best so far")
    except (ArithmeticError, np.linalg.LinAlgError) as error:
        search.converged = False
        search.end(error)
    if search.ledger.exhausted():
        search.notes.append(
            f"The budget was spent in stage '{search.ledger.stage}': this is the best so far."
        )


def weighed(search: Search) -> tuple[Weighted, Weighted]:
    """`fitted` and `weighted` of the last q, made now where its stage did not get to it.

    Raises:
        DensityError: the target is finite at no draw of q, or raised an exception before there were any.
    """
    try:
        with np.errstate(all="ignore"):
            return _weighed(search)
    except EvaluationError as error:
        raise nothing_yet(error) from error
    except ArithmeticError as error:
        raise DensityError(
            f"Nothing can be said about the posterior: {error}. The density is zero (-inf) or NaN nearly "
            "everywhere: declare the supports of parameters with a limited range, and look for NaN in "
            "the model."
        ) from error


def _weighed(search: Search) -> tuple[Weighted, Weighted]:
    try:
        search.ledger.enter("correct")
        fitted = search.q.fitted or search.q.choose_tails()[0]
        if search.q.beyond is None:
            search.q.carries(MOST_PROPOSALS)
        return fitted, search.q.weighted or search.q.weigh_for_draws(MOST_PROPOSALS)
    except KeyboardInterrupt:
        search.interrupt(": these weights are of few draws")
        weighted = weigh(search.density, search.q.proposal, search.rng, LEAST_PROPOSALS)
        return search.q.fitted or weighted, weighted
    except EvaluationError as error:
        if search.q.fitted is None:
            raise
        search.end(error)
        if search.q.weighted is None:
            search.q.go_back()
        return search.q.fitted, search.q.weighted or search.q.fitted


def _explore(search: Search) -> None:
    search.ledger.enter("preflight")
    z = finite_starts(search.density, starts(search.density.target.dim, search.rng))
    check_gradient(search.density, z)
    search.ledger.enter("explore")
    search.modes, search.strays = explore(search.density, z)
    if search.modes:
        search.use_gaussian(Gaussian(search.modes[0].location, search.modes[0].scale_tril))


def _fit_gaussian(search: Search) -> None:
    search.ledger.enter("gaussian")
    fit = fit_gaussian(search.density, search.modes, search.rng)
    if fit is None:
        search.notes.append("No Gaussian was found: the log density is finite at too few draws of any.")
        return
    search.use_gaussian(fit.gaussian)
    search.converged = fit.converged
    scale = np.linalg.norm(fit.gaussian.scale_tril, axis=1)
    search.endless = tuple(search.density.target.coordinates[i] for i in np.flatnonzero(scale > RUNAWAY))
    search.endless = search.endless or at_the_edge_of_numbers(search.density.target, fit.gaussian.location)
    search.endless = search.endless or directions_without_end(search.density, fit.gaussian, search.rng)


def _gaussian_suffices(search: Search) -> bool:
    """Whether weights carry, of the Gaussian or, where several modes are known, of one for each."""
    if _gaussian_carries(search):
        return True
    if len(search.modes) < 2 or search.ledger.exhausted():
        return False
    single, q = search.q, search.q.with_normal_base()
    weighted = single.weighted or single.weigh_for_draws(_MOST_GAUSSIAN_PROPOSALS)
    log_evidence = weighted.log_evidence.value
    places = uncovered(search.density, q, log_evidence, [*search.modes, *search.strays], search.rng)
    if places:
        search.use(widened(search.density, q, places, search.rng))
        if _gaussian_carries(search):
            return True
        search.q = single
    return False


def _gaussian_carries(search: Search) -> bool:
    _, quick = search.q.choose_tails()
    enough = quick.proposals_for(1) < _MOST_GAUSSIAN_PROPOSALS and quick.ess_ratio > _LEAST_ESS_RATIO
    return enough and search.q.carries(_MOST_GAUSSIAN_PROPOSALS)


def _choose_axes(search: Search) -> None:
    """Whiten along the model's own axes where a Gaussian without correlations comes closer."""
    fitted = search.q.fitted or search.q.choose_tails()[0]
    if fitted.ess_ratio > _POOR_GAUSSIAN:
        return
    fit = mean_field(search.density, search.gaussian, search.rng)
    if fit is not None and fit.elbo > fitted.elbo.value:
        search.use_gaussian(fit.gaussian)


def _train(search: Search, flow: Flow) -> None:
    """Rounds of training until the weights are even and carry, or more rounds bring nothing."""
    compile_ahead(whiten(flow, *search.gaussian))
    search.trained = True
    search.training = enumerate(
        islice(trained_from_best_start(search.density, flow, search.gaussian, search.rng), _MOST_ROUNDS), 1
    )
    train_on(search)


def train_on(search: Search) -> bool:
    """More rounds, until weights carry again or more would bring nothing; whether there was one."""
    search.ledger.enter("flow")
    began, before, number = search.ledger.seconds, -np.inf, 0
    for number, trained in search.training:
        fitted = trained.fitted
        search.converged = False
        search.use(trained.proposal, fitted)
        search.ledger.show(
            fitted.elbo.value,
            fitted.sd_log_weights,
            fitted.khat,
            (search.ledger.seconds - began) / number * max(_USUAL_ROUNDS - number, 1),
        )
        gain = fitted.elbo.value - before
        wanted = MOST_PROPOSALS if gain < _WORTHWHILE else _CHEAP_PROPOSALS
        even = fitted.ess_ratio > _GOOD_FLOW
        if not even and number >= _FEW_ROUNDS:
            even = search.q.choose_tails()[1].expected_proposals < wanted
        poor = fitted.ess_ratio < _POOR_FLOW and gain < _SLOW * fitted.sd_log_weights**2 / 2
        before = max(before, fitted.elbo.value)
        search.converged = even and search.q.carries(MOST_PROPOSALS)
        if search.converged or (poor and number >= _FEW_ROUNDS) or search.ledger.exhausted():
            return True
        if number == _FEW_ROUNDS - 1 and fitted.ess_ratio < _POOR_FLOW:
            compile_chains_ahead(search.density.target, search.q.proposal)
    search.converged = search.converged or 0 < number < _MOST_ROUNDS
    return number > 0


def nothing_yet(error: EvaluationError) -> DensityError:
    """The error for a user whose density raised an exception before there was anything to return."""
    return DensityError(
        f"The fit ended before there was anything to return, because {error}. Let the log density be NaN, or "
        "-inf, where it cannot be computed."
    )
