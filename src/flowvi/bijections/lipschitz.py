"""Networks that move no two points farther apart than a given factor."""

import itertools
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from flowvi.bijections.host_random import host_generator
from flowvi.bijections.leaf import leaf
from flowvi.bijections.matmul import matmul
from flowvi.errors import FlowError

SQUARINGS = 6
"""Of W^T W: its bound is then within n^(1/128) of the largest singular value, 4% for 100 columns."""

_SILU_SLOPE = 1.1
"""Above the largest slope of silu, 1.0998."""


class LipschitzMLP(eqx.Module):
    """A network g with |g(x) - g(x')| <= `contraction` |x - x'|, whatever the values of its parameters.

        h_0 = x,    h_l = silu(V_l h_{l-1} + b_l) / 1.1,    g(x) = V_L h_{L-1} + b_L
        V_l = W_l / max(1, |W_l| / contraction^(1/L)),    |W_l| >= the largest singular value of W_l

    Small weights stay as they are, and the last layer starts at zero. The bound holds between any two points
    rather than on average, because `spectral_bound` is one from above; a power iteration is one from below.
    Computes in the precision of x, since inverses need all of its digits.

    Shapes: x (in_size,), result (out_size,), `shift` (width,), which is added to b_1 and may be anything that
    does not depend on x.

    Source: ResFlow, sections 3.1 and 4.2.

    Raises:
        FlowError: `contraction` is not between 0 and 1.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import LipschitzMLP
        >>> LipschitzMLP(3, 2, key=0)(jnp.ones(3)).tolist()
        [0.0, 0.0]
    """

    weights: tuple[Float[Array, "into out_of"], ...]
    biases: tuple[Float[Array, " into"], ...]
    contraction: float = eqx.field(static=True)

    def __init__(
        self,
        in_size: int,
        out_size: int,
        *,
        key: PRNGKeyArray | int,
        width: int = 32,
        depth: int = 2,
        contraction: float = 0.9,
    ):
        if not 0 < contraction < 1:
            raise FlowError(
                f"contraction={contraction} of a network. Give a number between 0 and 1, such as 0.9: the "
                "closer to 1, the more freedom, and the more steps of the inverse."
            )
        rng = host_generator(key)
        sizes = [in_size, *[width] * depth, out_size]
        shapes = [(into, out_of) for out_of, into in itertools.pairwise(sizes)]
        hidden = [leaf(rng.standard_normal(shape) / np.sqrt(shape[1])) for shape in shapes[:-1]]
        self.weights = (*hidden, leaf(np.zeros(shapes[-1])))
        # spread, so that the bends of the first layers do not all lie at the origin
        self.biases = (*[leaf(rng.standard_normal(size)) for size in sizes[1:-1]], leaf(np.zeros(out_size)))
        self.contraction = contraction

    def __call__(
        self, x: Float[Array, " in_size"], shift: Float[Array, " width"] | None = None
    ) -> Float[Array, " out_size"]:
        return self.apply(self.bounded_weights(), x, shift)

    def bounded_weights(self) -> tuple[Float[Array, "_ _"], ...]:
        """V_1 .. V_L, to be computed once where the network is evaluated many times."""
        each = self.contraction ** (1 / len(self.weights))
        return tuple(bounded(w, each) for w in self.weights)

    def apply(
        self,
        bounded_weights: Sequence[Float[Array, "_ _"]],
        x: Float[Array, " in_size"],
        shift: Float[Array, " width"] | None = None,
    ) -> Float[Array, " out_size"]:
        """g(x) by weights from `bounded_weights`."""
        *hidden, last = [w.astype(x.dtype) for w in bounded_weights]
        *biases, last_bias = [b.astype(x.dtype) for b in self.biases]
        if shift is not None:
            biases[0] = biases[0] + shift.astype(x.dtype)
        for w, b in zip(hidden, biases, strict=True):
            x = jax.nn.silu(matmul(w, x) + b) / _SILU_SLOPE
        return matmul(last, x) + last_bias


def spectral_bound(matrix: Float[Array, "rows columns"]) -> Float[Array, ""]:
    """A smooth bound from above on the largest singular value, at most n^(1/128) too large.

        sigma_max <= (sum_i sigma_i^128)^(1/128) = |(W^T W)^(2^5)|_F^(1/64)

    The Schatten norm of order 128, by matrix products alone; n is the smaller side. Differentiable at zero
    too.

    Source: Horn & Johnson, Matrix Analysis (2nd edition), section 7.4.7.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections.lipschitz import spectral_bound
        >>> spectral_bound(jnp.diag(jnp.array([3.0, 1.0]))).round(4).item()
        3.0
    """
    rows, columns = matrix.shape
    power = matmul(matrix.T, matrix) if columns <= rows else matmul(matrix, matrix.T)
    log_scale = jnp.zeros((), matrix.dtype)
    for _ in range(SQUARINGS - 1):
        # kept near one, since powers leave the range of numbers
        size = _norm(power)
        power = matmul(power / size, power / size)
        log_scale = 2 * (log_scale + jnp.log(size))
    return jnp.exp((log_scale + jnp.log(_norm(power))) / 2**SQUARINGS)


def bounded(w: Float[Array, "into out_of"], bound: float) -> Float[Array, "into out_of"]:
    """w / max(1, |w| / bound), whose singular values are at most `bound`."""
    # the result does not change with the size of w, so neither do its derivatives by taking it for a constant
    size = jax.lax.stop_gradient(jnp.maximum(1, jnp.max(jnp.abs(w), initial=0)))
    return (w / size) * (bound / jnp.maximum(spectral_bound(w / size), bound / size))


def _norm(matrix: Array) -> Array:
    """The Frobenius norm, from below far enough from zero for its logarithm and derivatives."""
    return jnp.sqrt(jnp.sum(matrix**2) + 1e-24)
