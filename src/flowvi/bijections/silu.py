"""The activation of the networks here, with a derivative that keeps little for the way back."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


@jax.custom_jvp
def silu(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """x sigmoid(x), as `jax.nn.silu`, elementwise.

    Backward needs its derivative alone, where the product rule would keep two factors of each of two terms.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections.silu import silu
        >>> silu(jnp.zeros(2)).tolist()
        [0.0, 0.0]
    """
    return x * _sigmoid(x)


@silu.defjvp
def _silu_jvp(primals, tangents):
    (x,), (tangent,) = primals, tangents
    share = _sigmoid(x)
    return x * share, (share + x * share * (1 - share)) * tangent


def _sigmoid(x):
    # a third faster than by the exponential function
    return 0.5 * (1 + jnp.tanh(0.5 * x))
