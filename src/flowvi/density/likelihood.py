"""Training a flow by exact maximum likelihood on mini-batches."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from flowvi.bijections.leaf import leaf
from flowvi.compiling import Compiled
from flowvi.density.rows import Rows
from flowvi.flows import Flow
from flowvi.flows.flow import log_prob
from flowvi.training.adam import AdamState, ravel, single_precision
from flowvi.training.batches import endless
from flowvi.training.early_stopping import Round, stopped_early
from flowvi.training.steps import Descent, scan_steps

BATCH = 256
_EPOCHS = 5
"""In a round, as far as the bounds on its steps allow: a large flow learns few rows by heart in some ten."""
_FEWEST_STEPS, _MOST_STEPS = 25, 200
"""In a round."""


def rounds(
    flow: Flow,
    rows: Rows,
    train: Int[np.ndarray, " train"],
    validation: Int[np.ndarray, " validation"],
    rng: np.random.Generator,
    max_steps: int,
) -> Iterator[Round]:
    """Maximise the mean of log q(x | condition) by Adam, some 25 to 200 steps at a time.

    Scores are in nats per row. The flow is trained in float32 and scored in float64; validation rows keep
    their noise.
    """
    steps = min(int(np.clip(_EPOCHS * len(train) / BATCH, _FEWEST_STEPS, _MOST_STEPS)), max_steps)
    order = endless(train, steps * BATCH, rng)
    validated = rows.take(validation, rng)

    def one_round(state: AdamState, step_sizes: Array) -> tuple[AdamState, Array]:
        batches = [_batches(values, steps) for values in rows.take(next(order), rng)]
        return _train(flow, state, *batches, step_sizes)

    yield from stopped_early(flow, one_round, lambda flow: _score(flow, validated), steps, max_steps)


@partial(Compiled, quick=False)
def _train(
    flow: Flow, state: AdamState, x: Array, condition: Array | None, step_sizes: Array
) -> tuple[AdamState, Float[Array, " steps"]]:
    """One round as a scan over steps; `flow` gives the structure, `state` the parameters."""
    _, unravel = ravel(flow)

    def descent(parameters: Array, batch: tuple[Array, Array | None]) -> Descent:
        def loss(parameters: Array) -> Array:
            flow = unravel(parameters)
            return -jnp.mean(jax.vmap(lambda x, c: log_prob(flow, x, c))(*batch))

        value, gradient = jax.value_and_grad(loss)(parameters)
        return Descent(gradient, jnp.isfinite(value), record=-value)

    return scan_steps(descent, state, (x, condition), step_sizes)


def _score(flow: Flow, rows: tuple[np.ndarray, np.ndarray | None]) -> tuple[float, float]:
    """Mean log likelihood, nats per row, and its standard error; minus infinity if a value is not finite."""
    values = np.asarray(flow.log_prob(*rows))
    if not np.isfinite(values).all():
        return -np.inf, 0.0
    return float(values.mean()), float(values.std() / np.sqrt(len(values)))


def _batches(values: np.ndarray | None, steps: int) -> Array | None:
    if values is None:
        return None
    return leaf(single_precision(values).reshape(steps, BATCH, values.shape[-1]))
