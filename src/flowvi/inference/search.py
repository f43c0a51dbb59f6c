"""What has been found of a posterior, while stages go on looking."""

from __future__ import annotations

from collections.abc import Iterator
from typing import final

import numpy as np

from flowvi.inference.approximation import Approximation
from flowvi.inference.chains import Chains
from flowvi.inference.correct import LEAST_ESS, Weighted
from flowvi.inference.density import Density
from flowvi.inference.drift import Drift
from flowvi.inference.explore import Mode, Stray
from flowvi.inference.gaussian import Gaussian
from flowvi.inference.proposal import Proposal, gaussian_proposal
from flowvi.inference.training import Build, Trained
from flowvi.inference.uncovered import Uncovered


@final
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
        particles_find_more: whether the last of them found any, or none were sent yet.
        audited: whether all of that was looked for.
        notes: what cut the search short, in sentences.
        interrupted: whether it was the user.
        build: makes the flow to train, on the whitened scale; None ends at the Gaussian.
        trained: whether a flow was trained.
        training: its rounds still to come, with their numbers.
        density, ledger, rng: what is evaluated, what that costs, and what draws.
        draws: how many are wanted.
        least: how many unique draws weights have to carry.
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
        self.build: Build | None = None
        self.trained = False
        self.training: Iterator[tuple[int, Trained]] = iter(())
        self.tempered = False
        self.particles_find_more = True
        self.interrupted = False
        self.density = density
        self.ledger = density.ledger
        self.rng = rng
        # a few draws are no easier: the weights of few proposals are too rough to be judged
        self.draws = draws
        self.least = max(draws, LEAST_ESS)
        self.use(gaussian_proposal(self.gaussian))

    @property
    def over(self) -> bool:
        """Whether nothing that takes long is to be begun."""
        return bool(self.endless) or self.interrupted or self.ledger.exhausted()

    def use(self, proposal: Proposal, fitted: Weighted | None = None) -> None:
        """Take this for q, whose weighted draws may be there."""
        self.q = Approximation(self.density, self.rng, self.least, proposal, fitted)

    def use_gaussian(self, gaussian: Gaussian) -> None:
        """Take this for the best Gaussian, and for q."""
        self.gaussian = gaussian
        self.use(gaussian_proposal(gaussian))

    def interrupt(self, what_is_left: str = "") -> None:
        """What still has to be done is done, but nothing that takes long is begun."""
        self.interrupted = True
        self.notes.append(f"Interrupted in stage '{self.ledger.stage}'{what_is_left}.")

    def end(self, error: Exception) -> None:
        """Say why the stage ended; those that follow go on."""
        self.notes.append(f"Stage '{self.ledger.stage}' ended because {error}.")
