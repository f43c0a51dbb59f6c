"""Training q(z | x) on simulated pairs: by maximum likelihood, or by the evidence lower bound."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from flowvi.amortized.elbo import Bound
from flowvi.amortized.layout import Batch
from flowvi.amortized.network import Network
from flowvi.bijections.leaf import leaf
from flowvi.compiling import Compiled
from flowvi.flows.base_draws import base_draws
from flowvi.flows.flow import forward_and_log_prob
from flowvi.training.adam import AdamState, ravel
from flowvi.training.batches import endless
from flowvi.training.early_stopping import Round, stopped_early
from flowvi.training.steps import Descent, scan_steps

BATCH = 256
_EPOCHS = 5
"""In a round, as far as the bounds on its steps allow."""
FEWEST_STEPS, MOST_STEPS = 25, 200
"""In a round."""


class Rows(NamedTuple):
    """Pairs side by side.

    Attributes:
        u: float32 (n, dim), standardised unconstrained parameters; for a lower bound, draws of the base.
        x: the data sets.
        raw: the same as they were, for a lower bound.
    """

    u: Float[np.ndarray, "n dim"]
    x: Batch
    raw: Float[np.ndarray, "n ..."] | None = None

    def take(self, chosen: np.ndarray) -> Rows:
        """Some of them."""
        return Rows(self.u[chosen], self.x.rows(chosen), None if self.raw is None else self.raw[chosen])


Fresh = Callable[[int], Rows]
"""So many new pairs, drawn when they are needed."""


def steps_of_round(pairs: int) -> int:
    """Steps until training is looked at: five times through the pairs, within bounds."""
    return int(np.clip(_EPOCHS * pairs / BATCH, FEWEST_STEPS, MOST_STEPS))


def rounds(
    network: Network,
    train: Rows | Fresh,
    held_out: Rows,
    rng: np.random.Generator,
    steps: int,
    max_steps: int,
    bound: Bound | None,
) -> Iterator[Round]:
    """Maximise the mean of log q(u | x) over simulated pairs: forward KL, up to a constant, averaged over x.

        E_p(x) KL(p(u | x) || q(u | x)) = const - E_p(u, x) log q(u | x)

    With a bound, maximise the mean over simulated x of E_q [log p(u, x) - log q(u | x)] instead: reverse KL.

    Source: Papamakarios & Murray 2016 (arXiv 1605.06376), proposition 1; Greenberg et al. 2019 (arXiv
    1905.07488).
    """
    order = endless(np.arange(len(train.u) if isinstance(train, Rows) else 0), steps * BATCH, rng)

    def next_rows() -> Rows:
        if isinstance(train, Rows):
            return train.take(next(order))
        return train(steps * BATCH)

    def one_round(state: AdamState, step_sizes: Array) -> tuple[AdamState, Array]:
        rows = next_rows() if bound is None else with_noise(network, next_rows(), rng)
        inputs = jax.tree.map(lambda a: leaf(a.reshape(steps, BATCH, *a.shape[1:])), rows)
        return _train(network, bound, state, inputs, step_sizes)

    if bound is not None:
        held_out = with_noise(network, held_out, rng)
    yield from stopped_early(
        network, one_round, lambda network: score(network, held_out, bound), steps, max_steps
    )


def with_noise(network: Network, rows: Rows, rng: np.random.Generator) -> Rows:
    """The same data sets, with draws of the base in place of parameters."""
    return rows._replace(u=base_draws(network.flow.base, rng, len(rows.u)).astype(np.float32))


def score(network: Network, rows: Rows, bound: Bound | None) -> tuple[float, float]:
    """Mean objective, and its standard error; minus infinity if a value is not finite."""
    values = np.asarray(_values(network, bound, rows), np.float64)
    if not np.isfinite(values).all():
        return -np.inf, 0.0
    return float(values.mean()), float(values.std() / np.sqrt(len(values)))


@partial(Compiled, quick=False)
def _train(
    network: Network, bound: Bound | None, state: AdamState, inputs: Rows, step_sizes: Array
) -> tuple[AdamState, Float[Array, " steps"]]:
    """One round as a scan over steps; `network` gives the structure, `state` the parameters."""
    _, unravel = ravel(network)

    def descent(parameters: Array, rows: Rows) -> Descent:
        def loss(parameters: Array) -> Array:
            return -jnp.mean(_of_rows(unravel(parameters), bound, rows))

        value, gradient = jax.value_and_grad(loss)(parameters)
        return Descent(gradient, jnp.isfinite(value), record=-value)

    return scan_steps(descent, state, inputs, step_sizes)


@Compiled
def _values(network: Network, bound: Bound | None, rows: Rows) -> Float[Array, " n"]:
    return _of_rows(network, bound, rows)


def _of_rows(network: Network, bound: Bound | None, rows: Rows) -> Float[Array, " n"]:
    # arrays of JAX here, of NumPy where they come from
    u, x = jnp.asarray(rows.u), jnp.asarray(rows.x.values)
    mask = None if rows.x.mask is None else jnp.asarray(rows.x.mask)
    if bound is None:
        return jax.vmap(network.log_prob)(u, x, mask)

    def lower_bound(noise: Array, values: Array, mask: Array | None, raw: Array) -> Array:
        u, log_q = forward_and_log_prob(network.flow, noise, network.summary(values, mask))
        return (bound.log_density(u, raw) - log_q).astype(noise.dtype)

    return jax.vmap(lower_bound)(u, x, mask, jnp.asarray(rows.raw))
