"""From draws of q to draws of the posterior: importance weights, smoothed, then unique draws."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from flowvi.diagnostics.estimate import Estimate
from flowvi.diagnostics.psis import khat_threshold, smooth_weights
from flowvi.diagnostics.resampling import unique_indices
from flowvi.flows import MultivariateT, Normal, WideNormal
from flowvi.inference.density import Density
from flowvi.inference.proposal import Proposal

MOST_PROPOSALS = 50
"""Proposals per draw, at most; beyond it the weights are too uneven to be worth it."""

LEAST_PROPOSALS = 4096
"""However few draws are wanted: the shape of the tail cannot be seen in fewer."""

LEAST_ESS = 1000
"""Effective draws for means within 0.03 sd and sds within 3%."""

LARGEST_CUT = 0.005
"""Share of the weight that unique draws may leave out: at five sds from the mean it moves it by 0.025 sd."""

_MANY = 50_000
_SMALL_CUT = 0.001
"""With so many proposals, a share of the weight that is not worth more of them: at five sds from the mean,
cutting it moves the mean by 0.005 sd."""

_HOPELESS = 4.0
"""Times the cut allowed that all the proposals allowed would leave, at which no more are drawn."""

_GROWTH = 6
_HEAVY = 0.1
"""Times the number of proposals, at most, before weights are looked at again, and how far above its threshold
k-hat may then be, in view of its own error, for more of them to be worth it."""

_TAILS = (30.0, 12.0, 5.0)
"""Degrees of freedom tried, lightest first."""

_EVEN = 4.0
"""Largest weight over the mean weight to be expected that makes heavier tails not worth a try."""

_FAR_OFF = 10.0
"""sd(log w) beyond which it is not the tails that are wrong."""

_RESOLUTION = 1e-3
"""Of log weights, by the rounding of the log density, above which their differences say nothing."""

_WORTHWHILE = 0.8
"""How much smaller that must become for heavier tails to be taken; less is noise."""


class Weighted(NamedTuple):
    """Draws of q with importance weights.

    Attributes:
        z: (S, dim) on the unconstrained scale.
        log_weights: (S,) log p(z) - log q(z); -inf where the target is zero or not finite.
        weights: (S,) smoothed and normalised.
        khat: of the smoothing.
        nonfinite: how many draws had a log density of NaN or +inf.
    """

    z: Float[np.ndarray, "S dim"]
    log_weights: Float[np.ndarray, " S"]
    weights: Float[np.ndarray, " S"]
    khat: float
    nonfinite: int

    @property
    def ess_ratio(self) -> float:
        """Effective sample size per draw, of the smoothed weights: 1 / (S sum w^2)."""
        return float(1 / (len(self.weights) * (self.weights**2).sum()))

    @property
    def sd_log_weights(self) -> float:
        """Standard deviation of the finite log weights."""
        return float(self.log_weights[np.isfinite(self.log_weights)].std())

    @property
    def resolved(self) -> bool:
        """Whether weights differ by more than the rounding of log densities: of those that are far out all
        weights are equal, whatever q is."""
        return float(np.spacing(np.abs(self.log_weights.max()))) < _RESOLUTION

    @property
    def nearly_constant(self) -> bool:
        """Whether the weights vary so little that the shape of their tail says nothing."""
        return (
            self.sd_log_weights < 0.1 and self.ess_ratio > 0.95 and bool(np.isfinite(self.log_weights).all())
        )

    @property
    def elbo(self) -> Estimate:
        """E_q[log p - log q], over the draws where it is finite."""
        finite = self.log_weights[np.isfinite(self.log_weights)]
        return Estimate(float(finite.mean()), float(finite.std() / np.sqrt(len(finite))))

    @property
    def log_evidence(self) -> Estimate:
        """log of the mean weight, with its standard error by the delta method."""
        top = self.log_weights.max()
        w = np.exp(self.log_weights - top)
        return Estimate(float(np.log(w.mean()) + top), float(w.std() / w.mean() / np.sqrt(len(w))))

    def proposals_for(self, n: int) -> float:
        """How many proposals make n max(w) <= 1, judging by these."""
        return n * self.weights.max() * len(self.weights)

    @property
    def expected_proposals(self) -> float:
        """Proposals per unique draw to be expected of many more draws, by the shape of the tail: the largest
        of S weights grows like S^k-hat."""
        growth = _MANY / len(self.weights)
        heavy = 0.0 if self.nearly_constant else max(self.khat, 0.0)
        return self.proposals_for(1) * growth**heavy

    @property
    def most_unique(self) -> int:
        """How many unique draws can be had without cutting weights."""
        return int(1 / self.weights.max())

    def cut_for(self, n: float) -> float:
        """Share of the weight that n unique draws leave out: what lies above 1 / n."""
        return float(np.maximum(self.weights - 1 / n, 0).sum())

    def carry(self, n: int) -> bool:
        """Whether n unique draws may stand for the target: rounding leaves the weights alone, their tail is
        light enough, the effective draws are enough and next to nothing has to be cut off."""
        light = self.nearly_constant or self.khat <= khat_threshold(len(self.weights))
        enough = self.ess_ratio * len(self.weights) >= LEAST_ESS
        return self.resolved and light and enough and self.cut_for(n) <= LARGEST_CUT


def weigh(density: Density, propose: Proposal, rng: np.random.Generator, size: int) -> Weighted:
    """Draw from q and weigh the draws, or as many as the time allows.

    Raises:
        ArithmeticError: the target is finite at none of the draws.
    """
    z, log_weights = _draw(density, propose, rng, size)
    return _weighted(z, log_weights)


def with_best_tails(
    density: Density, propose: Proposal, weighted: Weighted, rng: np.random.Generator
) -> tuple[Proposal, Weighted]:
    """The proposal with the tails that need fewest draws, normal, wider or multivariate t, and weighted draws
    of it.

    A target with tails a little heavier than a Gaussian's has a few huge weights under the Gaussian and
    bounded ones under a t, and a flow is too narrow in its tails, both at hardly any loss elsewhere.
    """
    best = propose
    if isinstance(propose.base, Normal):
        dim = propose.base.dim
        for base in (WideNormal(dim), *(MultivariateT(dim, df) for df in _TAILS)):
            if weighted.expected_proposals < _EVEN or weighted.sd_log_weights > _FAR_OFF:
                break
            heavier = propose.with_base(base)
            tried = weigh(density, heavier, rng, len(weighted.z))
            if tried.expected_proposals < _WORTHWHILE * weighted.expected_proposals:
                best, weighted = heavier, tried
    return best, weighted


def weigh_for_unique(
    density: Density,
    propose: Proposal,
    rng: np.random.Generator,
    n: int,
    most: int = MOST_PROPOSALS,
    begun: Weighted | None = None,
) -> Weighted:
    """Draw from q until n unique draws can be had, `most` proposals a draw are spent or would not do, or the
    time is over.

    Args:
        begun: weighted draws of this q, not chosen by their weights, to go on from.
    """
    weighted = begun or weigh(density, propose, rng, max(2 * n, LEAST_PROPOSALS))
    while (needed := weighted.proposals_for(n)) > len(weighted.z) < most * n:
        if len(weighted.z) >= _MANY and weighted.cut_for(n) <= _SMALL_CUT:
            break
        if weighted.cut_for(len(weighted.z) / most) > _HOPELESS * LARGEST_CUT:
            break
        if len(weighted.z) >= _GROWTH * n and weighted.khat > khat_threshold(len(weighted.z)) + _HEAVY:
            break
        # a quarter more than seems needed: the largest weight grows with the number of draws
        more = int(min(1.25 * needed, _GROWTH * len(weighted.z), most * n)) - len(weighted.z)
        z, log_weights = _draw(density, propose, rng, more)
        weighted = _weighted(
            np.concatenate([weighted.z, z]),
            np.concatenate([weighted.log_weights, log_weights]),
            weighted.nonfinite,
        )
        if len(z) < more:
            break
    return weighted


def _draw(
    density: Density, propose: Proposal, rng: np.random.Generator, size: int
) -> tuple[Float[np.ndarray, "S dim"], Float[np.ndarray, " S"]]:
    z, log_q = propose(rng, size)
    log_p = density.value_in_time(z)
    return z[: len(log_p)], log_p - log_q[: len(log_p)]


def unique_draws(weighted: Weighted, n: int, rng: np.random.Generator) -> Int[np.ndarray, " n"]:
    """Indices of n draws that need no weights any more, none twice; of all where there are no more than n.

    Weights too large for that are cut to 1 / n, of which the verdict then speaks. Where fewer than n draws
    have weight at all, those of the highest log weight stand in.
    """
    if np.count_nonzero(weighted.weights) <= n:
        return np.argsort(-weighted.log_weights)[:n]
    return unique_indices(_cut(weighted.weights, n), n, rng)


def _cut(weights: Float[np.ndarray, " S"], n: int) -> Float[np.ndarray, " S"]:
    """min(1 / n, c w) with c such that they sum to one; the weights themselves where none is above 1 / n."""
    rising = np.sort(weights)
    # what is left for a weight and all smaller ones once the k larger ones are cut to 1 / n
    left = 1 - np.arange(n) / n
    rest = np.cumsum(rising)[::-1][:n]
    k = int(np.argmax(n * rising[::-1][:n] * left <= rest * (1 + 1e-12)))
    return np.minimum(weights * left[k] / rest[k], 1 / n)


def _weighted(z: np.ndarray, log_weights: np.ndarray, nonfinite: int = 0) -> Weighted:
    unusable = np.isnan(log_weights) | np.isposinf(log_weights)
    log_weights = np.where(unusable, -np.inf, log_weights)
    if not np.isfinite(log_weights).any():
        raise ArithmeticError(f"the target is finite at none of {len(z)} draws of q")
    weights, khat = smooth_weights(log_weights)
    return Weighted(z, log_weights, weights, khat, nonfinite + int(unusable.sum()))
