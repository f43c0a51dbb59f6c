"""Training as the search sees it: flows after each round, weighed, from the better of two starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from flowvi.errors import FlowError
from flowvi.flows import Flow, whiten
from flowvi.flows.named import NAMES, named
from flowvi.inference.correct import LEAST_PROPOSALS, Weighted, weigh
from flowvi.inference.density import Density
from flowvi.inference.gaussian import Gaussian
from flowvi.inference.proposal import MappedProposal, flow_proposal, gaussian_proposal

_POOR_START = 0.3
"""ESS/S after a first round below which another start is tried."""

_HOPELESS_PER_DIM = 5.0
"""Nats per dimension by which the ELBO may be lower there before training."""

Build = Callable[[], Flow]


class Trained(NamedTuple):
    """A flow after a round of training, and weighted draws of it."""

    proposal: MappedProposal
    fitted: Weighted


def trained_from_best_start(
    density: Density, flow: Flow, gaussian: Gaussian, rng: np.random.Generator
) -> Iterator[Trained]:
    """Rounds whitened by a Gaussian or, where the first is poor and a first one there is better, in the
    model's own coordinates.

    Zero and one mean something to whoever wrote the model: scales multiply what is centred at zero, and a
    flow finds that where a Gaussian's location and axes hide it.
    """
    training = trained_rounds(density, flow, gaussian, rng)
    first = next(training)
    if first.fitted.ess_ratio < _POOR_START and not density.ledger.exhausted():
        dim = density.target.dim
        own = Gaussian(np.zeros(dim), np.eye(dim))
        elbo = weigh(density, gaussian_proposal(own), rng, LEAST_PROPOSALS).elbo.value
        if elbo > first.fitted.elbo.value - _HOPELESS_PER_DIM * dim:
            other = trained_rounds(density, flow, own, rng)
            there = next(other)
            if there.fitted.elbo.value > first.fitted.elbo.value:
                training, first = other, there
    yield first
    yield from training


def trained_rounds(
    density: Density, flow: Flow, whitening: Gaussian, rng: np.random.Generator
) -> Iterator[Trained]:
    """Flows trained for one, two, ... rounds, with weighted draws of them."""
    # the optimiser takes a fifth of a second to import, which only a flow should cost
    from flowvi.inference.elbo import rounds

    for trained in rounds(density.target, whitening, flow, rng, density.journal):
        density.ledger.spend(trained.gradients)
        if trained.first_nonfinite is not None:
            density.ledger.count_nonfinite(trained.nonfinite, trained.first_nonfinite)
        proposal = flow_proposal(whiten(trained.flow, *whitening))
        fitted = weigh(density, proposal, rng, LEAST_PROPOSALS)
        yield Trained(proposal, fitted)


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
    # affine couplings of one coordinate are affine
    usual = "neural_spline" if dim == 1 else "real_nvp"
    name = usual if flow == "auto" else flow
    if name not in NAMES:
        raise FlowError(f"No flow is named {flow!r}. Choose one of {('auto', *NAMES)}, or give a Flow.")
    return lambda: named(name, dim, key=seed, width=width)
