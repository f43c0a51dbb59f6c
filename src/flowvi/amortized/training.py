"""Training q(z | x) by maximum likelihood on simulated pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from flowvi.amortized.layout import Batch
from flowvi.amortized.network import Network
from flowvi.bijections.leaf import leaf
from flowvi.compiling import Compiled
from flowvi.training.adam import AdamState, ravel
from flowvi.training.batches import endless
from flowvi.training.early_stopping import Round, stopped_early
from flowvi.training.steps import Descent, scan_steps

BATCH = 256
_EPOCHS = 5
"""In a round, as far as the bounds on its steps allow."""
_FEWEST_STEPS, _MOST_STEPS = 25, 200
"""In a round."""


class Rows(NamedTuple):
    """Pairs side by side.

    Attributes:
        u: float32 (n, dim), standardised unconstrained parameters.
        x: the data sets.
    """

    u: Float[np.ndarray, "n dim"]
    x: Batch

    def take(self, chosen: np.ndarray) -> Rows:
        """Some of them."""
        return Rows(self.u[chosen], self.x.rows(chosen))


Fresh = Callable[[int], Rows]
"""So many new pairs, drawn when they are needed."""


def steps_of_round(pairs: int) -> int:
    """Steps until training is looked at: five times through the pairs, within bounds."""
    return int(np.clip(_EPOCHS * pairs / BATCH, _FEWEST_STEPS, _MOST_STEPS))


def rounds(
    network: Network,
    train: Rows | Fresh,
    held_out: Rows,
    rng: np.random.Generator,
    steps: int,
    max_steps: int,
) -> Iterator[Round]:
    """Maximise the mean of log q(u | x) over simulated pairs: forward KL, up to a constant, averaged over x.

        E_p(x) KL(p(u | x) || q(u | x)) = const - E_p(u, x) log q(u | x)

    Source: Papamakarios & Murray 2016 (arXiv 1605.06376), proposition 1; Greenberg et al. 2019 (arXiv
    1905.07488).
    """
    order = endless(np.arange(len(train.u)), steps * BATCH, rng) if isinstance(train, Rows) else None

    def one_round(state: AdamState, step_sizes: Array) -> tuple[AdamState, Array]:
        rows = train.take(next(order)) if isinstance(train, Rows) and order else train(steps * BATCH)
        inputs = jax.tree.map(lambda a: leaf(a.reshape(steps, BATCH, *a.shape[1:])), rows)
        return _train(network, state, inputs, step_sizes)

    yield from stopped_early(network, one_round, lambda network: score(network, held_out), steps, max_steps)


def score(network: Network, rows: Rows) -> tuple[float, float]:
    """Mean log q(u | x), and its standard error; minus infinity if a value is not finite."""
    values = np.asarray(_log_prob(network, rows), np.float64)
    if not np.isfinite(values).all():
        return -np.inf, 0.0
    return float(values.mean()), float(values.std() / np.sqrt(len(values)))


@Compiled
def _train(
    network: Network, state: AdamState, inputs: Rows, step_sizes: Array
) -> tuple[AdamState, Float[Array, " steps"]]:
    """One round as a scan over steps; `network` gives the structure, `state` the parameters."""
    _, unravel = ravel(network)

    def descent(parameters: Array, rows: Rows) -> Descent:
        def loss(parameters: Array) -> Array:
            return -jnp.mean(_of_rows(unravel(parameters), rows))

        value, gradient = jax.value_and_grad(loss)(parameters)
        return Descent(gradient, jnp.isfinite(value), record=-value)

    return scan_steps(descent, state, inputs, step_sizes)


@Compiled
def _log_prob(network: Network, rows: Rows) -> Float[Array, " n"]:
    return _of_rows(network, rows)


def _of_rows(network: Network, rows: Rows) -> Float[Array, " n"]:
    return jax.vmap(network.log_prob)(rows.u, rows.x.values, rows.x.mask)
