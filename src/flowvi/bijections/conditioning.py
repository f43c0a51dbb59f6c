"""How a conditioner's output becomes the parameters of a transformer."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

from flowvi.bijections.batch_last import rows
from flowvi.errors import FlowError


def conditioned_parameters(
    conditioner: Callable[[Array], Array],
    x: Float[Array, " dim"],
    condition: Float[Array, " condition"] | None,
    condition_dim: int | None,
    shape: tuple[int, int],
) -> Float[Array, "rows per_row"]:
    """conditioner([x, condition]) as rows, one for each parameter of a transformer, in the precision of x.

    Raises:
        FlowError: the condition is missing or has another length, or the conditioner's output has.
    """
    inputs = x
    if condition_dim is not None:
        if condition is None or condition.shape != (condition_dim,):
            given = "none" if condition is None else f"one of shape {condition.shape}"
            raise FlowError(f"This map needs a condition of shape ({condition_dim},) but was given {given}.")
        inputs = jnp.concatenate([x, condition.astype(x.dtype)])
    output = conditioner(inputs)
    count, per_row = shape
    if output.size != count * per_row:
        raise FlowError(
            f"The conditioner gives {output.size} values, but the transformer takes {count} for each of "
            f"{per_row} coordinates. Build the conditioner with {count * per_row} outputs."
        )
    return rows(output, count).astype(x.dtype)
