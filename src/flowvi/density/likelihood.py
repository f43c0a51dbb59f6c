"""Training a flow by exact maximum likelihood on mini-batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from flowvi.bijections.leaf import leaf
from flowvi.compiling import Compiled
from flowvi.density.rows import Rows
from flowvi.flows import Flow
from flowvi.flows.flow import log_prob
from flowvi.training.adam import AdamState, beginning, ravel, single_precision, with_parameters
from flowvi.training.steps import Descent, scan_steps

BATCH = 256
_EPOCHS = 5
"""In a round, as far as the bounds on its steps allow: a large flow learns few rows by heart in some ten."""
_FEWEST_STEPS, _MOST_STEPS = 25, 200
"""In a round."""
STEP_SIZE = 2e-3
"""Adam's first step."""
_DROP = 0.3
"""Factor on the step size where validation has stopped to gain."""
_DROPS = 3
_PATIENCE = 6
"""Rounds without gain before that."""
_WORTHWHILE = 0.02
"""Gain, in standard errors of the validation score, that counts."""


class Round(NamedTuple):
    """A flow of standardised rows after a round.

    Attributes:
        flow: the best so far by validation.
        steps: steps so far.
        training: log likelihood of the rows of the round as they were met, nats per row.
        validation: that of the validation rows after it.
        skipped: steps so far that were not taken because they were not finite.
    """

    flow: Flow
    steps: int
    training: float
    validation: float
    skipped: int


def rounds(
    flow: Flow,
    rows: Rows,
    train: Int[np.ndarray, " train"],
    validation: Int[np.ndarray, " validation"],
    rng: np.random.Generator,
    max_steps: int,
) -> Iterator[Round]:
    """Maximise the mean of log q(x | condition) by Adam, some 25 to 200 steps at a time.

    After six rounds without gain in validation, training goes on from the best flow with 0.3 of the step
    size, three times; the fourth time it ends. A flow whose score is not finite is never the best. The flow
    is trained in float32 and scored in float64; validation rows keep their noise.
    """
    steps = min(int(np.clip(_EPOCHS * len(train) / BATCH, _FEWEST_STEPS, _MOST_STEPS)), max_steps)
    order = _endless(train, steps * BATCH, rng)
    validated = rows.take(validation, rng)
    state, best, (score, _) = beginning(flow), flow, _score(flow, validated)
    step_size, drops, waited, taken, skipped = STEP_SIZE, 0, 0, 0, 0
    while taken + steps <= max_steps:
        batches = [_batches(values, steps) for values in rows.take(next(order), rng)]
        state, met = _train(flow, state, *batches, leaf(single_precision(np.full(steps, step_size))))
        taken += steps
        candidate = with_parameters(flow, np.asarray(state.average))
        value, error = _score(candidate, validated)
        gained = value > score + _WORTHWHILE * error
        waited = 0 if gained else waited + 1
        if gained:
            best, score = candidate, value
        yield Round(best, taken, float(np.mean(met)), value, skipped + int(state.skipped))
        if waited == _PATIENCE:
            if drops == _DROPS:
                return
            skipped += int(state.skipped)
            state, step_size, drops, waited = beginning(best), step_size * _DROP, drops + 1, 0


@Compiled
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


def _endless(
    numbers: Int[np.ndarray, " n"], size: int, rng: np.random.Generator
) -> Iterator[Int[np.ndarray, " size"]]:
    """So many row numbers at a time, in a new random order every time through."""
    left = numbers[:0]
    while True:
        parts, missing = [left], size - len(left)
        while missing > 0:
            parts.append(rng.permutation(numbers))
            missing -= len(numbers)
        left = np.concatenate(parts)
        yield left[:size]
        left = left[size:]


def _batches(values: np.ndarray | None, steps: int) -> Array | None:
    if values is None:
        return None
    return leaf(single_precision(values).reshape(steps, BATCH, values.shape[-1]))
