"""Training in rounds that ends where held-out data stop to gain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float

from flowvi.bijections.leaf import leaf
from flowvi.training.adam import AdamState, beginning, single_precision, with_parameters

STEP_SIZE = 2e-3
"""Adam's first step."""
_DROP = 0.3
"""Factor on the step size where validation has stopped to gain."""
_DROPS = 3
_PATIENCE = 6
"""Rounds without gain before that."""
_WORTHWHILE = 0.02
"""Gain, in standard errors of the validation score, that counts."""

Train = Callable[[AdamState, Float[Array, " steps"]], tuple[AdamState, Float[Array, " steps"]]]
"""One round: from a state and its step sizes, the state after it and what each step met (to be large)."""

Score = Callable[[Any], tuple[float, float]]
"""The mean score of held-out data, to be large, and its standard error."""


class Round(NamedTuple):
    """A model after a round.

    Attributes:
        model: the best so far by validation.
        steps: steps so far.
        training: mean score of the data of the round as they were met.
        validation: that of the held-out data after it.
        skipped: steps so far that were not taken because they were not finite.
    """

    model: Any
    steps: int
    training: float
    validation: float
    skipped: int


def stopped_early(
    model: eqx.Module, train: Train, score: Score, steps: int, max_steps: int
) -> Iterator[Round]:
    """Rounds of so many steps of Adam in float32.

    After six rounds without gain in validation, training goes on from the best model with 0.3 of the step
    size, three times; the fourth time it ends. A model whose score is not finite is never the best.
    """
    state, best, (top, _) = beginning(model), model, score(model)
    step_size, drops, waited, taken, skipped = STEP_SIZE, 0, 0, 0, 0
    while taken + steps <= max_steps:
        state, met = train(state, leaf(single_precision(np.full(steps, step_size))))
        taken += steps
        candidate = with_parameters(model, np.asarray(state.average))
        value, error = score(candidate)
        gained = value > top + _WORTHWHILE * error
        waited = 0 if gained else waited + 1
        if gained:
            best, top = candidate, value
        yield Round(best, taken, float(np.mean(np.asarray(met))), value, skipped + int(state.skipped))
        if waited == _PATIENCE:
            if drops == _DROPS:
                return
            skipped += int(state.skipped)
            state, step_size, drops, waited = beginning(best), step_size * _DROP, drops + 1, 0
