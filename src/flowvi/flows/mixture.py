"""Mixtures of Gaussians, for targets with several modes."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from flowvi.bijections.log_scale import log_scale_of, parameter_of
from flowvi.errors import FlowError
from flowvi.flows.distribution import Distribution


class GaussianMixture(Distribution):
    """A mixture of K Gaussians with diagonal covariances; weights, locations and scales are trainable.

        log q0(x) = log sum_k w_k prod_i N(x_i; m_ki, s_ki^2)

    The trained leaves are the locations, log s (softly clamped to (-60, 60)) and logits whose softmax is w. A
    draw picks a component, then is differentiable in that component's location and scale but *not* in the
    weights, whose pathwise gradient is zero: train them on `log_prob` or by a sum over components.
    Shapes: x (dim,); weights (K,); locations, scales (K, dim).

    Raises:
        FlowError: shapes do not agree, or weights or scales are not positive.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from flowvi.flows import GaussianMixture
        >>> mixture = GaussianMixture([0.5, 0.5], [[-4.0], [4.0]], [[1.0], [1.0]])
        >>> with jax.enable_x64(True):
        ...     print(mixture.log_prob(jnp.array([4.0])).round(4))
        -1.6121
    """

    logits: Float[Array, " components"]
    locations: Float[Array, "components dim"]
    log_scales: Float[Array, "components dim"]
    dim: int = eqx.field(static=True)

    def __init__(
        self,
        weights: Float[Array | np.ndarray, " components"] | list,
        locations: Float[Array | np.ndarray, "components dim"] | list,
        scales: Float[Array | np.ndarray, "components dim"] | list,
    ):
        weights, locations, scales = (np.asarray(a, np.float64) for a in (weights, locations, scales))
        if locations.ndim != 2 or locations.shape != scales.shape or weights.shape != locations.shape[:1]:
            raise FlowError(
                f"GaussianMixture: weights {weights.shape}, locations {locations.shape} and scales "
                f"{scales.shape} do not agree. Give shapes (K,), (K, dim) and (K, dim)."
            )
        if not np.all((weights > 0) & np.isfinite(weights)):
            raise FlowError(f"GaussianMixture: weights {weights.tolist()} are not all positive numbers.")
        with jax.enable_x64(True):
            self.logits = jnp.asarray(np.log(weights))
            self.locations = jnp.asarray(locations)
            self.log_scales = parameter_of(scales)
        self.dim = locations.shape[1]

    def sample(self, key: PRNGKeyArray) -> Float[Array, " dim"]:
        component_key, normal_key = jax.random.split(key)
        k = jax.random.categorical(component_key, self.logits)
        normal = jax.random.normal(normal_key, (self.dim,))
        return self.locations[k] + jnp.exp(log_scale_of(self.log_scales[k])) * normal

    def log_prob(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        log_scales = log_scale_of(self.log_scales)
        standard = (x - self.locations) * jnp.exp(-log_scales)
        per_coordinate = -0.5 * standard**2 - log_scales - 0.5 * np.log(2 * np.pi)
        return jax.nn.logsumexp(jax.nn.log_softmax(self.logits) + jnp.sum(per_coordinate, axis=1))
