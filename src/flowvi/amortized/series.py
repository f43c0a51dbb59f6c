"""A summary of data in time."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from flowvi.amortized.layers import Dense, elements
from flowvi.amortized.summary import Summary

_NEIGHBOURS = 5


@final
class Series(Summary):
    """A gated recurrent unit that reads the series from its beginning; its last state, through a layer.

        r, u = sigmoid(W [c_t, h]),    n = tanh(V [c_t, r h]),    h <- (1 - u) n + u h,    s = A h_T

    where c_t is a convolution of five neighbours in time. Padding after the end changes nothing. Cost: T
    steps one after the other, as one loop that compiles once.

    Shapes: x (T, *channels), mask (T,), s (size,).

    Source: Cho et al. 2014 (arXiv 1406.1078), section 2.3; behind a convolution as in Radev et al. 2020
    (arXiv 2003.06281), section 4.

    Example:
        >>> Series(1, 4, seed=0)(jnp.ones(10)).shape
        (4,)
    """

    convolution: Dense
    gates: Dense
    candidate: Dense
    last: Dense
    size: int = eqx.field(static=True)

    def __init__(self, channels: int, size: int, *, seed: int, width: int = 32):
        rng = np.random.default_rng(seed)
        self.convolution = Dense(_NEIGHBOURS * channels, width, rng)
        self.gates = Dense(2 * width, 2 * width, rng, linear=True)
        self.candidate = Dense(2 * width, width, rng, linear=True)
        self.last = Dense(width, size, rng, linear=True)
        self.size = size

    def __call__(
        self, x: Float[Array, "..."], mask: Bool[Array, " length"] | None = None
    ) -> Float[Array, " size"]:
        x = elements(x)
        if mask is not None:
            x = jnp.where(mask[:, None], x, 0)
        half = _NEIGHBOURS // 2
        padded = jnp.pad(x, [(half, half), (0, 0)])
        near = jnp.concatenate([padded[i : i + len(x)] for i in range(_NEIGHBOURS)], axis=1)
        seen = self.convolution(near)
        inside = jnp.ones(len(x), bool) if mask is None else mask

        def step(h: Array, of_time: tuple[Array, Array]) -> tuple[Array, None]:
            c, inside = of_time
            reset, update = jnp.split(jax.nn.sigmoid(self.gates(jnp.concatenate([c, h]))), 2)
            new = jnp.tanh(self.candidate(jnp.concatenate([c, reset * h])))
            return jnp.where(inside, (1 - update) * new + update * h, h), None

        h, _ = jax.lax.scan(step, jnp.zeros(seen.shape[1], seen.dtype), (seen, inside))
        return self.last(h)
