"""The engine for research on flows: any flow, any objective."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from flowvi.bijections.host_random import host_generator
from flowvi.bijections.leaf import leaf
from flowvi.compiling import Compiled
from flowvi.errors import ArgumentError, DensityError
from flowvi.flows import Flow
from flowvi.flows.arguments import positive_number
from flowvi.lines import Lines
from flowvi.objectives.arguments import check_choice, check_count
from flowvi.objectives.objective import Objective
from flowvi.precision import double_precision
from flowvi.training.adam import AdamState, beginning, ravel, with_parameters
from flowvi.training.schedules import Schedule, factors
from flowvi.training.steps import Descent, scan_steps


class Trained(NamedTuple):
    """What `train` gives.

    Attributes:
        flow: with the parameters averaged over the last steps, or those after the last.
        curve: the loss as estimated at every step taken or skipped, in nats; NaN where it was not finite.
        skipped: steps that were not taken because they were not finite.
        nonfinite: draws left out because the target had no finite value or gradient there.
        interrupted: whether Ctrl-C ended training before the last step.
    """

    flow: Flow
    curve: Float[np.ndarray, " steps"]
    skipped: int
    nonfinite: int
    interrupted: bool


@double_precision
def train(
    flow: Flow,
    objective: Objective,
    *,
    key: PRNGKeyArray | int,
    steps: int = 2000,
    step_size: float = 5e-3,
    schedule: Literal["constant", "cosine", "halving"] | Schedule = "cosine",
    precision: Literal["float32", "float64"] = "float32",
    average: bool = True,
    progress: bool = False,
    chunk: int = 250,
) -> Trained:
    """Minimise an objective over the parameters of a flow by Adam.

    Training runs in compiled chunks of steps, with one look at the results after each. A step that is not
    finite is skipped and counted; after three in a row training goes on from the average with a third of the
    step size. Ctrl-C ends training after the last whole chunk.

    Args:
        flow: trained from where it is; itself unchanged.
        objective: one of `flowvi.objectives`.
        key: a JAX key or a seed.
        step_size: Adam's first step.
        schedule: the factor on it: "cosine" to zero, "halving" (five times, smoothly), "constant", or a
            function of the share of steps that are done, in [0, 1).
        precision: of the flow while it is trained; log densities are always evaluated in float64. What is
            returned has the precision of `flow`.
        average: whether parameters are averaged over the last steps (exponentially, some fifty of them).
        progress: print to stderr how training goes.
        chunk: steps in a compiled call; a number of steps that it does not divide compiles a second time.

    Raises:
        ArgumentError: an argument is of the wrong type or out of range.
        FlowError: the flow does not fit the objective.
        DensityError: a log density does not give a scalar, or no step could be taken because none was finite.

    Source: Adam: Kingma & Ba 2014 (arXiv 1412.6980) with b2 = 0.99.

    Example:
        >>> import flowvi
        >>> flow = flowvi.flows.gaussian(2)
        >>> objective = flowvi.objectives.reverse_kl(lambda z: -0.5 * (z - 1.0) @ (z - 1.0))
        >>> trained = flowvi.train(flow, objective, key=0, steps=500, step_size=0.05)
        >>> trained.flow.sample(1, (2000,)).mean(axis=0).round().tolist()
        [1.0, 1.0]
    """
    _check(flow, objective)
    step_size = positive_number("step_size", step_size)
    check_count("steps", steps)
    check_count("chunk", chunk)
    dtype = np.dtype(check_choice("precision", precision, ("float32", "float64")))
    step_sizes = np.asarray(step_size * factors(schedule, steps), dtype)
    objective.check(flow)
    rng = host_generator(key)
    state, losses, nonfinite, interrupted = beginning(flow, dtype), [], 0, False
    with Lines(progress) as lines:
        try:
            for start in range(0, steps, chunk):
                numbers = np.arange(start, min(start + chunk, steps))
                draws = jax.tree.map(lambda a: _leaf(a, dtype), objective.draw(flow, rng, len(numbers)))
                inputs = draws, leaf(numbers)
                after, (loss, bad) = run_steps(objective, flow, state, inputs, leaf(step_sizes[numbers]))
                # waits for the chunk, so that what an interrupted one began is not half kept
                loss, bad = np.asarray(loss, np.float64), int(np.asarray(bad).sum())
                state, nonfinite = after, nonfinite + bad
                losses.append(loss)
                lines.show(
                    f"train  step {numbers[-1] + 1:,} of {steps:,}  loss {loss.mean():.3f}"
                    f"  skipped {int(state.skipped)}  {lines.elapsed:.0f} s"
                )
        except KeyboardInterrupt:
            interrupted = True
    done = sum(map(len, losses))
    if done and int(state.skipped) == done:
        raise DensityError(_none_taken(done, nonfinite))
    return Trained(
        flow=with_parameters(flow, np.asarray(state.average if average else state.parameters)),
        curve=np.concatenate([*losses, np.zeros(0)]),
        skipped=int(state.skipped),
        nonfinite=nonfinite,
        interrupted=interrupted,
    )


@partial(Compiled, quick=False)
def run_steps(
    objective: Objective,
    flow: Flow,
    state: AdamState,
    inputs: tuple[PyTree, Int[Array, " steps"]],
    step_sizes: Float[Array, " steps"],
) -> tuple[AdamState, tuple[Float[Array, " steps"], Int[Array, " steps"]]]:
    """One chunk; `flow` gives the structure, `state` the parameters."""
    _, unravel = ravel(flow, state.parameters.dtype)

    def descent(parameters: Array, of_step: tuple[PyTree, Array]) -> Descent:
        def loss(parameters: Array) -> tuple[Array, Array]:
            estimated = objective.estimate(unravel(parameters), *of_step)
            return estimated.loss, estimated.nonfinite

        (value, nonfinite), gradient = jax.value_and_grad(loss, has_aux=True)(parameters)
        return Descent(gradient, jnp.isfinite(value), (value, nonfinite))

    return scan_steps(descent, state, inputs, step_sizes)


def _none_taken(steps: int, nonfinite: int) -> str:
    where = f"; {nonfinite:,} draws had no finite log density or gradient" if nonfinite else ""
    return (
        f"None of {steps:,} training steps could be taken: the loss or its gradient was never finite{where}. "
        "Evaluate the log density at draws of the flow, flow.sample(0, (5,)), to see where it is NaN, or "
        "start from a flow whose draws lie where it is finite."
    )


def _check(flow: Any, objective: Any) -> None:
    if not isinstance(flow, Flow):
        raise ArgumentError(
            f"flow is of type {type(flow).__name__}: give a Flow, such as flowvi.flows builds."
        )
    if not isinstance(objective, Objective):
        raise ArgumentError(
            f"objective is of type {type(objective).__name__}: give one of flowvi.objectives, such as "
            "reverse_kl(log_density)."
        )


def _leaf(values: np.ndarray, dtype: np.dtype) -> Array:
    return leaf(values.astype(dtype) if np.issubdtype(values.dtype, np.floating) else values)
