"""The inference network: where the posterior of a row begins, and what its flow is conditioned on."""

from __future__ import annotations

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray

from flowvi.bijections.host_random import host_generator
from flowvi.bijections.log_scale import log_scale_of
from flowvi.bijections.mlp import MLP
from flowvi.vae.network import random_mlp


class Encoder(eqx.Module):
    """Mean, log scale and features of a row.

        h = silu(network(x)),    (mu, log sigma) = W h + b,    W = b = 0 at the start

    Shapes: x (inputs,); mu and log sigma (latent,); h (width,). At the start the posterior is the standard
    normal.

    Source: R&M, section 4.2.

    Example:
        >>> import jax.numpy as jnp
        >>> mean, _, features = Encoder(3, 2, key=0, width=8, depth=2)(jnp.ones(3))
        >>> mean.tolist(), features.shape
        ([0.0, 0.0], (8,))
    """

    network: MLP
    head: MLP

    def __init__(self, inputs: int, latent: int, *, key: PRNGKeyArray | int, width: int, depth: int):
        seed = int(host_generator(key).integers(2**63))
        self.network = random_mlp(inputs, width, key=seed, width=width, depth=depth - 1)
        self.head = MLP(width, 2 * latent, key=seed, depth=0)

    def __call__(
        self, x: Float[Array, " inputs"]
    ) -> tuple[Float[Array, " latent"], Float[Array, " latent"], Float[Array, " width"]]:
        features = jax.nn.silu(self.network(x))
        mean, raw_scale = self.head(features).reshape(2, -1)
        return mean, log_scale_of(raw_scale), features
