"""Adam on the parameters of a model as one vector, which skips what is not finite and averages over steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int, PyTree

from flowvi.bijections import trainable
from flowvi.bijections.leaf import leaf

M = TypeVar("M", bound=eqx.Module)
"""What is trained: a flow, or networks around one."""

_DECAY = 0.98
"""Of the exponential average of the parameters over steps."""
_CLIP = 10.0
_MOMENTUM = 0.9
"""Adam's b1, which a game wants lower."""


class AdamState(NamedTuple):
    """What a training step carries; parameters are one vector, which keeps the optimiser's compile time
    short."""

    parameters: Float[Array, " parameters"]
    optimiser: PyTree
    average: Float[Array, " parameters"]
    step_scale: Float[Array, ""]
    bad_in_row: Int[Array, ""]
    skipped: Int[Array, ""]


def adam_step(
    state: AdamState,
    gradient: Float[Array, " parameters"],
    trusted: Bool[Array, ""],
    step_size: Array,
    momentum: float = _MOMENTUM,
) -> AdamState:
    """Take the step if it is finite and the draws can be trusted; fall back to the average after three that
    were not."""
    change, optimiser = _optimiser(momentum).update(gradient, state.optimiser)
    taken = state.parameters + step_size * state.step_scale * jnp.asarray(change)
    good = jnp.isfinite(taken).all() & trusted
    bad_in_row = jnp.where(good, 0, state.bad_in_row + 1)
    back = bad_in_row == 3
    kept = jnp.where(back, state.average, state.parameters)
    parameters = jnp.where(good, taken, kept)
    return AdamState(
        parameters=parameters,
        optimiser=jax.tree.map(
            lambda new, old, initial: jnp.where(good, new, jnp.where(back, initial, old)),
            optimiser,
            state.optimiser,
            _optimiser().init(state.parameters),
        ),
        average=_DECAY * state.average + (1 - _DECAY) * parameters,
        step_scale=jnp.where(back, state.step_scale / 3, state.step_scale),
        bad_in_row=jnp.where(back, 0, bad_in_row),
        skipped=state.skipped + ~good,
    )


def _optimiser(momentum: float = _MOMENTUM) -> optax.GradientTransformation:
    adam = optax.scale_by_adam(b1=momentum, b2=0.99)
    return optax.chain(optax.clip_by_global_norm(_CLIP), adam, optax.scale(-1.0))


def ravel(
    model: M, dtype: DTypeLike = np.float32
) -> tuple[Float[Array, " parameters"], Callable[[Array], M]]:
    """The trainable parameters as one vector, and the model as a function of it, both in the dtype in which
    it is trained."""
    cast = jax.tree.map(lambda a: a.astype(dtype) if eqx.is_inexact_array(a) else a, model)
    arrays, rest = eqx.partition(cast, trainable(model))
    vector, unravel = ravel_pytree(arrays)
    return vector, lambda vector: eqx.combine(unravel(vector), rest)


# Outside a program the same is done by NumPy: each small operation of JAX would be compiled.


def beginning(model: eqx.Module, dtype: DTypeLike = np.float32) -> AdamState:
    """The state before the first step, of training in this dtype."""
    arrays = jax.tree.leaves(eqx.filter(model, trainable(model)))
    vector = leaf(np.concatenate([np.ravel(array) for array in arrays]).astype(dtype))
    optimiser = jax.eval_shape(_optimiser().init, vector)
    zero = leaf(np.zeros((), int))
    return AdamState(
        parameters=vector,
        optimiser=jax.tree.map(lambda a: leaf(np.zeros(a.shape, a.dtype)), optimiser),
        average=vector,
        step_scale=leaf(np.ones((), dtype)),
        bad_in_row=zero,
        skipped=zero,
    )


def with_parameters(model: M, vector: Float[np.ndarray, " parameters"]) -> M:
    """The model with its trainable parameters taken from a vector."""
    arrays, rest = eqx.partition(model, trainable(model))
    leaves, structure = jax.tree.flatten(arrays)
    ends = np.cumsum([array.size for array in leaves])
    parts = np.split(vector, ends[:-1])
    leaves = [
        leaf(part.reshape(array.shape).astype(array.dtype)) for part, array in zip(parts, leaves, strict=True)
    ]
    return eqx.combine(jax.tree.unflatten(structure, leaves), rest)


def single_precision(values: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
    """The same numbers in float32, in which flows are trained unless asked otherwise."""
    return np.asarray(values, np.float32)
