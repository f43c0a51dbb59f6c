"""Drawing from q on the host."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.special import gammaln, logsumexp

from flowvi.bijections import Bijection, Identity, TriangularAffine
from flowvi.compiling import Compiled
from flowvi.cores import in_batches, on_all_cores
from flowvi.flows import DefensiveNormal, Distribution, Flow, FlowMixture, MultivariateT, Normal, WideNormal
from flowvi.flows.alone import factorises_rows
from flowvi.flows.base_draws import base_draws
from flowvi.flows.defensive_normal import defensive_log_prob
from flowvi.inference.density import VALUES
from flowvi.inference.gaussian import Gaussian

HostMap = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


class Proposal(ABC):
    """q as what importance weights need: draws, their log density, and the same with other tails.

    Attributes:
        base: what is pushed through the map of q, or through the maps of all parts of a mixture.
    """

    base: Distribution

    @abstractmethod
    def __call__(self, rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        """n draws of q (n, dim), and their log density under q (n,)."""

    @abstractmethod
    def log_prob(self, z: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, " n"]:
        """log q at points."""

    @abstractmethod
    def with_base(self, base: Distribution) -> Proposal:
        """The same map, or maps, from another base."""

    @abstractmethod
    def draws_from(
        self, base: Distribution, rng: np.random.Generator, n: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """n draws from another base, (n, dim); their log density, and that under q itself, (n,) each."""

    @abstractmethod
    def flow(self) -> Flow:
        """q itself."""

    @abstractmethod
    def parts(self) -> tuple[MappedProposal, ...]:
        """The parts of a mixture; of anything else, itself."""

    @abstractmethod
    def part_weights(self) -> Float[np.ndarray, " parts"]:
        """Their weights."""


@final
@dataclass(frozen=True)
class MappedProposal(Proposal):
    """q as a base distribution and a map, drawn from by NumPy where that is possible: JAX's generator
    takes seconds to compile.

    Attributes:
        base: of the flow.
        bijection: makes the map from the base to the model's unconstrained scale.
        push: that map on the host: (n, dim) -> (n, dim), and log |det| (n,).
        pull: its inverse likewise.
    """

    base: Distribution
    bijection: Callable[[], Bijection]
    push: HostMap
    pull: HostMap

    def __call__(self, rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        base = base_draws(self.base, rng, n)
        z, log_det = self.push(base)
        return z, base_log_prob(self.base, base) - log_det

    def log_prob(self, z: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, " n"]:
        base, log_det = self.pull(z)
        return base_log_prob(self.base, base) + log_det

    def with_base(self, base: Distribution) -> MappedProposal:
        return replace(self, base=base)

    def draws_from(
        self, base: Distribution, rng: np.random.Generator, n: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        drawn = base_draws(base, rng, n)
        z, log_det = self.push(drawn)
        return z, base_log_prob(base, drawn) - log_det, base_log_prob(self.base, drawn) - log_det

    def flow(self) -> Flow:
        return Flow(self.base, self.bijection())

    def parts(self) -> tuple[MappedProposal, ...]:
        return (self,)

    def part_weights(self) -> Float[np.ndarray, " parts"]:
        return np.ones(1)


@final
@dataclass(frozen=True)
class MixtureProposal(Proposal):
    """A mixture of such q, one for each mode.

    Attributes:
        base: of all parts.
        mixed: the parts.
        weights: theirs, which sum to one.
    """

    base: Distribution
    mixed: tuple[MappedProposal, ...]
    weights: Float[np.ndarray, " parts"]

    def __call__(self, rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        counts = rng.multinomial(n, self.weights)
        drawn = [
            part(rng, count)[0] for part, count in zip(self.mixed, counts.tolist(), strict=True) if count > 0
        ]
        # draws are taken in any order and number, so no part may come first
        z = rng.permutation(np.concatenate(drawn))
        return z, self.log_prob(z)

    def log_prob(self, z: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, " n"]:
        return np.asarray(logsumexp(self.log_joint(z), axis=1))

    def log_joint(self, z: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, "n parts"]:
        """log w_k + log q_k at points."""
        return np.log(self.weights) + np.stack([part.log_prob(z) for part in self.mixed], axis=1)

    def with_base(self, base: Distribution) -> MixtureProposal:
        return replace(self, base=base, mixed=tuple(part.with_base(base) for part in self.mixed))

    def draws_from(
        self, base: Distribution, rng: np.random.Generator, n: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        z, log_other = self.with_base(base)(rng, n)
        return z, log_other, self.log_prob(z)

    def flow(self) -> Flow:
        dim = self.base.dim
        return Flow(FlowMixture([part.flow() for part in self.mixed], self.weights), Identity((dim,)))

    def parts(self) -> tuple[MappedProposal, ...]:
        return self.mixed

    def part_weights(self) -> Float[np.ndarray, " parts"]:
        return self.weights


def gaussian_proposal(q: Gaussian) -> MappedProposal:
    """Draws of a Gaussian, for which nothing is compiled."""
    return MappedProposal(
        Normal(len(q.location)), lambda: TriangularAffine(q.location, q.scale_tril), q.push, q.pull
    )


def flow_proposal(flow: Flow) -> MappedProposal:
    """Draws of a flow, by one compiled function of one shape whatever n is."""

    mapped = in_batches if factorises_rows(flow) else on_all_cores

    def push(base: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        z, log_det = mapped(lambda part: _push(flow.bijection, part), base, VALUES)
        return z, log_det

    def pull(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        base, log_det = mapped(lambda part: _pull(flow.bijection, part), z, VALUES)
        return base, log_det

    return MappedProposal(flow.base, lambda: flow.bijection, push, pull)


def proposal_of(q: Flow) -> Proposal:
    """Draws of a fitted q, mixture or not."""
    if not isinstance(q.base, FlowMixture):
        return flow_proposal(q)
    parts = tuple(flow_proposal(part) for part in q.base.flows)
    weights = np.exp(np.asarray(q.base.logits))
    return MixtureProposal(parts[0].base, parts, weights / weights.sum())


def compile_ahead(flow: Flow) -> None:
    """Compile what `flow_proposal` of a flow like this one will need, while something else is done."""
    _push.ahead(flow.bijection, np.zeros((VALUES, flow.dim)))
    _pull.ahead(flow.bijection, np.zeros((VALUES, flow.dim)))


def base_log_prob(base: Distribution, x: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, " n"]:
    """Their log density."""
    if isinstance(base, Normal):
        return -0.5 * (x**2).sum(axis=1) - base.dim / 2 * np.log(2 * np.pi)
    if isinstance(base, WideNormal):
        return base_log_prob(Normal(base.dim), x / base.scale) - base.dim * np.log(base.scale)
    if isinstance(base, DefensiveNormal):
        return np.asarray(defensive_log_prob(x, np))
    if isinstance(base, MultivariateT):
        df, dim = float(base.df), base.dim
        log_norm = gammaln((df + dim) / 2) - gammaln(df / 2) - dim / 2 * np.log(df * np.pi)
        return log_norm - (df + dim) / 2 * np.log1p((x**2).sum(axis=1) / df)
    return np.asarray(_base_log_prob(base, jnp.asarray(x)))


@Compiled
def _base_log_prob(base: Distribution, x: Array) -> Array:
    return jax.vmap(base.log_prob)(x)


@functools.partial(Compiled, quick=False)
def _push(bijection: Bijection, base: Array) -> tuple[Array, Array]:
    return jax.vmap(bijection.forward_and_log_det)(base)


@functools.partial(Compiled, quick=False)
def _pull(bijection: Bijection, z: Array) -> tuple[Array, Array]:
    return jax.vmap(bijection.inverse_and_log_det)(z)
