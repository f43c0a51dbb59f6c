"""q widened by a Gaussian at every place with mass outside it: a mixture, weighted by evidence."""

from __future__ import annotations

import numpy as np

from flowvi.flows import Normal
from flowvi.inference.correct import LEAST_PROPOSALS, weigh
from flowvi.inference.density import Density
from flowvi.inference.gaussian import Gaussian
from flowvi.inference.proposal import MappedProposal, MixtureProposal, Proposal, gaussian_proposal
from flowvi.inference.uncovered import Uncovered

_EM_STEPS = 20
_PER_PART = 1000
_LEAST_WEIGHT = 0.002
"""Of a part, however little evidence it seems to have: its draws are what would show that it has more."""


def widened(
    density: Density, proposal: Proposal, places: list[Uncovered], rng: np.random.Generator
) -> MixtureProposal:
    """The mixture of q and a Gaussian at each place."""
    parts = proposal.with_base(Normal(proposal.base.dim)).parts()
    # shares are of the evidence of q and the one place
    odds = np.array([place.share / max(1 - place.share, 1e-12) for place in places])
    weights = np.concatenate([proposal.part_weights(), odds])
    locals_ = tuple(gaussian_proposal(place.gaussian) for place in places)
    return weighted_by_evidence(density, (*parts, *locals_), weights, rng)


def weighted_by_evidence(
    density: Density, parts: tuple[MappedProposal, ...], weights: np.ndarray, rng: np.random.Generator
) -> MixtureProposal:
    """The mixture with the weights under which it is closest to the target, in the sense of KL(p, q).

    A weighted sample of the mixture gives E_p[log sum_k w_k q_k], which EM maximises in w.
    """
    weights = _floored(weights)
    # of a part that seems to have little too, for it may have more
    mixture = MixtureProposal(parts[0].base, parts, (weights + 1 / len(parts)) / 2)
    weighted = weigh(density, mixture, rng, LEAST_PROPOSALS)
    log_parts = mixture.log_joint(weighted.z) - np.log(mixture.weights)
    for _ in range(_EM_STEPS):
        joint = np.log(weights) + log_parts
        responsible = np.exp(joint - joint.max(axis=1, keepdims=True))
        responsible /= responsible.sum(axis=1, keepdims=True)
        weights = _floored(weighted.weights @ responsible)
    return MixtureProposal(parts[0].base, parts, weights)


def _floored(weights: np.ndarray) -> np.ndarray:
    weights = np.maximum(weights / weights.sum(), _LEAST_WEIGHT)
    return weights / weights.sum()


def broad_gaussian(proposal: Proposal, rng: np.random.Generator) -> Gaussian:
    """A Gaussian around all parts of q, three times as wide as they lie."""
    z = np.concatenate([part(rng, _PER_PART)[0] for part in proposal.parts()])
    dim = z.shape[1]
    return Gaussian(z.mean(axis=0), 3 * np.linalg.cholesky(np.cov(z.T).reshape(dim, dim)))
