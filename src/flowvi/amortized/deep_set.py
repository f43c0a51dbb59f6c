"""A summary of exchangeable data of any size."""

from typing import final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from flowvi.amortized.layers import Dense, element_count, elements, masked_mean
from flowvi.amortized.summary import Summary


@final
class DeepSet(Summary):
    """A network of every element, the mean over elements, and a network of that and of their number.

        s(x) = rho([mean_i phi(x_i), log n])

    Unchanged where elements trade places, and by padding. The mean and the number make every function of sums
    over elements, such as the sufficient statistics of exponential families. Cost: n evaluations of phi.

    Shapes: x (n, *features), mask (n,), s (size,).

    Source: Zaheer et al. 2017 (arXiv 1703.06114), theorem 2.

    Example:
        >>> network = DeepSet(2, 4, seed=0)
        >>> x = jnp.array([[1.0, 2.0], [3.0, 4.0]])
        >>> bool(jnp.allclose(network(x), network(x[::-1]), atol=1e-6))
        True
    """

    phi: tuple[Dense, ...]
    rho: tuple[Dense, ...]
    size: int = eqx.field(static=True)

    def __init__(self, features: int, size: int, *, seed: int, width: int = 64):
        rng = np.random.default_rng(seed)
        self.phi = (
            Dense(features, width, rng),
            Dense(width, width, rng),
            Dense(width, width, rng, linear=True),
        )
        self.rho = (Dense(width + 1, width, rng), Dense(width, size, rng, linear=True))
        self.size = size

    def __call__(
        self, x: Float[Array, "..."], mask: Bool[Array, " length"] | None = None
    ) -> Float[Array, " size"]:
        h = elements(x)
        for layer in self.phi:
            h = layer(h)
        count = jnp.asarray(float(len(x)), h.dtype) if mask is None else element_count(mask)
        s = jnp.append(masked_mean(h, mask), jnp.log(count).astype(h.dtype))
        for layer in self.rho:
            s = layer(s)
        return s
