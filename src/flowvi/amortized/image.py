"""A summary of images."""

from typing import final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from flowvi.amortized.layers import Dense
from flowvi.amortized.summary import Summary

_SMALLEST = 4
"""Height or width down to which an image is halved."""


@final
class Image(Summary):
    """3 x 3 convolutions that halve height and width until one is four, then a layer of all that is left.

        h_0 = x,    h_l = silu(W_l * h_{l-1}), every second pixel,    s = A silu(B h_L)

    Shapes: x (height, width) or (height, width, channels), s (size,).

    Example:
        >>> Image((16, 16), 4, seed=0)(jnp.ones((16, 16))).shape
        (4,)
    """

    convolutions: tuple[Dense, ...]
    hidden: Dense
    last: Dense
    size: int = eqx.field(static=True)

    def __init__(self, shape: tuple[int, ...], size: int, *, seed: int, width: int = 16):
        rng = np.random.default_rng(seed)
        height, breadth, channels = (*shape, 1)[:3]
        convolutions, filters = [], width
        while min(height, breadth) > _SMALLEST:
            convolutions.append(Dense(9 * channels, filters, rng))
            height, breadth, channels = -(-height // 2), -(-breadth // 2), filters
            filters = min(2 * filters, 4 * width)
        self.convolutions = tuple(convolutions)
        self.hidden = Dense(height * breadth * channels, 4 * width, rng)
        self.last = Dense(4 * width, size, rng, linear=True)
        self.size = size

    def __call__(
        self, x: Float[Array, "..."], mask: Bool[Array, " length"] | None = None
    ) -> Float[Array, " size"]:
        h = x.reshape(*x.shape[:2], -1)
        for layer in self.convolutions:
            h = layer(_neighbours(h))
        return self.last(self.hidden(h.ravel()))


def _neighbours(x: Float[Array, "height width channels"]) -> Float[Array, "rows columns patch"]:
    """Each second pixel's 3 x 3 neighbourhood, as one vector: a convolution is a product with it."""
    padded = jnp.pad(x, [(1, 1), (1, 1), (0, 0)])
    shifted = [padded[i : i + x.shape[0] : 2, j : j + x.shape[1] : 2] for i in range(3) for j in range(3)]
    return jnp.concatenate(shifted, axis=-1)
