"""The stages that look for q: explore, gaussian, flow."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from flowvi import flows
from flowvi.errors import FlowError
from flowvi.flows import Flow, whiten
from flowvi.inference.correct import Weighted, weigh, with_best_tails
from flowvi.inference.density import VALUES, Density
from flowvi.inference.elbo import rounds
from flowvi.inference.explore import Mode, explore, starts
from flowvi.inference.gaussian import RUNAWAY, Gaussian, fit_gaussian
from flowvi.inference.preflight import check_gradient, finite_starts
from flowvi.inference.proposal import flow_proposal, gaussian_proposal

_GOOD_GAUSSIAN = 0.5
"""ESS/S at which weights on the Gaussian cost less than training a flow, if the two below hold as well."""

_EVEN_GAUSSIAN = 20.0
"""Largest weight over the mean weight."""

_EVEN_ENOUGH = 0.9
"""ESS/S above which the shape of the tail is of no concern for that decision."""

_GOOD_FLOW = 0.99
"""ESS/S at which training ends at once."""

_FAIR_FLOW = 0.8
"""ESS/S at which training ends after `_FAIR_ROUNDS`."""

_FAIR_ROUNDS = 4
_MOST_ROUNDS = 24
_LARGEST_KHAT = 0.6

Build = Callable[[], Flow]


class Search:
    """The best approximation so far: what one stage has found stays when a later one is cut short.

    Attributes:
        modes: what the starts led to.
        gaussian: the best Gaussian.
        proposal: q on the model's unconstrained scale: that Gaussian, or the flow trained from it.
        converged: whether the last stage came to rest.
        notes: what cut the search short, in sentences.
    """

    def __init__(self, density: Density, rng: np.random.Generator) -> None:
        dim = density.target.dim
        self.modes: list[Mode] = []
        self.gaussian = Gaussian(np.zeros(dim), np.eye(dim))
        self.proposal = gaussian_proposal(self.gaussian)
        self.converged = False
        self.notes: list[str] = []
        self._density = density
        self._ledger = density.ledger
        self._rng = rng

    def run(self, build: Build | None, always: bool) -> None:
        """Go through the stages until one is good enough, the budget is spent or the user interrupts.

        Args:
            build: makes the flow to train, on the whitened scale; None ends at the Gaussian.
            always: train the flow even where the Gaussian is good enough.
        """
        try:
            self._explore()
            self._fit_gaussian()
            if build is not None and (always or not self._good_gaussian()):
                self._train(build())
                self._choose_tails()
        except KeyboardInterrupt:
            self.converged = False
            self.notes.append(f"Interrupted in stage '{self._ledger.stage}': this is the best so far.")
        if self._ledger.exhausted():
            self.notes.append(
                f"The budget was spent in stage '{self._ledger.stage}': this is the best so far."
            )

    def runaway(self) -> tuple[str, ...]:
        """Coordinates whose scale grew beyond all measure."""
        scale = np.linalg.norm(self.gaussian.scale_tril, axis=1)
        return tuple(self._density.target.coordinates[i] for i in np.flatnonzero(scale > RUNAWAY))

    def _explore(self) -> None:
        self._ledger.enter("preflight")
        z = finite_starts(self._density, starts(self._density.target.dim, self._rng))
        check_gradient(self._density, z)
        self._ledger.enter("explore")
        self.modes = explore(self._density, z)
        if self.modes:
            self._use(Gaussian(self.modes[0].location, self.modes[0].scale_tril))

    def _fit_gaussian(self) -> None:
        self._ledger.enter("gaussian")
        fit = fit_gaussian(self._density, self.modes, self._rng)
        if fit is None:
            self.notes.append(
                "No Gaussian could be fitted: the log density is finite at too few of its draws."
            )
            return
        self._use(fit.gaussian)
        self.converged = fit.converged

    def _use(self, gaussian: Gaussian) -> None:
        self.gaussian, self.proposal = gaussian, gaussian_proposal(gaussian)

    def _good_gaussian(self) -> bool:
        weighted = self._choose_tails()
        return weighted.ess_ratio > _GOOD_GAUSSIAN and (
            weighted.ess_ratio > _EVEN_ENOUGH
            or (weighted.khat < _LARGEST_KHAT and weighted.proposals_for(1) < _EVEN_GAUSSIAN)
        )

    def _choose_tails(self) -> Weighted:
        self.proposal, weighted = with_best_tails(self._density, self.proposal, self._rng, 2 * VALUES)
        self._ledger.show(weighted.elbo.value, weighted.sd_log_weights, weighted.khat)
        return weighted

    def _train(self, flow: Flow) -> None:
        """Rounds of training until the weights are even, or more rounds bring nothing."""
        self._ledger.enter("flow")
        self.converged = False
        began, without_gain, best_elbo = self._ledger.seconds, 0, -np.inf
        for number, round in enumerate(rounds(self._density.target, self.gaussian, flow, self._rng), start=1):
            self._ledger.spend(round.gradients)
            self._ledger.nonfinite += round.nonfinite
            self.proposal = flow_proposal(whiten(round.flow, *self.gaussian))
            weighted = weigh(self._density, self.proposal, self._rng, 2 * VALUES)
            seconds = (self._ledger.seconds - began) / number
            self._ledger.show(
                elbo=round.elbo,
                sd_log_weights=weighted.sd_log_weights,
                khat=weighted.khat,
                seconds_left=seconds * max(_FAIR_ROUNDS - number, 1),
            )
            without_gain = 0 if round.elbo > best_elbo + 2 * round.elbo_error else without_gain + 1
            best_elbo = max(best_elbo, round.elbo)
            fair = weighted.ess_ratio > _FAIR_FLOW and weighted.khat < _LARGEST_KHAT
            if weighted.ess_ratio > _GOOD_FLOW or (number >= _FAIR_ROUNDS and fair):
                self.converged = True
                return
            if number == _MOST_ROUNDS or without_gain == _FAIR_ROUNDS or self._ledger.exhausted():
                self.converged = without_gain == _FAIR_ROUNDS
                return


def builder(flow: str | Flow, dim: int, seed: int) -> Build | None:
    """What makes the flow that the user asked for, or None for a Gaussian.

    Raises:
        FlowError: the name is unknown, or the flow is of another dimension or conditional.
    """
    if isinstance(flow, Flow):
        if flow.dim != dim or flow.condition_dim is not None:
            raise FlowError(
                f"The flow has dim {flow.dim} and condition_dim {flow.condition_dim}; this model needs an unconditional flow "
                f"of dim {dim}."
            )
        return lambda: flow
    if flow == "gaussian":
        return None
    width = 32 if dim <= 32 else 64
    named = {
        "auto": lambda: flows.real_nvp(dim, key=seed, width=width),
        "real_nvp": lambda: flows.real_nvp(dim, key=seed, width=width),
        "neural_spline": lambda: flows.neural_spline(dim, key=seed, width=width),
        "iaf": lambda: flows.iaf(dim, key=seed, width=width),
    }
    if flow not in named:
        raise FlowError(f"No flow is named {flow!r}. Choose one of {['gaussian', *named]}, or give a Flow.")
    return named[flow]
