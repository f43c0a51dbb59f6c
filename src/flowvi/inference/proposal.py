"""Drawing from q on the host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.special import gammaln

from flowvi.bijections import Bijection, TriangularAffine
from flowvi.flows import Distribution, Flow, MultivariateT, Normal
from flowvi.inference.density import VALUES
from flowvi.inference.gaussian import Gaussian


@dataclass(frozen=True)
class Proposal:
    """q as a base distribution and a map, drawn from by NumPy where that is possible: JAX's generator takes seconds to
    compile.

    Attributes:
        base: of the flow.
        bijection: from the base to the model's unconstrained scale.
        push: the bijection on the host: (n, dim) -> (n, dim), and log |det| (n,).
    """

    base: Distribution
    bijection: Bijection
    push: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]

    def __call__(self, rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        """n draws of q (n, dim), and their log density under q (n,)."""
        base, log_base = base_draws(self.base, rng, n)
        z, log_det = self.push(base)
        return z, log_base - log_det

    def with_tails(self, df: float) -> Proposal:
        """The same map from a multivariate t."""
        return replace(self, base=MultivariateT(self.base.dim, df))

    def flow(self) -> Flow:
        """q itself."""
        return Flow(self.base, self.bijection)


def gaussian_proposal(q: Gaussian) -> Proposal:
    """Draws of a Gaussian, for which nothing is compiled."""
    bijection = TriangularAffine(jnp.asarray(q.location), jnp.asarray(q.scale_tril))
    return Proposal(Normal(len(q.location)), bijection, q.push)


def flow_proposal(flow: Flow) -> Proposal:
    """Draws of a flow, by one compiled function of one shape whatever n is."""

    def push(base: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        padded = np.concatenate([base, np.zeros((-len(base) % VALUES, flow.dim))])
        parts = [_push(flow.bijection, padded[i : i + VALUES]) for i in range(0, len(padded), VALUES)]
        z, log_det = (np.concatenate([np.asarray(p) for p in column]) for column in zip(*parts, strict=True))
        return z[: len(base)], log_det[: len(base)]

    return Proposal(flow.base, flow.bijection, push)


def base_draws(
    base: Distribution, rng: np.random.Generator, n: int
) -> tuple[Float[np.ndarray, "n dim"], Float[np.ndarray, " n"]]:
    """n draws of a base distribution and their log density."""
    if isinstance(base, Normal):
        e = rng.standard_normal((n, base.dim))
        return e, -0.5 * (e**2).sum(axis=1) - base.dim / 2 * np.log(2 * np.pi)
    if isinstance(base, MultivariateT):
        df, dim = float(base.df), base.dim
        x = rng.standard_normal((n, dim)) / np.sqrt(rng.chisquare(df, (n, 1)) / df)
        log_norm = gammaln((df + dim) / 2) - gammaln(df / 2) - dim / 2 * np.log(df * np.pi)
        return x, log_norm - (df + dim) / 2 * np.log1p((x**2).sum(axis=1) / df)
    key = jax.random.key(int(rng.integers(2**63)))
    x, log_prob = _base_draws(base, key, n)
    return np.asarray(x), np.asarray(log_prob)


@eqx.filter_jit
def _base_draws(base: Distribution, key: Array, n: int) -> tuple[Array, Array]:
    x = jax.vmap(base.sample)(jax.random.split(key, n))
    return x, jax.vmap(base.log_prob)(x)


@eqx.filter_jit
def _push(bijection: Bijection, base: Array) -> tuple[Array, Array]:
    return jax.vmap(bijection.forward_and_log_det)(jnp.asarray(base))
