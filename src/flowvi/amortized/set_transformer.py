"""A summary of exchangeable data whose elements are compared with each other."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from flowvi.amortized.layers import Dense, element_count, elements
from flowvi.amortized.summary import Summary
from flowvi.bijections.leaf import leaf

_PADDING = -1e9


@final
class Attention(eqx.Module):
    """Queries that look at elements, several heads at a time, then a network of each; both beside a shortcut.

        h = q + W concat_j softmax(Q_j K_j^T / sqrt(d)) V_j,    output = h + network(h)

    each of q, the elements and h brought to mean zero and variance one first, row by row.
    """

    query: Dense
    key: Dense
    value: Dense
    out: Dense
    hidden: Dense
    last: Dense
    heads: int = eqx.field(static=True)

    def __init__(self, width: int, heads: int, rng: np.random.Generator):
        self.query, self.key, self.value, self.out = (Dense(width, width, rng, linear=True) for _ in range(4))
        self.hidden, self.last = Dense(width, 2 * width, rng), Dense(2 * width, width, rng, linear=True)
        self.heads = heads

    def __call__(
        self,
        q: Float[Array, "queries width"],
        x: Float[Array, "length width"],
        mask: Bool[Array, " length"] | None,
    ) -> Float[Array, "queries width"]:
        own, seen = _standard(q), _standard(x)
        query, key, value = (
            a.reshape(len(a), self.heads, -1) for a in (self.query(own), self.key(seen), self.value(seen))
        )
        score = jnp.einsum("qhd,khd->hqk", query, key) / query.shape[-1] ** 0.5
        if mask is not None:
            score = jnp.where(mask, score, _PADDING)
        looked = jnp.einsum("hqk,khd->qhd", jax.nn.softmax(score, axis=-1), value)
        h = q + self.out(looked.reshape(q.shape))
        return h + self.last(self.hidden(_standard(h)))


@final
class SetTransformer(Summary):
    """Elements that attend to each other, pooled by learned queries that attend to them.

        s(x) = W [pool(block(block(embed(x)))), log n]

    Unchanged where elements trade places, and by padding. Tells what a deep set needs width for: relations
    between elements. Cost: n^2 for n elements.

    Shapes: x (n, *features), mask (n,), s (size,).

    Source: Lee et al. 2019 (arXiv 1810.00825), section 3.

    Example:
        >>> network = SetTransformer(2, 4, seed=0)
        >>> x = jnp.array([[1.0, 2.0], [3.0, 4.0]])
        >>> bool(jnp.allclose(network(x), network(x[::-1]), atol=1e-5))
        True
    """

    embed: Dense
    blocks: tuple[Attention, ...]
    pool: Attention
    seeds: Float[Array, "seeds width"]
    last: Dense
    size: int = eqx.field(static=True)

    def __init__(self, features: int, size: int, *, seed: int, width: int = 32, heads: int = 4):
        rng = np.random.default_rng(seed)
        self.embed = Dense(features, width, rng, linear=True)
        self.blocks = tuple(Attention(width, heads, rng) for _ in range(2))
        self.pool = Attention(width, heads, rng)
        self.seeds = leaf(rng.standard_normal((2, width)).astype(np.float32))
        self.last = Dense(2 * width + 1, size, rng, linear=True)
        self.size = size

    def __call__(
        self, x: Float[Array, "..."], mask: Bool[Array, " length"] | None = None
    ) -> Float[Array, " size"]:
        h = self.embed(elements(x))
        for block in self.blocks:
            h = block(h, h, mask)
        pooled = self.pool(self.seeds, h, mask).ravel()
        count = jnp.asarray(float(len(x)), h.dtype) if mask is None else element_count(mask)
        return self.last(jnp.append(pooled, jnp.log(count).astype(h.dtype)))


def _standard(x: Float[Array, "rows width"]) -> Float[Array, "rows width"]:
    centred = x - jnp.mean(x, axis=-1, keepdims=True)
    return centred * jax.lax.rsqrt(jnp.mean(centred**2, axis=-1, keepdims=True) + 1e-6)
