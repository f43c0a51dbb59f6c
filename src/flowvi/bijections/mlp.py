"""The neural networks that give a coupling or autoregressive map its parameters."""

import itertools

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from flowvi.bijections.batch_last import batch_last, broadcast_like
from flowvi.bijections.host_random import host_generator
from flowvi.bijections.leaf import leaf
from flowvi.bijections.silu import silu


class MLP(eqx.Module):
    """A plain network with silu activations whose last layer starts at zero.

        h_0 = x,    h_l = silu(W_l h_{l-1} + b_l),    output = W h_depth + b,    W = b = 0 at the start

    Shapes: input (in_size,), which may be empty; output (out_size,). The network computes in the precision of
    its own weights.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import MLP
        >>> MLP(3, 2, key=jax.random.key(0))(jnp.ones(3)).tolist()
        [0.0, 0.0]
    """

    weights: tuple[Float[Array, "into out_of"], ...]
    biases: tuple[Float[Array, " into"], ...]

    def __init__(
        self, in_size: int, out_size: int, *, key: PRNGKeyArray | int, width: int = 32, depth: int = 2
    ):
        self.weights, self.biases = _initial([in_size, *[width] * depth, out_size], key)

    def __call__(self, x: Float[Array, " in_size"]) -> Float[Array, " out_size"]:
        return _network(x, self.weights, self.biases)


class MaskedMLP(eqx.Module):
    """An `MLP` whose output block i sees only the inputs before i: MADE, for autoregressive maps.

        (W_l)_jk is kept where degree(j) >= degree(k), in the last layer where degree(j) > degree(k)

    Input i has degree i (1 .. dim), hidden units go through all degrees in turn, the condition has degree 0.
    Shapes: input (dim [+ condition_dim],), output (parameters_per_dim * dim,), those of the first kind first.
    Source: Germain et al. 2015 (arXiv 1502.03509), equations 8 and 9.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import MaskedMLP
        >>> MaskedMLP(3, 2, key=jax.random.key(0))(jnp.ones(3)).shape
        (6,)
    """

    weights: tuple[Float[Array, "into out_of"], ...]
    biases: tuple[Float[Array, " into"], ...]
    masks: tuple[Bool[Array, "into out_of"], ...]

    def __init__(
        self,
        dim: int,
        parameters_per_dim: int,
        *,
        key: PRNGKeyArray | int,
        condition_dim: int | None = None,
        width: int = 32,
        depth: int = 2,
    ):
        inputs = np.concatenate([np.arange(1, dim + 1), np.zeros(condition_dim or 0, int)])
        # hidden units of degree 0 see the condition only: without one they would be constants
        lowest = 1 if dim > 1 and not condition_dim else 0
        hidden = lowest + np.arange(width) % (dim - lowest)
        outputs = np.tile(np.arange(1, dim + 1), parameters_per_dim)
        degrees = [inputs, *[hidden] * depth]
        masks = [into[:, None] >= out_of for out_of, into in itertools.pairwise(degrees)]
        self.masks = tuple(leaf(mask) for mask in [*masks, outputs[:, None] > degrees[-1]])
        self.weights, self.biases = _initial([len(inputs), *[width] * depth, len(outputs)], key)

    def __call__(self, x: Float[Array, " in_size"]) -> Float[Array, " out_size"]:
        weights = tuple(w * mask for w, mask in zip(self.weights, self.masks, strict=True))
        return _network(x, weights, self.biases)


def _initial(sizes: list[int], key: PRNGKeyArray | int) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    rng = host_generator(key)
    weights = [
        leaf(rng.standard_normal((into, out_of)) / max(out_of, 1) ** 0.5)
        for out_of, into in itertools.pairwise(sizes[:-1])
    ]
    last = leaf(np.zeros((sizes[-1], sizes[-2])))
    return (*weights, last), tuple(leaf(np.zeros(size)) for size in sizes[1:])


def _network(x: Array, weights: tuple[Array, ...], biases: tuple[Array, ...]) -> Array:
    x = batch_last(x.astype(weights[0].dtype))
    *hidden, (last, bias) = zip(weights, biases, strict=True)
    for w, b in hidden:
        x = silu(_affine(w, b, x))
    return _affine(last, bias, x)


def _affine(w: Array, b: Array, x: Array) -> Array:
    # not w @ x, which would move the batch to the front
    product = jnp.dot(w, x)
    return product + broadcast_like(b, product)
