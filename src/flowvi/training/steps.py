"""Adam steps as one compiled scan, which every engine that trains a flow shares."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
from jaxtyping import Array, Bool, Float, PyTree

from flowvi.training.adam import AdamState, adam_step


class Descent(NamedTuple):
    """What a step goes by.

    Attributes:
        gradient: of the loss, in the parameters as one vector.
        trusted: whether the step may be taken if it is finite.
        record: what is kept of the step: the value of its loss, or a tree of arrays.
    """

    gradient: Float[Array, " parameters"]
    trusted: Bool[Array, ""]
    record: PyTree


def scan_steps(
    descent: Callable[[Float[Array, " parameters"], PyTree], Descent],
    state: AdamState,
    inputs: PyTree,
    step_sizes: Float[Array, " steps"],
) -> tuple[AdamState, PyTree]:
    """As many steps as there are step sizes, inside the caller's trace; their records with a leading axis.

    `descent(parameters, input)` gives the gradient at one step's input; `inputs` has a leading axis of steps.
    A step that is not finite or not trusted is skipped and counted; after three in a row training goes on
    from the average with a third of the step size.
    """

    def step(state: AdamState, of_step: tuple[PyTree, Array]) -> tuple[AdamState, PyTree]:
        of_step, step_size = of_step
        gradient, trusted, record = descent(state.parameters, of_step)
        return adam_step(state, gradient, trusted, step_size), record

    return jax.lax.scan(step, state, (inputs, step_sizes))
