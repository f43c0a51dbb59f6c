"""Student's t, whose tails can be trained."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln
from jaxtyping import Array, Float, PRNGKeyArray

from flowvi.errors import FlowError
from flowvi.flows.distribution import Distribution

# as good as normal, and far from where the gradient of the gamma sampler no longer ends (1e100)
_LARGEST_DF = 1e6


class StudentT(Distribution):
    """Independent Student's t coordinates with trainable degrees of freedom, for heavy tails.

        log q0(x) = sum_i log G((nu_i + 1)/2) - log G(nu_i/2) - 1/2 log(pi nu_i)
                          - (nu_i + 1)/2 log(1 + x_i^2 / nu_i)

    The trained leaf is softplus^-1(nu - 1), so that tails are at most as heavy as Cauchy's; nu stops at 1e6.
    Draws are differentiable in nu (implicit gradients of the gamma variable). Shapes: x, df (dim,).

    Raises:
        FlowError: degrees of freedom not above 1 and below 1e6, or not one per coordinate.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from flowvi.flows import StudentT
        >>> with jax.enable_x64(True):
        ...     print(StudentT(2, 5.0).log_prob(jnp.zeros(2)).round(4))
        -1.9372
    """

    raw_df: Float[Array, " dim"]
    dim: int = eqx.field(static=True)

    def __init__(self, dim: int, df: float | Float[Array | np.ndarray, " dim"] = 8.0):
        if np.shape(df) not in ((), (dim,)) or not np.all(np.greater(df, 1) & np.less(df, _LARGEST_DF)):
            raise FlowError(
                f"StudentT: degrees of freedom {df} were given for {dim} coordinates. Give a number above 1 "
                "and below 1e6, or one per coordinate."
            )
        excess = np.broadcast_to(np.asarray(df, np.float64), (dim,)) - 1
        with jax.enable_x64(True):
            # softplus^-1 without overflow for large values
            self.raw_df = jnp.asarray(excess + np.log(-np.expm1(-excess)))
        self.dim = dim

    @property
    def df(self) -> Float[Array, " dim"]:
        """The degrees of freedom nu."""
        return 1 + jnp.minimum(jax.nn.softplus(self.raw_df), _LARGEST_DF)

    def sample(self, key: PRNGKeyArray) -> Float[Array, " dim"]:
        return jax.random.t(key, self.df, (self.dim,), dtype=float)

    def log_prob(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        df = self.df
        at_zero = _log_gamma_step(df / 2) - 0.5 * jnp.log(np.pi * df)
        return jnp.sum(at_zero - (df + 1) / 2 * jnp.log1p(x**2 / df))


def _log_gamma_step(a: Float[Array, " dim"]) -> Float[Array, " dim"]:
    """log G(a + 1/2) - log G(a), whose terms grow like a log a and would cancel.

    `jax.scipy.special.betaln`, made for this, is off by 5e-8 at a = 15.
    """
    series = 0.5 * jnp.log(a) - 1 / (8 * a) + 1 / (192 * a**3) - 1 / (640 * a**5)
    small = jnp.minimum(a, 50)
    return jnp.where(a < 50, gammaln(small + 0.5) - gammaln(small), series)
