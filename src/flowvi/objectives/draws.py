"""Draws of the flow that is trained."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt32

from flowvi.bijections import trainable
from flowvi.errors import FlowError
from flowvi.flows import Flow
from flowvi.flows.base_draws import base_draws


class Draws(NamedTuple):
    """What is random in a step; a leading axis of steps where there are several.

    Attributes:
        base: draws of the base distribution; None where its own parameters are trained, so that draws move
            with them.
        keys: a key for every draw, of the base or of an estimated log-det, whichever is random in the
            program; None where neither is.
        rows: the row of the conditions that each group of draws was drawn for; None where all draws have the
            same condition or none.
    """

    base: Float[Array | np.ndarray, "*steps draws dim"] | None
    keys: UInt32[Array | np.ndarray, "*steps draws 2"] | None
    rows: Int[Array | np.ndarray, "*steps groups"] | None


class OwnDraws(eqx.Module):
    """How many draws of the flow a step takes, and for which conditions.

    Attributes:
        condition: (condition_dim,) for all draws, (n, condition_dim) from which every group takes a row at
            random, or None.
        groups: of draws with the same condition.
        size: draws in a group.
        keyed: whether the log-det is estimated, with a key for every draw.
    """

    condition: Float[Array, ...] | None
    groups: int = eqx.field(static=True)
    size: int = eqx.field(static=True)
    keyed: bool = eqx.field(static=True, default=False)

    def draw(self, flow: Flow, rng: np.random.Generator, steps: int) -> Draws:
        """What is random in so many steps."""
        n = self.groups * self.size
        moves = _is_trained(flow)
        base = None if moves else base_draws(flow.base, rng, steps * n).reshape(steps, n, flow.dim)
        keys = rng.integers(2**32, size=(steps, n, 2), dtype=np.uint32) if moves or self.keyed else None
        rows = None
        if self.condition is not None and self.condition.ndim == 2:
            rows = rng.integers(len(self.condition), size=(steps, self.groups), dtype=np.int32)
        return Draws(base, keys, rows)

    def base_of(self, flow: Flow, draws: Draws) -> Float[Array, "draws dim"]:
        """The draws of the base, in the precision of the flow."""
        if draws.base is not None:
            return jnp.asarray(draws.base, precision_of(flow))
        # the key itself is for the log-det
        keys = jax.vmap(lambda key: jax.random.fold_in(key, 0))(keys_of(draws))
        return jax.vmap(flow.base.sample)(keys).astype(precision_of(flow))

    def condition_of(self, flow: Flow, draws: Draws) -> Float[Array, "draws condition"] | None:
        """The condition of every draw."""
        if self.condition is None:
            return None
        if draws.rows is None:
            each = jnp.broadcast_to(self.condition, (self.groups * self.size, self.condition.size))
        else:
            each = jnp.repeat(self.condition[draws.rows], self.size, axis=0)
        return each.astype(precision_of(flow))


def keys_of(draws: Draws) -> Array:
    """A JAX key for every draw."""
    return jax.random.wrap_key_data(jnp.asarray(draws.keys))


def precision_of(flow: Flow) -> jnp.dtype:
    """The dtype of the trained parameters."""
    return jnp.result_type(*jax.tree.leaves(eqx.filter(flow, trainable(flow))))


def check_condition(flow: Flow, condition: Float[Array, ...] | None) -> None:
    """Check that the condition of an objective is what the flow was built for.

    Raises:
        FlowError: it is missing, not wanted, or of another length.
    """
    given = None if condition is None else condition.shape[-1]
    if given != flow.condition_dim:
        raise FlowError(
            f"The flow has condition_dim={flow.condition_dim}, but the objective's condition is of length "
            f"{given}. Build the flow for the conditions, and give the objective conditions for such a flow."
        )


def _is_trained(flow: Flow) -> bool:
    return any(jax.tree.leaves(trainable(flow.base)))
