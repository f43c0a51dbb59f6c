"""The table of all bijections that the tests run through: a new one costs one line."""

import equinox as eqx
import jax
import jax.numpy as jnp

from flowvi.bijections import (
    MLP,
    AffineTransformer,
    Chain,
    Coupling,
    Identity,
    Invert,
    LocationScale,
    LowRankAffine,
    MaskedAutoregressive,
    MaskedMLP,
    Permutation,
    RationalQuadraticSpline,
    Scan,
    SupportTree,
    TriangularAffine,
    alternating_mask,
    support,
)

AFFINE = AffineTransformer(2.0)
SPLINE = RationalQuadraticSpline(bins=4, bound=4.0)
CONDITION_DIM = 3


def coupling(key, dim, transformer=AFFINE, layer=0, condition_dim=None):
    into = dim + (condition_dim or 0)
    conditioner = MLP(into, dim * transformer.parameters_per_dim, key=key, width=8)
    return Coupling(alternating_mask(dim, layer), conditioner, transformer, condition_dim)


def autoregressive(key, dim, transformer=AFFINE, condition_dim=None):
    conditioner = MaskedMLP(
        dim, transformer.parameters_per_dim, key=key, condition_dim=condition_dim, width=8
    )
    return MaskedAutoregressive(conditioner, transformer, dim, condition_dim)


def couplings(key, dim, condition_dim=None):
    def make(key, layer):
        return coupling(key, dim, AFFINE, layer, condition_dim)

    return Scan(eqx.filter_vmap(make)(jax.random.split(key, 4), jnp.arange(4)))


def affine(key, dim):
    return TriangularAffine(jnp.ones(dim), jnp.eye(dim) + jnp.tril(jax.random.normal(key, (dim, dim)), -1))


def low_rank(key, dim):
    return LowRankAffine(jnp.zeros(dim), jnp.full(dim, 2.0), jax.random.normal(key, (dim, 2)))


def permutation(key, dim):
    return Permutation(jnp.roll(jnp.arange(dim), 1))


def flipped(key, dim):
    return Chain([autoregressive(key, dim), Permutation(jnp.arange(dim)[::-1])])


def single_precision(tree):
    return jax.tree.map(lambda a: a.astype(jnp.float32) if eqx.is_inexact_array(a) else a, tree)


FLOWS = {
    "identity": lambda key, dim: Identity((dim,)),
    "permutation": permutation,
    "location_scale": lambda key, dim: LocationScale(jnp.ones(dim), jnp.full(dim, 3.0)),
    "triangular": affine,
    "low_rank": low_rank,
    "low_rank_of_covariance": lambda key, dim: LowRankAffine.from_covariance(
        jnp.zeros(dim), jnp.full(dim, 2.0), jax.random.normal(key, (dim, 1))
    ),
    "inverse": lambda key, dim: Invert(affine(key, dim)),
    "chain": lambda key, dim: Chain([affine(key, dim), permutation(key, dim), coupling(key, dim)]),
    "coupling": coupling,
    "coupling_odd": lambda key, dim: coupling(key, dim, layer=1),
    "coupling_conditional": lambda key, dim: coupling(key, dim, condition_dim=CONDITION_DIM),
    "coupling_spline": lambda key, dim: coupling(key, dim, SPLINE),
    "coupling_network_in_float32": lambda key, dim: single_precision(coupling(key, dim)),
    "scan": couplings,
    "scan_conditional": lambda key, dim: couplings(key, dim, condition_dim=CONDITION_DIM),
    "scan_stacked": lambda key, dim: Scan.stack([flipped(k, dim) for k in jax.random.split(key)]),
    "iaf": autoregressive,
    "iaf_conditional": lambda key, dim: autoregressive(key, dim, condition_dim=CONDITION_DIM),
    "iaf_spline": lambda key, dim: autoregressive(key, dim, SPLINE),
    "maf": lambda key, dim: Invert(autoregressive(key, dim)),
}
"""Name -> constructor of a bijection of R^dim."""

SUPPORTS = {
    "real": lambda key, dim: support("real", (dim,)),
    "positive": lambda key, dim: support("positive", (dim,)),
    "unit_interval": lambda key, dim: support("unit_interval", (dim,)),
    "lower_bounded": lambda key, dim: support(("interval", -1.5, None), (dim,)),
    "upper_bounded": lambda key, dim: support(("interval", -jnp.inf, 2.5), (dim,)),
    "interval": lambda key, dim: support(("interval", -1.5, 2.5), (dim,)),
    "interval_below_zero": lambda key, dim: support(("interval", -2.0, 0.0), (1, dim)),
    "interval_of_arrays": lambda key, dim: support(("interval", -jnp.arange(1, dim + 1), 3), (dim,)),
    "simplex": lambda key, dim: support("simplex", (dim + 1,)),
    "simplexes": lambda key, dim: support("simplex", (2, 1, dim + 1)),
    "ordered": lambda key, dim: support("ordered", (2, dim)),
    "positive_ordered": lambda key, dim: support("positive_ordered", (dim,)),
    "cholesky_corr": lambda key, dim: support("cholesky_corr", (dim + 1, dim + 1)),
    "cholesky_corrs": lambda key, dim: support("cholesky_corr", (2, 3, 3)),
    "cholesky_cov": lambda key, dim: support("cholesky_cov", (dim, dim)),
    "tree": lambda key, dim: SupportTree(
        {"p": support("simplex", (3,)), "more": [support("positive", ()), support("real", (dim,))]}
    ),
}
"""Name -> constructor of a support whose parameter has a size of about dim."""

IDENTITY_AT_START = [name for name in FLOWS if name.startswith(("coupling", "iaf", "maf"))] + [
    "scan",
    "scan_conditional",
]
