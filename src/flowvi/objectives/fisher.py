"""The Fisher divergence: how far the scores of q and p are apart."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from flowvi.flows import Flow
from flowvi.flows.flow import forward_and_log_prob, log_prob
from flowvi.objectives.arguments import as_condition, check_count
from flowvi.objectives.draws import Draws, OwnDraws, check_condition
from flowvi.objectives.log_density import LogDensity, check_callable, check_log_density, evaluate, value_at
from flowvi.objectives.objective import Estimated, Objective


class Fisher(Objective):
    """The Fisher divergence of q from p; see `fisher`."""

    log_density: LogDensity
    own: OwnDraws

    def check(self, flow: Flow) -> None:
        check_condition(flow, self.own.condition)
        check_log_density(self.log_density, flow, self.own.condition)

    def draw(self, flow: Flow, rng: np.random.Generator, steps: int) -> Draws:
        return self.own.draw(flow, rng, steps)

    def estimate(self, flow: Flow, draws: Draws, step: Int[Array, ""]) -> Estimated:
        condition = self.own.condition_of(flow, draws)
        z, _ = jax.vmap(lambda x, c: forward_and_log_prob(flow, x, c))(
            self.own.base_of(flow, draws), condition
        )
        target = evaluate(self.log_density, z, condition, step)
        # derivatives of NaN stay NaN also where they are left out, so that a usable draw stands in
        z = jnp.where(target.usable[:, None], z, z[jnp.argmax(target.usable)])

        def apart(z: Array, condition: Array | None) -> Array:
            def log_ratio(z: Array) -> Array:
                log_p = value_at(self.log_density, z.astype(float), condition, step)
                return log_prob(flow, z, condition) - log_p

            # d|v|^2 = 2 v . dv for the difference v of the scores, and v . dv is that of a derivative along a
            # fixed direction: in forward mode, since reverse mode twice fails at a root within a scan
            difference = jax.lax.stop_gradient(jax.grad(log_ratio)(z))
            _, square = jax.jvp(log_ratio, (z,), (difference,))
            return 2 * square - jax.lax.stop_gradient(square)

        each = jnp.where(target.usable, jax.vmap(apart)(z, condition), 0)
        loss = jnp.sum(each) / jnp.maximum(target.usable.sum(), 1)
        return Estimated(target.trusted(loss), target.nonfinite)


def fisher(
    log_density: LogDensity,
    *,
    condition: Float[Array | np.ndarray, ...] | None = None,
    samples: int = 128,
) -> Objective:
    """The Fisher divergence of q from p, which needs no normaliser of p.

        E_q |grad log q(z) - grad log p(z)|^2,    z = f(x), x ~ q0

    It is zero only where q = p, but hardly sees the weights of modes far apart. The gradient goes through the
    draws and both scores. Shapes: as in `reverse_kl`. Cost: beyond `reverse_kl`, the flow's inverse, second
    derivatives of the flow and of log p along one direction. The flow's inverse must have two derivatives.

    Raises:
        ArgumentError: an argument is of the wrong type or out of range.

    Source: Cai et al. 2024 (arXiv 2402.14758), section 2, without their weights.

    Example:
        >>> import flowvi
        >>> objective = flowvi.objectives.fisher(lambda z: -0.5 * z @ z)
        >>> flowvi.train(flowvi.flows.gaussian(2), objective, key=1, steps=10).curve.round(6).tolist()[0]
        0.0
    """
    check_callable(log_density)
    return Fisher(log_density, OwnDraws(as_condition(condition), check_count("samples", samples), 1))
