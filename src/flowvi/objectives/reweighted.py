"""Forward KL without draws of p: those of q, weighted."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from flowvi.flows import Flow
from flowvi.objectives.arguments import as_condition, check_count
from flowvi.objectives.draws import Draws, OwnDraws, check_condition
from flowvi.objectives.log_density import LogDensity, check_callable, check_log_density, evaluate
from flowvi.objectives.objective import Estimated, Objective
from flowvi.objectives.pushed import push


class ReweightedForwardKL(Objective):
    """Forward KL with draws of q and normalised importance weights; see `reweighted_forward_kl`."""

    log_density: LogDensity
    own: OwnDraws

    def check(self, flow: Flow) -> None:
        check_condition(flow, self.own.condition)
        check_log_density(self.log_density, flow, self.own.condition)

    def draw(self, flow: Flow, rng: np.random.Generator, steps: int) -> Draws:
        return self.own.draw(flow, rng, steps)

    def estimate(self, flow: Flow, draws: Draws, step: Int[Array, ""]) -> Estimated:
        base, condition = self.own.base_of(flow, draws), self.own.condition_of(flow, draws)
        z, log_q = push(flow, base, condition, "parameters")
        target = evaluate(self.log_density, jax.lax.stop_gradient(z), condition, step)
        log_weights = jnp.where(target.usable, target.log_p - log_q, 0).reshape(
            self.own.groups, self.own.size
        )
        usable = target.usable.reshape(log_weights.shape)
        shares = jax.nn.softmax(jnp.where(usable, jax.lax.stop_gradient(log_weights), -jnp.inf), axis=1)
        groups = usable.any(axis=1)
        each = jnp.sum(jnp.where(usable, shares, 0) * log_weights, axis=1)
        loss = jnp.sum(jnp.where(groups, each, 0)) / jnp.maximum(groups.sum(), 1)
        return Estimated(target.trusted(loss), target.nonfinite)


def reweighted_forward_kl(
    log_density: LogDensity,
    *,
    condition: Float[Array | np.ndarray, ...] | None = None,
    importance_samples: int = 128,
    samples: int = 1,
) -> Objective:
    """The forward Kullback-Leibler divergence, plus the log evidence, from weighted draws of q.

        KL(p || q) + log Z = E_p[log p(z) - log q(z)],    E_p by s_k = w_k / sum_j w_j,  w_k = p(z_k) / q(z_k)

    q covers p. Draws and weights count as given, and log q is differentiated in its parameters at fixed z;
    the bias of normalised weights falls with their number. Where q misses a mode, so do its draws. Shapes:
    as in `importance_weighted`. Cost: that of `reverse_kl`; no inverse is taken.

    Raises:
        ArgumentError: an argument is of the wrong type or out of range.

    Source: Bornschein & Bengio 2015 (arXiv 1406.2751), equation 8 (the wake-phase update of q).

    Example:
        >>> import flowvi
        >>> objective = flowvi.objectives.reweighted_forward_kl(lambda z: -0.5 * z @ z)
        >>> trained = flowvi.train(flowvi.flows.gaussian(1), objective, key=1, steps=10)
        >>> trained.curve.round(3).tolist()[0]
        0.919
    """
    check_callable(log_density)
    groups, size = check_count("samples", samples), check_count("importance_samples", importance_samples)
    return ReweightedForwardKL(log_density, OwnDraws(as_condition(condition), groups, size))
