"""A normal with a share of draws far out: under it the importance weights of heavy tails are bounded."""

from types import ModuleType

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray
from scipy.special import gammaln

from flowvi.flows.distribution import Distribution

_SHARES = (0.5, 0.25, 0.25)
"""Of the normal, of draws with one coordinate far out, and of draws with all of them."""

_CAUCHY_SCALE = 2.0
_T_DF = 3.0


class DefensiveNormal(Distribution):
    """The defensive mixture around the standard normal on R^dim.

        q0 = 1/2 N(0, I) + 1/4 (1/dim) sum_i Cauchy(x_i; 2) prod_(j != i) N(x_j; 0, 1) + 1/4 t_3(x; 0, I)

    Heavy tails of a target lie along few coordinates or along all: the second and third parts reach them, so
    that the weights of what a normal would miss are bounded. Where the normal was right already they are at
    most 2. Nothing is trained; draws are not differentiable. Shapes: x (dim,).

    Source: Hesterberg 1995, Technometrics 37(2), section 3.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from flowvi.flows import DefensiveNormal
        >>> with jax.enable_x64(True):
        ...     print(DefensiveNormal(1).log_prob(jnp.array([9.0])).round(2))
        -6.22
    """

    dim: int = eqx.field(static=True)

    def sample(self, key: PRNGKeyArray) -> Float[Array, " dim"]:
        which, one, normal, cauchy, gamma = jax.random.split(key, 5)
        x = jax.random.normal(normal, (self.dim,))
        far = x.at[jax.random.randint(one, (), 0, self.dim)].set(
            _CAUCHY_SCALE * jax.random.cauchy(cauchy, dtype=x.dtype)
        )
        wide = x * jnp.sqrt(_T_DF / 2 / jax.random.gamma(gamma, _T_DF / 2, dtype=x.dtype))
        part = jax.random.choice(which, 3, p=jnp.array(_SHARES))
        return jnp.stack([x, far, wide])[part]

    def log_prob(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        return jnp.asarray(defensive_log_prob(x, jnp))


def defensive_log_prob(
    x: Float[Array | np.ndarray, "*batch dim"], numpy: ModuleType
) -> Float[Array | np.ndarray, "*batch"]:
    """log q0 of a `DefensiveNormal` by NumPy or by jax.numpy."""
    dim = x.shape[-1]
    square = (x**2).sum(-1)
    normal = -0.5 * square - dim / 2 * np.log(2 * np.pi)
    # the others' squares by a product: taking one from the sum of all would cancel where it is large
    others = x**2 @ (1 - np.eye(dim))
    each = -numpy.log1p((x / _CAUCHY_SCALE) ** 2) - 0.5 * others
    top = each.max(-1)
    far = top + numpy.log(numpy.exp(each - top[..., None]).mean(-1))
    far = far - np.log(_CAUCHY_SCALE * np.pi) - (dim - 1) / 2 * np.log(2 * np.pi)
    log_norm = gammaln((_T_DF + dim) / 2) - gammaln(_T_DF / 2) - dim / 2 * np.log(_T_DF * np.pi)
    wide = log_norm - (_T_DF + dim) / 2 * numpy.log1p(square / _T_DF)
    parts = [part + np.log(share) for part, share in zip((normal, far, wide), _SHARES, strict=True)]
    return numpy.logaddexp(numpy.logaddexp(parts[0], parts[1]), parts[2])


def defensive_draws(rng: np.random.Generator, n: int, dim: int) -> Float[np.ndarray, "n dim"]:
    """n draws of a `DefensiveNormal`, on the host."""
    x = rng.standard_normal((n, dim))
    part = rng.choice(3, n, p=_SHARES)
    far, wide = np.flatnonzero(part == 1), np.flatnonzero(part == 2)
    x[far, rng.integers(dim, size=len(far))] = _CAUCHY_SCALE * rng.standard_cauchy(len(far))
    x[wide] /= np.sqrt(rng.chisquare(_T_DF, (len(wide), 1)) / _T_DF)
    return x
