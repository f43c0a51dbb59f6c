"""Affine coupling flows: cheap in both directions, the default for variational inference."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, PRNGKeyArray

from flowvi.bijections import (
    MLP,
    AffineTransformer,
    Bijection,
    Chain,
    Coupling,
    LocationScale,
    Scan,
    alternating_mask,
)
from flowvi.flows.arguments import as_key, check_positive, compile_quickly
from flowvi.flows.distribution import Distribution
from flowvi.flows.flow import Flow
from flowvi.flows.normal import Normal
from flowvi.precision import double_precision


@double_precision
def real_nvp(
    dim: int,
    *,
    key: PRNGKeyArray | int,
    layers: int = 8,
    width: int = 32,
    depth: int = 2,
    clamp: float = 2.0,
    condition_dim: int | None = None,
    base: Distribution | None = None,
) -> Flow:
    """Affine couplings with alternating masks, then a trainable location and scale.

        y_i = t_i + exp(c tanh(s_i / c)) x_i for every second i, (t, s) = MLP(the other x, condition)

    Starts as the identity on the base (the standard normal, unless given). A coordinate is scaled in half of
    the layers, so with clamp c its log scale stays within layers * c / 2 of that of the last layer. With
    dim = 1 there is nothing to condition on, and the flow is an affine map of the base.

    Shapes: points (dim,); condition (condition_dim,).

    Raises:
        FlowError: a size is not a positive integer, or the base has another dim.

    Source: Dinh et al. 2016 (arXiv 1605.08803), section 3.

    Example:
        >>> import flowvi
        >>> flow = flowvi.flows.real_nvp(3, key=0)
        >>> flow.log_prob(flow.sample(1, (100,))).shape
        (100,)
    """
    check_positive(dim=dim, layers=layers, width=width, depth=depth)
    bijection = _bijection(as_key(key), dim, layers, width, depth, clamp, condition_dim)
    return Flow(base or Normal(dim), bijection)


@compile_quickly(static=("dim", "layers", "width", "depth", "clamp", "condition_dim"))
def _bijection(
    key: PRNGKeyArray,
    dim: int,
    layers: int,
    width: int,
    depth: int,
    clamp: float,
    condition_dim: int | None,
) -> Bijection:
    def coupling(key: PRNGKeyArray, mask: Bool[Array, " dim"]) -> Coupling:
        # the type checker takes the abstract attribute of the base class for a field
        transformer = AffineTransformer(clamp=clamp)  # pyright: ignore[reportCallIssue]
        outputs = dim * transformer.parameters_per_dim
        conditioner = MLP(dim + (condition_dim or 0), outputs, key=key, width=width, depth=depth)
        return Coupling(mask, conditioner, transformer, condition_dim)

    masks = jnp.stack([alternating_mask(dim, layer) for layer in range(layers)])
    couplings = jax.vmap(coupling)(jax.random.split(key, layers), masks)
    return Chain([Scan(couplings), LocationScale(jnp.zeros(dim), jnp.ones(dim))])
