"""Renyi bounds on the log evidence; among them the ELBO and the importance-weighted bound."""

from __future__ import annotations

import math
import numbers
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from flowvi.errors import ArgumentError
from flowvi.flows import Flow
from flowvi.flows.stochastic_log_det import forward_and_estimated_log_prob
from flowvi.objectives.arguments import as_condition, check_choice, check_count
from flowvi.objectives.draws import Draws, OwnDraws, check_condition, keys_of
from flowvi.objectives.log_density import LogDensity, check_callable, check_log_density, evaluate
from flowvi.objectives.objective import Estimated, Objective
from flowvi.objectives.pushed import push


class Renyi(Objective):
    """The negative Renyi bound; see `renyi`."""

    log_density: LogDensity
    own: OwnDraws
    alpha: float = eqx.field(static=True)
    along_path: bool = eqx.field(static=True)

    def check(self, flow: Flow) -> None:
        check_condition(flow, self.own.condition)
        check_log_density(self.log_density, flow, self.own.condition)

    def draw(self, flow: Flow, rng: np.random.Generator, steps: int) -> Draws:
        return self.own.draw(flow, rng, steps)

    def estimate(self, flow: Flow, draws: Draws, step: Int[Array, ""]) -> Estimated:
        base, condition = self.own.base_of(flow, draws), self.own.condition_of(flow, draws)
        if self.own.keyed:
            z, log_q = jax.vmap(lambda x, key, c: forward_and_estimated_log_prob(flow, x, key, c))(
                base, keys_of(draws), condition
            )
        else:
            z, log_q = push(flow, base, condition, "draws" if self.along_path else "all")
        target = evaluate(self.log_density, z, condition, step)
        log_weights = jnp.where(target.usable, target.log_p - log_q, 0)
        log_weights = log_weights.reshape(self.own.groups, self.own.size)
        usable, zero = target.usable.reshape(log_weights.shape), target.zero.reshape(log_weights.shape)
        # a weight of zero counts in a mean of positive powers of the weights
        counted = usable | zero if self.alpha < 1 else usable
        bounds = self._bounds(log_weights, usable, counted)
        groups = usable.any(axis=1)
        loss = -jnp.sum(jnp.where(groups, bounds, 0)) / jnp.maximum(groups.sum(), 1)
        return Estimated(target.trusted(loss), target.nonfinite)

    def _bounds(self, log_weights: Array, usable: Array, counted: Array) -> Float[Array, " groups"]:
        """The bound of each group: its value from all weights, its derivative from each weight's share."""
        beta = 1 - self.alpha
        fixed = jax.lax.stop_gradient(log_weights)
        powers = jnp.where(usable, beta * fixed, -jnp.inf)
        shares = jnp.where(usable, jax.nn.softmax(powers, axis=1), 0)
        if beta == 0:
            values = jnp.sum(shares * fixed, axis=1)
        else:
            values = (jax.nn.logsumexp(powers, axis=1) - jnp.log(counted.sum(axis=1))) / beta
        if self.along_path:
            shares = self.alpha * shares + beta * shares**2
        return values + jnp.sum(shares * (log_weights - fixed), axis=1)


def reverse_kl(
    log_density: LogDensity,
    *,
    condition: Float[Array | np.ndarray, ...] | None = None,
    samples: int = 128,
    gradient: Literal["path", "total"] = "path",
    log_det: Literal["exact", "estimated"] = "exact",
) -> Objective:
    """The reverse Kullback-Leibler divergence, up to the log evidence: the negative ELBO.

        KL(q || p) - log Z = E_q[log q(z) - log p(z)],    z = f(x), x ~ q0

    "path" differentiates log q in z alone, which leaves out a term of mean zero, so that the gradient has no
    noise where q = p; "total" differentiates all. "estimated" takes stochastic log-dets where the flow has
    them, whose score is not known: with "total" only. Draws at which log p has no finite value or gradient
    are left out.

    Shapes: `log_density` takes a point (dim,); with `condition` of (condition_dim,), or of
    (n, condition_dim) from which every draw takes a row at random, it takes a point and its condition.
    `samples` is the number of draws in a step. Cost: a pass through the flow, and a gradient of log p, for
    each draw.

    Raises:
        ArgumentError: an argument is of the wrong type or out of range, or the combination cannot be had.

    Source: R&M, equation 15; path gradient: STL, equation 8.

    Example:
        >>> import flowvi
        >>> objective = flowvi.objectives.reverse_kl(lambda z: -0.5 * z @ z)
        >>> flow = flowvi.flows.real_nvp(2, key=0, layers=2)
        >>> trained = flowvi.train(flow, objective, key=1, steps=10)
        >>> trained.curve.shape
        (10,)
    """
    along_path = check_choice("gradient", gradient, ("path", "total")) == "path"
    keyed = check_choice("log_det", log_det, ("exact", "estimated")) == "estimated"
    if along_path and keyed:
        raise ArgumentError(
            'gradient="path" needs the score of the flow, which estimated log-dets do not give. Choose '
            'gradient="total" or log_det="exact".'
        )
    check_callable(log_density)
    own = OwnDraws(as_condition(condition), check_count("samples", samples), 1, keyed)
    return Renyi(log_density, own, 1.0, along_path)


def importance_weighted(
    log_density: LogDensity,
    *,
    importance_samples: int = 8,
    condition: Float[Array | np.ndarray, ...] | None = None,
    samples: int = 16,
    gradient: Literal["doubly_reparameterized", "total"] = "doubly_reparameterized",
) -> Objective:
    """The negative importance-weighted bound on the log evidence, from K draws.

        -E[log 1/K sum_k w_k],    w_k = p(z_k) / q(z_k),  z_k ~ q

    It is the negative ELBO at K = 1 and falls to -log Z with K. The doubly reparameterized gradient has the
    mean of the total one, and its signal does not drown in noise as K grows. Shapes: as in `reverse_kl`;
    `samples` bounds of `importance_samples` draws in a step. Cost: that of `reverse_kl` for every draw.

    Raises:
        ArgumentError: an argument is of the wrong type or out of range.

    Source: Burda et al. 2015 (arXiv 1509.00519), equation 8; Tucker et al. 2018 (arXiv 1810.04152),
    equation 8.

    Example:
        >>> import flowvi
        >>> objective = flowvi.objectives.importance_weighted(lambda z: -0.5 * z @ z, importance_samples=4)
        >>> trained = flowvi.train(flowvi.flows.gaussian(1), objective, key=1, steps=10)
        >>> trained.curve.round(3).tolist()[0]
        -0.919
    """
    return renyi(
        log_density,
        0.0,
        importance_samples=importance_samples,
        condition=condition,
        samples=samples,
        gradient=gradient,
    )


def renyi(
    log_density: LogDensity,
    alpha: float | np.floating | np.integer,
    *,
    importance_samples: int = 8,
    condition: Float[Array | np.ndarray, ...] | None = None,
    samples: int = 16,
    gradient: Literal["doubly_reparameterized", "total"] = "doubly_reparameterized",
) -> Objective:
    """The negative variational Renyi bound of order alpha, from K draws.

        -1/(1 - alpha) E[log 1/K sum_k w_k^(1 - alpha)],    w_k = p(z_k) / q(z_k),  z_k ~ q

    Alpha = 1 is reverse KL as a limit, alpha = 0 the importance-weighted bound; below 1 q covers more of p,
    above 1 it seeks a mode. Alpha < 0 is refused: the bound is then from above, but its estimate from K draws
    falls without end as q leaves p. With s_k = w_k^(1 - alpha) / sum_j w_j^(1 - alpha), the gradients are
    those of

        total:                     sum_k s_k log w_k
        doubly reparameterized:    sum_k (alpha s_k + (1 - alpha) s_k^2) log w_k,    through z_k alone

    with s_k held fixed; both have the same mean. Shapes and cost: as in `importance_weighted`.

    Raises:
        ArgumentError: an argument is of the wrong type or out of range, or alpha is negative.

    Source: Li & Turner 2016 (arXiv 1602.02311), equations 4 and 9; the second gradient follows from
    Tucker et al. 2018 (arXiv 1810.04152), section 3, applied to the powers of the weights.

    Example:
        >>> import flowvi
        >>> objective = flowvi.objectives.renyi(lambda z: -0.5 * z @ z, 0.5)
        >>> trained = flowvi.train(flowvi.flows.gaussian(1), objective, key=1, steps=10)
        >>> trained.curve.round(3).tolist()[0]
        -0.919
    """
    check_callable(log_density)
    if isinstance(alpha, bool) or not isinstance(alpha, numbers.Real) or not math.isfinite(alpha):
        raise ArgumentError(f"alpha={alpha!r}: give a finite number.")
    if alpha < 0:
        raise ArgumentError(
            f"alpha={alpha!r}: the bound is then above the log evidence, and its estimate from a few draws "
            "is no bound: training by it drives q away from p. Give alpha >= 0, of which 0 covers most of p, "
            "or use reweighted_forward_kl, which covers p."
        )
    choices = ("doubly_reparameterized", "total")
    along_path = check_choice("gradient", gradient, choices) == "doubly_reparameterized"
    groups, size = check_count("samples", samples), check_count("importance_samples", importance_samples)
    own = OwnDraws(as_condition(condition), groups, size)
    return Renyi(log_density, own, float(alpha), along_path)
