"""What the coupling flows have in common."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, PRNGKeyArray

from flowvi.bijections import MLP, Chain, Coupling, LocationScale, Scan, Transformer, alternating_mask
from flowvi.flows.arguments import compile_quickly


@compile_quickly(static=("dim", "layers", "width", "depth", "condition_dim"))
def couplings(
    key: PRNGKeyArray,
    transformer: Transformer,
    dim: int,
    layers: int,
    width: int,
    depth: int,
    condition_dim: int | None,
) -> Chain:
    """Scanned couplings with alternating masks, then a location and scale: the identity at the start."""

    def coupling(key: PRNGKeyArray, mask: Bool[Array, " dim"]) -> Coupling:
        outputs = dim * transformer.parameters_per_dim
        conditioner = MLP(dim + (condition_dim or 0), outputs, key=key, width=width, depth=depth)
        return Coupling(mask, conditioner, transformer, condition_dim)

    masks = jnp.stack([alternating_mask(dim, layer) for layer in range(layers)])
    stacked = jax.vmap(coupling)(jax.random.split(key, layers), masks)
    return Chain([Scan(stacked), LocationScale(jnp.zeros(dim), jnp.ones(dim))])
