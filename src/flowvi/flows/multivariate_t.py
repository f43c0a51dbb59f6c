"""The multivariate Student's t: a normal whose scale is random, heavy in every direction at once."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln
from jaxtyping import Array, Float, PRNGKeyArray

from flowvi.errors import FlowError
from flowvi.flows.distribution import Distribution


class MultivariateT(Distribution):
    """The spherical Student's t on R^dim with trainable degrees of freedom nu.

        x = e sqrt(nu / g),  e ~ N(0, I),  g ~ chi^2_nu
        log q0(x) = log Gamma((nu + dim)/2) - log Gamma(nu/2) - dim/2 log(nu pi) - (nu + dim)/2 log(1 +
        |x|^2 / nu)

    Importance weights of a target with Gaussian or t-like tails are bounded under it. The trained leaf is
    softplus^-1(nu - 1); draws are differentiable in nu. Shapes: x (dim,).

    Raises:
        FlowError: degrees of freedom not above 1.

    Source: Kotz & Nadarajah 2004, Multivariate t Distributions, equation 1.1.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.flows import MultivariateT
        >>> import jax
        >>> with jax.enable_x64(True):
        ...     MultivariateT(2, 5.0).log_prob(jnp.zeros(2)).round(4).item()
        -1.8379
    """

    raw_df: Float[Array, ""]
    dim: int = eqx.field(static=True)

    def __init__(self, dim: int, df: float = 12.0):
        if not df > 1:
            raise FlowError(f"MultivariateT: {df} degrees of freedom were given. Give a number above 1.")
        with jax.enable_x64(True):
            # softplus^-1 without overflow for large values
            self.raw_df = jnp.asarray(df - 1 + np.log(-np.expm1(1 - df)))
        self.dim = dim

    @property
    def df(self) -> Float[Array, ""]:
        """The degrees of freedom nu."""
        return 1 + jax.nn.softplus(self.raw_df)

    def sample(self, key: PRNGKeyArray) -> Float[Array, " dim"]:
        normal_key, gamma_key = jax.random.split(key)
        half_df = self.df / 2
        g = jax.random.gamma(gamma_key, half_df, dtype=float)
        return jax.random.normal(normal_key, (self.dim,)) * jnp.sqrt(half_df / g)

    def log_prob(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        df, dim = self.df, self.dim
        log_norm = gammaln((df + dim) / 2) - gammaln(df / 2) - dim / 2 * jnp.log(df * np.pi)
        return log_norm - (df + dim) / 2 * jnp.log1p(jnp.sum(x**2) / df)
