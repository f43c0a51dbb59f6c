"""How a conditioner's output becomes the parameters of a transformer."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

from flowvi.errors import FlowError


def conditioned_parameters(
    conditioner: Callable[[Array], Array],
    x: Float[Array, " dim"],
    condition: Float[Array, " condition"] | None,
    condition_dim: int | None,
    shape: tuple[int, int],
) -> Float[Array, "rows parameters"]:
    """conditioner([x, condition]) as one row of parameters per coordinate, in the precision of x.

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
    rows, per_row = shape
    if output.size != rows * per_row:
        raise FlowError(
            f"The conditioner gives {output.size} values, but the transformer takes {per_row} for each of "
            f"{rows} coordinates. Build the conditioner with {rows * per_row} outputs."
        )
    return output.reshape(shape).astype(x.dtype)
