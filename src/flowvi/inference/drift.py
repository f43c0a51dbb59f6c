"""Do short Markov chains move the weighted draws of q? Exact draws stay where they are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import ndtri

from flowvi.inference.correct import Weighted
from flowvi.inference.density import Density
from flowvi.inference.proposal import MixtureProposal, Proposal

_CHAINS = 2048
_STEPS = 4
_KEPT_PER_STEP = 0.5
"""Correlation of a proposal with where it starts."""

_WORTHWHILE = 0.1
"""Sds that a mean may be off."""

_FALSE_ALARMS = 0.001
"""Of a fit, over all its coordinates."""

_MOST_KEPT = 0.8
"""Correlation of starts and ends above which chains have moved too little to tell."""


class Drift(NamedTuple):
    """Where short chains from the weighted draws of q went.

    Attributes:
        off: how far each mean of the draws is from where the chains lead, in sds: the way that they went,
            over the share of the way that chains of their correlation go.
        error: its standard error.
        kept: correlation of starts and ends, within the part of a mixture that a chain began in, which it may
            not leave; near one the chains hardly moved, and `off` means little.
    """

    off: Float[np.ndarray, " dim"]
    error: Float[np.ndarray, " dim"]
    kept: Float[np.ndarray, " dim"]

    @property
    def resolved(self) -> bool:
        """Whether the chains moved far enough for 0.1 sd to show."""
        return bool(np.all(self.kept < _MOST_KEPT))

    @property
    def found(self) -> Bool[np.ndarray, " dim"]:
        """The coordinates whose mean is off by more than 0.1 sd, beyond what chance would do."""
        most = -ndtri(_FALSE_ALARMS / 2 / len(self.off)) * self.error
        return (self.kept < _MOST_KEPT) & (np.abs(self.off) > np.maximum(_WORTHWHILE, most))


def drift(density: Density, q: Proposal, weighted: Weighted, rng: np.random.Generator) -> Drift:
    """Run many chains of a few steps from draws of q, resampled by their weights, in the base space of q.

    A step proposes u' = r u + sqrt(1 - r^2) e, which leaves the normal base as it is, and is taken with
    probability min(1, w(z') / w(z)), w = p / q, which makes it leave the target as it is. It takes no
    gradient. Of a mixture, u is that of a part drawn by its share of q at z. Means that move were wrong.

    Args:
        q: with a normal base.

    Source: preconditioned Crank-Nicolson, Cotter et al. 2013 (arXiv 1202.0709), section 4.2; the check,
    TADDAA, section 3.
    """
    start = weighted.z[rng.choice(len(weighted.z), _CHAINS, p=weighted.weights)]
    began_in = _parts_at(q, start, rng)
    z, log_w = start, _log_weights(density, q, start)
    for _ in range(_STEPS):
        proposed = _proposed(q, z, rng)
        log_w_there = _log_weights(density, q, proposed)
        taken = np.log(rng.uniform(size=len(z))) < log_w_there - log_w
        z = np.where(taken[:, None], proposed, z)
        log_w = np.where(taken, log_w_there, log_w)
    return _compared(start, z, began_in)


def _log_weights(
    density: Density, q: Proposal, z: Float[np.ndarray, "chains dim"]
) -> Float[np.ndarray, " chains"]:
    log_p = density.value(z)
    return np.where(np.isfinite(log_p), log_p - q.log_prob(z), -np.inf)


def _proposed(
    q: Proposal, z: Float[np.ndarray, "chains dim"], rng: np.random.Generator
) -> Float[np.ndarray, "chains dim"]:
    proposed = np.empty_like(z)
    part_of = _parts_at(q, z, rng)
    for k, part in enumerate(q.parts()):
        mine = part_of == k
        if mine.any():
            u, _ = part.pull(z[mine])
            noise = np.sqrt(1 - _KEPT_PER_STEP**2) * rng.standard_normal(u.shape)
            proposed[mine], _ = part.push(_KEPT_PER_STEP * u + noise)
    return proposed


def _parts_at(
    q: Proposal, z: Float[np.ndarray, "chains dim"], rng: np.random.Generator
) -> Int[np.ndarray, " chains"]:
    if not isinstance(q, MixtureProposal):
        return np.zeros(len(z), int)
    log_joint = q.log_joint(z)
    return (log_joint + rng.gumbel(size=log_joint.shape)).argmax(axis=1)


def _compared(
    start: Float[np.ndarray, "chains dim"],
    end: Float[np.ndarray, "chains dim"],
    part_of: Int[np.ndarray, " chains"],
) -> Drift:
    within, still = np.empty_like(start), np.empty_like(end)
    for k in np.unique(part_of):
        mine = part_of == k
        within[mine] = start[mine] - start[mine].mean(axis=0)
        still[mine] = end[mine] - end[mine].mean(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = (within * still).mean(axis=0) / (within.std(axis=0) * still.std(axis=0))
    kept = np.nan_to_num(correlation, nan=1.0)
    moved, way = end - start, start.std(axis=0) * np.maximum(1 - kept, np.finfo(float).eps)
    return Drift(-moved.mean(axis=0) / way, moved.std(axis=0) / np.sqrt(len(start)) / way, kept)
