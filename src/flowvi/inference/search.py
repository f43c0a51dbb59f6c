"""The stages that look for q: explore, gaussian, flow; each ends the search when its weights carry."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from flowvi import flows
from flowvi.diagnostics.estimate import Estimate
from flowvi.errors import DensityError, FlowError
from flowvi.flows import DefensiveNormal, Flow, Normal, whiten
from flowvi.inference.correct import (
    LEAST_ESS,
    LEAST_PROPOSALS,
    MOST_PROPOSALS,
    Weighted,
    weigh,
    weigh_for_unique,
    with_best_tails,
)
from flowvi.inference.density import Density
from flowvi.inference.explore import Mode, Stray, climb_around, explore, starts
from flowvi.inference.gaussian import RUNAWAY, Gaussian, fit_gaussian
from flowvi.inference.preflight import check_gradient, finite_starts
from flowvi.inference.proposal import Proposal, compile_ahead, flow_proposal, gaussian_proposal
from flowvi.inference.reach import mass_beyond, reaches
from flowvi.inference.tails import directions_without_end
from flowvi.inference.uncovered import Uncovered, uncovered

_MOST_GAUSSIAN_PROPOSALS = 20
"""Proposals per draw beyond which training a flow costs less than weights on the Gaussian."""

_LEAST_ESS_RATIO = 0.4
"""ESS/S below which it does so too."""

_GOOD_FLOW = 0.992
"""ESS/S at which training ends at once."""

_FAIR_FLOW = 0.9
"""ESS/S at which training ends once the step size has been reduced."""

_USUAL_ROUNDS = 5
_MOST_ROUNDS = 24

Build = Callable[[], Flow]


class Search:
    """The best approximation so far: what one stage has found stays when a later one is cut short.

    Attributes:
        modes, strays: what the starts led to.
        gaussian: the best Gaussian.
        proposal: q on the model's unconstrained scale: that Gaussian, or the flow trained from it.
        fitted: weighted draws of q as it was fitted, before its tails were chosen.
        weighted: weighted draws of q, enough for the unique draws wanted where that can be had.
        endless: coordinates along which the density does not fall off, or whose scale grew too large.
        converged: whether the last stage came to rest.
        beyond: posterior mass that draws of q do not see; None where it was not looked for.
        uncovered: places with mass outside q.
        audited: whether all of that was looked for.
        notes: what cut the search short, in sentences.
    """

    def __init__(self, density: Density, rng: np.random.Generator, draws: int) -> None:
        dim = density.target.dim
        self.modes: list[Mode] = []
        self.strays: list[Stray] = []
        self.gaussian = Gaussian(np.zeros(dim), np.eye(dim))
        self.proposal = gaussian_proposal(self.gaussian)
        self.fitted: Weighted | None = None
        self._begun: Weighted | None = None
        self.weighted: Weighted | None = None
        self.beyond: Estimate | None = None
        self.uncovered: list[Uncovered] = []
        self.audited = False
        self.endless: tuple[str, ...] = ()
        self.converged = False
        self.notes: list[str] = []
        self._density = density
        self._ledger = density.ledger
        self._rng = rng
        # a few draws are no easier: the weights of few proposals are too rough to be judged
        self._least = max(draws, LEAST_ESS)

    def run(self, build: Build | None, always: bool) -> None:
        """Go through the stages until the weights of one carry, the budget is spent or the user interrupts.

        Args:
            build: makes the flow to train, on the whitened scale; None ends at the Gaussian.
            always: train the flow even where the Gaussian is good enough.
        """
        try:
            # a density may grow beyond all numbers, which the checks that follow look for
            with np.errstate(all="ignore"):
                self._explore()
                self._fit_gaussian()
                enough = self.endless or (not always and self._gaussian_carries())
                if build is not None and not enough and not self._ledger.exhausted():
                    self._train(build())
        except KeyboardInterrupt:
            self.converged = False
            self.notes.append(f"Interrupted in stage '{self._ledger.stage}': this is the best so far.")
        except (ArithmeticError, np.linalg.LinAlgError) as error:
            self.converged = False
            self.notes.append(f"Stage '{self._ledger.stage}' ended because {error}.")
        if self._ledger.exhausted():
            self.notes.append(
                f"The budget was spent in stage '{self._ledger.stage}': this is the best so far."
            )

    def correct(self) -> tuple[Weighted, Weighted]:
        """`fitted` and `weighted` of the last q, made now where its stage did not get to it.

        Raises:
            DensityError: the target is finite at no draw of q.
        """
        try:
            with np.errstate(all="ignore"):
                return self._correct()
        except ArithmeticError as error:
            raise DensityError(
                f"Nothing can be said about the posterior: {error}. The density is zero (-inf) or NaN nearly "
                "everywhere: declare the supports of parameters with a limited range, and look for NaN in "
                "the model."
            ) from error

    def _correct(self) -> tuple[Weighted, Weighted]:
        try:
            self._ledger.enter("correct")
            fitted = self.fitted or self._choose_tails()[0]
            if self.beyond is None:
                self._carries(MOST_PROPOSALS)
            return self.fitted or fitted, self.weighted or self._weigh_for_draws(MOST_PROPOSALS)
        except KeyboardInterrupt:
            self.notes.append("Interrupted in stage 'correct': these weights are of few draws.")
            weighted = weigh(self._density, self.proposal, self._rng, LEAST_PROPOSALS)
            return self.fitted or weighted, weighted

    def audit(self, log_evidence: float) -> None:
        """Look for mass at the places that starts, and more climbs from around q, led to and q does not
        cover."""
        try:
            self._ledger.enter("judge")
            with np.errstate(all="ignore"):
                around = climb_around(self._density, *self.gaussian, self._rng)
                found = [*self.modes, *self.strays, *around]
                self.uncovered = uncovered(self._density, self.proposal, log_evidence, found, self._rng)
            # an interrupt may have come before tails were looked for
            self.audited = self.beyond is not None or isinstance(self.proposal.base, DefensiveNormal)
        except KeyboardInterrupt:
            self.notes.append("Interrupted in stage 'judge'.")

    def log_evidence(self, weighted: Weighted) -> Estimate:
        """The log evidence by these weights, its standard error widened by what draws of q may not see."""
        value, error = weighted.log_evidence
        if self.beyond is None or isinstance(self.proposal.base, DefensiveNormal):
            return Estimate(value, error)
        unseen = [self.beyond.standard_error, max(self.beyond.value, 0.0)]
        unseen += [place.share for place in self.uncovered]
        return Estimate(value, float(np.hypot(error, np.linalg.norm(unseen))))

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
        self.endless = self.endless or directions_without_end(self._density, fit.gaussian, self._rng)

    def _use_gaussian(self, gaussian: Gaussian) -> None:
        self.gaussian = gaussian
        self._use(gaussian_proposal(gaussian))

    def _use(self, proposal: Proposal) -> None:
        self.proposal, self.fitted, self.weighted, self._begun = proposal, None, None, None
        self.beyond = None

    def _gaussian_carries(self) -> bool:
        _, quick = self._choose_tails()
        enough = quick.proposals_for(1) < _MOST_GAUSSIAN_PROPOSALS and quick.ess_ratio > _LEAST_ESS_RATIO
        return enough and self._carries(_MOST_GAUSSIAN_PROPOSALS)

    def _train(self, flow: Flow) -> None:
        """Rounds of training until the weights are even and carry, or more rounds bring nothing."""
        # the optimiser takes a fifth of a second to import, which only a flow should cost
        from flowvi.inference.elbo import STEP_SIZE, rounds

        self._ledger.enter("flow")
        self.converged = False
        began = self._ledger.seconds
        compile_ahead(whiten(flow, *self.gaussian))
        for number, trained in enumerate(
            rounds(self._density.target, self.gaussian, flow, self._rng), start=1
        ):
            self._ledger.spend(trained.gradients)
            if trained.first_nonfinite is not None:
                self._ledger.count_nonfinite(trained.nonfinite, trained.first_nonfinite)
            proposal = flow_proposal(whiten(trained.flow, *self.gaussian))
            fitted = weigh(self._density, proposal, self._rng, LEAST_PROPOSALS)
            self._use(proposal)
            self.fitted = fitted
            self._ledger.show(
                fitted.elbo.value,
                fitted.sd_log_weights,
                fitted.khat,
                (self._ledger.seconds - began) / number * max(_USUAL_ROUNDS - number, 1),
            )
            settled = trained.step_size < STEP_SIZE
            even = fitted.ess_ratio > (_FAIR_FLOW if settled else _GOOD_FLOW)
            self.converged = even and (self._carries(MOST_PROPOSALS) or self._carries_with_tails())
            if self.converged or number == _MOST_ROUNDS or self._ledger.exhausted():
                break
        else:
            self.converged = True

    def _carries_with_tails(self) -> bool:
        """The same with heavier tails for the flow, where they make its largest weights smaller."""
        fitted = self.fitted
        if fitted is None or not isinstance(self.proposal.base, Normal):
            return False
        heavier, _ = with_best_tails(self._density, self.proposal, fitted, self._rng)
        if heavier is self.proposal:
            return False
        self._use(heavier)
        self.fitted = fitted
        return self._carries(MOST_PROPOSALS)

    def _choose_tails(self) -> tuple[Weighted, Weighted]:
        """Weighted draws of q as it was fitted, and with the tails it has from now on."""
        self.fitted = weigh(self._density, self.proposal, self._rng, LEAST_PROPOSALS)
        self.proposal, quick = with_best_tails(self._density, self.proposal, self.fitted, self._rng)
        # draws that tails were chosen by are no fair sample of the weights
        self._begun = quick if quick is self.fitted else None
        self._ledger.show(self.fitted.elbo.value, self.fitted.sd_log_weights, quick.khat)
        return self.fitted, quick

    def _carries(self, most: int) -> bool:
        """Whether weights of q carry all draws, and q reaches what has to be reached; else the same with a
        defensive base."""
        weighted = self.weighted or self._weigh_for_draws(most)
        if not weighted.carry(self._least) or isinstance(self.proposal.base, DefensiveNormal):
            return weighted.carry(self._least)
        log_evidence = weighted.log_evidence.value
        self.beyond = mass_beyond(self._density, self.proposal, log_evidence, self._rng)
        if reaches(self.beyond):
            return True
        fitted, beyond = self.fitted, self.beyond
        self._use(self.proposal.with_base(DefensiveNormal(self.proposal.base.dim)))
        self.fitted, self.beyond = fitted, beyond
        return self._weigh_for_draws(most).carry(self._least)

    def _weigh_for_draws(self, most: int) -> Weighted:
        self.weighted = weigh_for_unique(
            self._density, self.proposal, self._rng, self._least, most, self._begun
        )
        return self.weighted


def builder(flow: str | Flow, dim: int, seed: int) -> Build | None:
    """What makes the flow that the user asked for, or None for a Gaussian.

    Raises:
        FlowError: the name is unknown, or the flow is of another dimension or conditional.
    """
    if isinstance(flow, Flow):
        if flow.dim != dim or flow.condition_dim is not None:
            raise FlowError(
                f"The flow has dim {flow.dim} and condition_dim {flow.condition_dim}; this model needs an "
                f"unconditional flow of dim {dim}."
            )
        return lambda: flow
    if flow == "gaussian":
        return None
    width = 32 if dim <= 32 else 64
    named = {
        # affine couplings of one coordinate are affine
        "auto": lambda: (flows.neural_spline if dim == 1 else flows.real_nvp)(dim, key=seed, width=width),
        "real_nvp": lambda: flows.real_nvp(dim, key=seed, width=width),
        "neural_spline": lambda: flows.neural_spline(dim, key=seed, width=width),
        "iaf": lambda: flows.iaf(dim, key=seed, width=width),
    }
    if flow not in named:
        raise FlowError(f"No flow is named {flow!r}. Choose one of {['gaussian', *named]}, or give a Flow.")
    return named[flow]
