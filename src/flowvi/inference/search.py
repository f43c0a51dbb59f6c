"""The stages that look for q: explore, gaussian, flow; each ends the search when its weights carry."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np

from flowvi.diagnostics.bridge import bridge_sampling
from flowvi.diagnostics.estimate import Estimate
from flowvi.errors import DensityError
from flowvi.flows import Flow, Normal, whiten
from flowvi.inference.approximation import Approximation
from flowvi.inference.chains import CHAINS, NUTS_CHAINS, Chains, run_chains, share_near, thinned
from flowvi.inference.chains import compile_ahead as compile_chains_ahead
from flowvi.inference.correct import (
    LEAST_ESS,
    LEAST_PROPOSALS,
    MOST_PROPOSALS,
    Weighted,
    unique_draws,
    weigh,
)
from flowvi.inference.density import Density
from flowvi.inference.drift import Drift, drift
from flowvi.inference.explore import Mode, Stray, climb_around, explore, starts
from flowvi.inference.failure import EvaluationError
from flowvi.inference.gaussian import RUNAWAY, Gaussian, fit_gaussian, mean_field
from flowvi.inference.heavy import under_large_weights
from flowvi.inference.preflight import check_gradient, finite_starts
from flowvi.inference.proposal import (
    Proposal,
    compile_ahead,
    gaussian_proposal,
)
from flowvi.inference.reach import mass_beyond
from flowvi.inference.tails import at_the_edge_of_numbers, directions_without_end
from flowvi.inference.tempering import tempered_particles
from flowvi.inference.training import Build, Trained, trained_from_best_start, trained_rounds
from flowvi.inference.uncovered import MISSED_MASS, Uncovered, covers, uncovered
from flowvi.inference.widen import broad_gaussian, weighted_by_evidence, widened

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

_ROUNDING = 1e-12
"""Of a log evidence, in proportion: sums over observations and determinants in float64."""

_MOST_PROBES = 32_768
"""For what chains may have missed, where draws of q say little."""

_WORTH_TEMPERING = 0.02
"""Share of the evidence at a place where there may be more than starts find."""

_TAIL_OF_A_FLOW = 0.1
"""Share of the evidence outside a flow that more training is likely to cover."""

_MOST_PASSES = 6
"""Times that q is widened."""

_MOST_EVENED = 3
_MORE_EVEN = 0.5
"""Times that q gets parts where its weights are large, and the share of the proposals per draw that may then
still be needed, for it to be worth going on."""

_WORTH_A_PART = 0.002
"""Share of the evidence at a place for which q gets a part, where it gets any."""

_WORTH_A_FLOW = 0.01
_ROUNDS_PER_PART = 3
_MOST_FLOWS = 8
"""Weight of a part from which a flow is trained for it where Gaussians do not carry, for how long, and for
how many parts at most."""

_USUAL_ROUNDS = 5
_MOST_ROUNDS = 12


class Search:
    """The best approximation so far: what one stage has found stays when a later one is cut short.

    Attributes:
        modes, strays: what the starts led to.
        gaussian: the best Gaussian.
        q: that Gaussian, the flow trained from it, or a mixture, with its weighted draws.
        endless: coordinates along which the density does not fall off, or whose scale grew too large.
        converged: whether the last stage came to rest.
        chains: Markov chains, where weights did not carry.
        drift: where short chains moved weighted draws that are not all but exact.
        uncovered: places with mass outside q.
        tempered: whether particles were sent out to find more of them.
        audited: whether all of that was looked for.
        notes: what cut the search short, in sentences.
    """

    def __init__(self, density: Density, rng: np.random.Generator, draws: int) -> None:
        dim = density.target.dim
        self.modes: list[Mode] = []
        self.strays: list[Stray] = []
        self.gaussian = Gaussian(np.zeros(dim), np.eye(dim))
        self.chains: Chains | None = None
        self.drift: Drift | None = None
        self.uncovered: list[Uncovered] = []
        self.audited = False
        self.endless: tuple[str, ...] = ()
        self.converged = False
        self.notes: list[str] = []
        self._build: Build | None = None
        self._trained = False
        self._training: Iterator[tuple[int, Trained]] = iter(())
        self.tempered = False
        self._interrupted = False
        self._density = density
        self._ledger = density.ledger
        self._rng = rng
        # a few draws are no easier: the weights of few proposals are too rough to be judged
        self._draws = draws
        self._least = max(draws, LEAST_ESS)
        self._use(gaussian_proposal(self.gaussian))

    def run(self, build: Build | None, always: bool) -> None:
        """Go through the stages until the weights of one carry, the budget is spent or the user interrupts.

        Args:
            build: makes the flow to train, on the whitened scale; None ends at the Gaussian.
            always: train the flow even where the Gaussian is good enough.
        """
        self._build = build
        try:
            # a density may grow beyond all numbers, which the checks that follow look for
            with np.errstate(all="ignore"):
                self._explore()
                self._fit_gaussian()
                enough = self.endless or (not always and self._gaussian_suffices())
                enough = enough or self._interrupted or self._ledger.exhausted()
                if build is not None and not enough:
                    self._choose_axes()
                    self._train(build())
        except KeyboardInterrupt:
            self.converged = False
            self._interrupt(": this is the best so far")
        except (ArithmeticError, np.linalg.LinAlgError) as error:
            self.converged = False
            self._end(error)
        if self._ledger.exhausted():
            self.notes.append(
                f"The budget was spent in stage '{self._ledger.stage}': this is the best so far."
            )

    def correct(self) -> tuple[Weighted, Weighted]:
        """`fitted` and `weighted` of the last q, made now where its stage did not get to it.

        Raises:
            DensityError: the target is finite at no draw of q, or raised an exception before there were any.
        """
        try:
            with np.errstate(all="ignore"):
                return self._correct()
        except EvaluationError as error:
            raise nothing_yet(error) from error
        except ArithmeticError as error:
            raise DensityError(
                f"Nothing can be said about the posterior: {error}. The density is zero (-inf) or NaN nearly "
                "everywhere: declare the supports of parameters with a limited range, and look for NaN in "
                "the model."
            ) from error

    def _correct(self) -> tuple[Weighted, Weighted]:
        try:
            self._ledger.enter("correct")
            fitted = self.q.fitted or self.q.choose_tails()[0]
            if self.q.beyond is None:
                self.q.carries(MOST_PROPOSALS)
            return fitted, self.q.weighted or self.q.weigh_for_draws(MOST_PROPOSALS)
        except KeyboardInterrupt:
            self._interrupt(": these weights are of few draws")
            weighted = weigh(self._density, self.q.proposal, self._rng, LEAST_PROPOSALS)
            return self.q.fitted or weighted, weighted
        except EvaluationError as error:
            if self.q.fitted is None:
                raise
            self._end(error)
            if self.q.weighted is None:
                self.q.go_back()
            return self.q.fitted, self.q.weighted or self.q.fitted

    def cover(self, weighted: Weighted) -> Weighted:
        """Audit q, and widen it by a part for every place with mass that it does not cover, until none is
        found; weighted draws of what it then is."""
        try:
            self._climb_around()
            for _ in range(_MOST_PASSES):
                self.audit(weighted)
                missed = [place for place in self.uncovered if place.share > _WORTH_A_PART]
                if max((place.share for place in missed), default=0) < MISSED_MASS:
                    missed = []
                several = len(self.q.proposal.parts()) > 1
                unsure = several and not (self.tempered and weighted.carry(self._least))
                if self._over or not (missed or unsure):
                    break
                gaussian = not (self._trained or several)
                with np.errstate(all="ignore"):
                    # what a Gaussian lacks around its own place no further ones give it: it is for chains
                    if gaussian and not weighted.carry(self._least) and self._slopes(missed, weighted):
                        break
                    tail = sum(place.share for place in missed) < _TAIL_OF_A_FLOW
                    if tail and self._trained and not several and (more := self._trained_further(weighted)):
                        weighted = more
                        continue
                    self._ledger.enter("modes")
                    if unsure or max(place.share for place in missed) > _WORTH_TEMPERING:
                        missed = self._with_tempering(weighted, missed)
                    if missed:
                        weighted = self._widen(missed)
                    elif (even := self._evened(weighted)) is not None:
                        weighted = even
                    else:
                        break
                self._climb_around()
            else:
                self.audit(weighted)
        except KeyboardInterrupt:
            self._interrupt()
        except (ArithmeticError, np.linalg.LinAlgError) as error:
            self._end(error)
        return weighted

    def _slopes(self, places: list[Uncovered], weighted: Weighted) -> bool:
        """Whether the Gaussians fitted from all of these places moved to where q is."""
        q, log_evidence = self.q.with_normal_base(), weighted.log_evidence.value
        return all(covers(self._density, q, log_evidence, place.gaussian.location) for place in places)

    @property
    def _over(self) -> bool:
        """Whether nothing that takes long is to be begun."""
        return bool(self.endless) or self._interrupted or self._ledger.exhausted()

    def _trained_further(self, weighted: Weighted) -> Weighted | None:
        """Weighted draws of q after more training; None, and q as it was, where that brings nothing."""
        before = self.q
        try:
            if self._train_on():
                more = self.q.weighted or self.q.weigh_for_draws(MOST_PROPOSALS)
                if more.carry(self._least) or not weighted.carry(self._least):
                    return more
        except BaseException:
            # the weighted draws that there are belong to q as it was
            self.q = before
            raise
        self.q = before
        return None

    def _interrupt(self, what_is_left: str = "") -> None:
        """What still has to be done is done, but nothing that takes long is begun."""
        self._interrupted = True
        self.notes.append(f"Interrupted in stage '{self._ledger.stage}'{what_is_left}.")

    def _end(self, error: Exception) -> None:
        self.notes.append(f"Stage '{self._ledger.stage}' ended because {error}.")

    def _with_tempering(self, weighted: Weighted, places: list[Uncovered]) -> list[Uncovered]:
        """These places, and others that particles find: where there are several modes, there may be more."""
        self.tempered = True
        q = self.q.proposal
        if places:
            q = widened(self._density, q, places, self._rng)
            log_evidence = weigh(self._density, q, self._rng, LEAST_PROPOSALS).log_evidence.value
        else:
            log_evidence = weighted.log_evidence.value
        particles = tempered_particles(self._density, broad_gaussian(q, self._rng), self._rng)
        value = self._density.value(particles)
        order = np.argsort(-np.where(np.isfinite(value), value, -np.inf))
        found: list[Mode | Stray] = [
            Stray(particles[i], self.gaussian.scale_tril, float(value[i])) for i in order
        ]
        more = uncovered(self._density, q, log_evidence, found, self._rng)
        self.strays += [Stray(p.location, p.gaussian.scale_tril, p.log_density) for p in more]
        return [*places, *more]

    def _evened(self, weighted: Weighted) -> Weighted | None:
        """Weighted draws of q with Gaussians where its weights are large; None, and q as it was, where
        weights carry already, or not even then."""
        before = self.q
        for _ in range(_MOST_EVENED):
            if weighted.carry(self._least):
                break
            places = under_large_weights(self._density, weighted, self._rng)
            if not places or self._ledger.exhausted():
                break
            self._use(widened(self._density, self.q.proposal, places, self._rng))
            _, quick = self.q.choose_tails()
            if quick.expected_proposals > _MORE_EVEN * weighted.expected_proposals:
                break
            self.q.carries(MOST_PROPOSALS)
            weighted = self.q.weighted or self.q.weigh_for_draws(MOST_PROPOSALS)
        if self.q is not before and weighted.carry(self._least):
            return weighted
        self.q = before
        return None

    def _widen(self, places: list[Uncovered]) -> Weighted:
        """q with a Gaussian at each place, or a flow where Gaussians do not carry."""
        before = self.q
        try:
            return self._widened(places)
        except BaseException:
            # the weighted draws that there are belong to q as it was
            self.q = before
            raise

    def _widened(self, places: list[Uncovered]) -> Weighted:
        gaussians: list[Gaussian | None] = [None] * len(self.q.proposal.parts())
        if len(gaussians) == 1 and not self._trained:
            gaussians = [self.gaussian]
        gaussians += [place.gaussian for place in places]
        self._use(widened(self._density, self.q.proposal, places, self._rng))
        self.q.choose_tails()
        carries = self.q.carries(MOST_PROPOSALS)
        if not carries and self._build is not None and len(gaussians) <= _MOST_FLOWS:
            self._train_parts(self._build, gaussians)
            self.q.choose_tails()
            self.q.carries(MOST_PROPOSALS)
        return self.q.weighted or self.q.weigh_for_draws(MOST_PROPOSALS)

    def _train_parts(self, build: Build, gaussians: list[Gaussian | None]) -> None:
        """A flow instead of each Gaussian that has weight enough."""
        parts, weights = list(self.q.proposal.parts()), self.q.proposal.part_weights()
        for k, gaussian in enumerate(gaussians):
            if gaussian is not None and weights[k] > _WORTH_A_FLOW and not self._ledger.exhausted():
                for trained in islice(
                    trained_rounds(self._density, build(), gaussian, self._rng), _ROUNDS_PER_PART
                ):
                    parts[k] = trained.proposal
        normal = tuple(part.with_base(Normal(part.base.dim)) for part in parts)
        self._use(weighted_by_evidence(self._density, normal, weights, self._rng))

    def repair(self, weighted: Weighted) -> None:
        """Markov chains where importance weights do not carry, or short chains move their draws: in the base
        space of the flow and, where those do not mix, in the coordinates of the Gaussian."""
        if self._over:
            return
        try:
            if weighted.carry(self._least) and not self._drifts(weighted):
                return
            self._ledger.enter("correct")
            self.audited = False
            starts = weighted.z[unique_draws(weighted, CHAINS, self._rng)]
            with np.errstate(all="ignore"):
                if self._trained or len(self.q.proposal.parts()) > 1:
                    for hmc in run_chains(
                        self._density, self.q.proposal, starts, "hmc", self._rng, self._draws
                    ):
                        self.chains = hmc
                if self.chains is None or not (self.chains.mixed or self._ledger.exhausted()):
                    gaussian = gaussian_proposal(self.gaussian)
                    hmc = self.chains
                    few = starts[:NUTS_CHAINS]
                    for nuts in run_chains(self._density, gaussian, few, "nuts", self._rng, self._draws):
                        better = hmc is None or nuts.mixing.worst_rhat < hmc.mixing.worst_rhat
                        self.chains = nuts if better else hmc
            self._climb_around()
            self.audit(weighted)
        except KeyboardInterrupt:
            self._interrupt(": Markov chains were cut short" if self._ledger.stage == "correct" else "")
        except (ArithmeticError, np.linalg.LinAlgError) as error:
            self._end(error)

    def _drifts(self, weighted: Weighted) -> bool:
        """Whether short chains move the weighted draws; weights that are all but constant leave no doubt."""
        if weighted.nearly_constant:
            return False
        self._ledger.enter("judge")
        with np.errstate(all="ignore"):
            self.drift = drift(self._density, self.q.with_normal_base(), weighted, self._rng)
        return bool(self.drift.found.any())

    def _climb_around(self) -> None:
        """More places, from around q."""
        self.audited = False
        self._ledger.enter("judge")
        with np.errstate(all="ignore"):
            self.strays += climb_around(self._density, *self.gaussian, self._rng)

    def audit(self, weighted: Weighted) -> None:
        """Look for mass at the places that climbs led to and q does not cover."""
        self.audited = False
        self._ledger.enter("judge")
        with np.errstate(all="ignore"):
            log_evidence = self._log_evidence(weighted).value
            if self.chains is not None:
                self.q.beyond = mass_beyond(
                    self._density, self.q.proposal, log_evidence, self._rng, most=_MOST_PROBES
                )
            found = [*self.modes, *self.strays]
            # far draws of a defensive base reach other modes, but do not draw from them
            covering = self.chains is not None or weighted.carry(self._least)
            q = self.q.proposal if covering else self.q.with_normal_base()
            # what counted for nothing beside this q does not have to be weighed again
            known = self.q.negligible
            found = [start for start in found if not any(start is one for one in known)]
            places = uncovered(self._density, q, log_evidence, found, self._rng)
            known += [start for start in found if not any(start.location is p.location for p in places)]
            self.uncovered = [place for place in places if not self._visited(place)]
        # an interrupt may have come before tails were looked for
        self.audited = self.q.beyond is not None or self.q.defensive

    def _visited(self, place: Uncovered) -> bool:
        """Whether the chains have been where q is not."""
        return self.chains is not None and share_near(self.chains, place.gaussian) > place.share / 4

    def log_evidence(self, weighted: Weighted) -> Estimate:
        """The log evidence by these weights, its standard error widened by what draws of q may not see."""
        value, error = self._log_evidence(weighted)
        # where q is the posterior, weights differ by rounding alone, which says nothing of that of their mean
        error = float(np.hypot(error, _ROUNDING * (1 + abs(value))))
        beyond = self.q.beyond
        if beyond is None or self.q.defensive:
            return Estimate(value, error)
        unseen = [beyond.standard_error, max(beyond.value, 0.0)]
        unseen += [place.share for place in self.uncovered]
        return Estimate(value, float(np.hypot(error, np.linalg.norm(unseen))))

    def _log_evidence(self, weighted: Weighted) -> Estimate:
        """By importance weights, or by the bridge between q and the chains where there are some."""
        if self.chains is None:
            return weighted.log_evidence
        z, log_density = thinned(self.chains, len(weighted.z))
        log_ratio = log_density.ravel() - self.q.proposal.log_prob(z.reshape(-1, z.shape[-1]))
        return bridge_sampling(weighted.log_weights, log_ratio, self.chains.mixing.least_ess)

    def _explore(self) -> None:
        self._ledger.enter("preflight")
        z = finite_starts(self._density, starts(self._density.target.dim, self._rng))
        check_gradient(self._density, z)
        self._ledger.enter("explore")
        self.modes, self.strays = explore(self._density, z)
        if self.modes:
            self._use_gaussian(Gaussian(self.modes[0].location, self.modes[0].scale_tril))

    def _fit_gaussian(self) -> None:
        self._ledger.enter("gaussian")
        fit = fit_gaussian(self._density, self.modes, self._rng)
        if fit is None:
            self.notes.append("No Gaussian was found: the log density is finite at too few draws of any.")
            return
        self._use_gaussian(fit.gaussian)
        self.converged = fit.converged
        scale = np.linalg.norm(fit.gaussian.scale_tril, axis=1)
        self.endless = tuple(self._density.target.coordinates[i] for i in np.flatnonzero(scale > RUNAWAY))
        self.endless = self.endless or at_the_edge_of_numbers(self._density.target, fit.gaussian.location)
        self.endless = self.endless or directions_without_end(self._density, fit.gaussian, self._rng)

    def _use_gaussian(self, gaussian: Gaussian) -> None:
        self.gaussian = gaussian
        self._use(gaussian_proposal(gaussian))

    def _use(self, proposal: Proposal, fitted: Weighted | None = None) -> None:
        self.q = Approximation(self._density, self._rng, self._least, proposal, fitted)

    def _gaussian_suffices(self) -> bool:
        """Whether weights carry, of the Gaussian or, where several modes are known, of one for each."""
        if self._gaussian_carries():
            return True
        if len(self.modes) < 2 or self._ledger.exhausted():
            return False
        single, q = self.q, self.q.with_normal_base()
        weighted = single.weighted or single.weigh_for_draws(_MOST_GAUSSIAN_PROPOSALS)
        log_evidence = weighted.log_evidence.value
        places = uncovered(self._density, q, log_evidence, [*self.modes, *self.strays], self._rng)
        if places:
            self._use(widened(self._density, q, places, self._rng))
            if self._gaussian_carries():
                return True
            self.q = single
        return False

    def _gaussian_carries(self) -> bool:
        _, quick = self.q.choose_tails()
        enough = quick.proposals_for(1) < _MOST_GAUSSIAN_PROPOSALS and quick.ess_ratio > _LEAST_ESS_RATIO
        return enough and self.q.carries(_MOST_GAUSSIAN_PROPOSALS)

    def _choose_axes(self) -> None:
        """Whiten along the model's own axes where a Gaussian without correlations comes closer."""
        fitted = self.q.fitted or self.q.choose_tails()[0]
        if fitted.ess_ratio > _POOR_GAUSSIAN:
            return
        fit = mean_field(self._density, self.gaussian, self._rng)
        if fit is not None and fit.elbo > fitted.elbo.value:
            self._use_gaussian(fit.gaussian)

    def _train(self, flow: Flow) -> None:
        """Rounds of training until the weights are even and carry, or more rounds bring nothing."""
        compile_ahead(whiten(flow, *self.gaussian))
        self._trained = True
        self._training = enumerate(
            islice(trained_from_best_start(self._density, flow, self.gaussian, self._rng), _MOST_ROUNDS), 1
        )
        self._train_on()

    def _train_on(self) -> bool:
        """More rounds, until weights carry again or more would bring nothing; whether there was one."""
        self._ledger.enter("flow")
        began, before, number = self._ledger.seconds, -np.inf, 0
        for number, trained in self._training:
            fitted = trained.fitted
            self.converged = False
            self._use(trained.proposal, fitted)
            self._ledger.show(
                fitted.elbo.value,
                fitted.sd_log_weights,
                fitted.khat,
                (self._ledger.seconds - began) / number * max(_USUAL_ROUNDS - number, 1),
            )
            gain = fitted.elbo.value - before
            wanted = MOST_PROPOSALS if gain < _WORTHWHILE else _CHEAP_PROPOSALS
            even = fitted.ess_ratio > _GOOD_FLOW
            if not even and number >= _FEW_ROUNDS:
                even = self.q.choose_tails()[1].expected_proposals < wanted
            poor = fitted.ess_ratio < _POOR_FLOW and gain < _SLOW * fitted.sd_log_weights**2 / 2
            before = max(before, fitted.elbo.value)
            self.converged = even and self.q.carries(MOST_PROPOSALS)
            if self.converged or (poor and number >= _FEW_ROUNDS) or self._ledger.exhausted():
                return True
            if number == _FEW_ROUNDS - 1 and fitted.ess_ratio < _POOR_FLOW:
                compile_chains_ahead(self._density.target, self.q.proposal)
        self.converged = self.converged or 0 < number < _MOST_ROUNDS
        return number > 0


def nothing_yet(error: EvaluationError) -> DensityError:
    """The error for a user whose density raised an exception before there was anything to return."""
    return DensityError(
        f"The fit ended before there was anything to return, because {error}. Let the log density be NaN, or "
        "-inf, where it cannot be computed."
    )
