"""The table of all bijections that the tests run through: a new one costs one line."""

import equinox as eqx
import flowjax.bijections
import jax
import jax.numpy as jnp
import numpy as np

from flowvi import flows
from flowvi.bijections import (
    MLP,
    AdditiveTransformer,
    AffineTransformer,
    Amortized,
    BlockAutoregressive,
    Chain,
    CircularSpline,
    Conditioned,
    Continuous,
    Coupling,
    FromFlowJAX,
    Householder,
    Identity,
    Invert,
    LocationScale,
    LowRankAffine,
    LULinear,
    MaskedAutoregressive,
    MaskedMLP,
    MonotonicNetwork,
    PeriodicMLP,
    Permutation,
    Planar,
    Radial,
    RationalQuadraticSpline,
    Residual,
    Scan,
    SupportTree,
    Sylvester,
    TriangularAffine,
    Wrap,
    support,
)

AFFINE = AffineTransformer(2.0)
SPLINE = RationalQuadraticSpline(bins=4, bound=4.0)
CONDITION_DIM = 3


def normal(seed, shape):
    return np.random.default_rng(seed).normal(size=shape)


def coupling(seed, dim, transformer=AFFINE, condition_dim=None):
    moved = (dim + 1) // 2
    into, out = dim - moved + (condition_dim or 0), moved * transformer.parameters_per_dim
    conditioner = MLP(into, out, key=jax.random.key(seed), width=8)
    return Coupling(dim, moved, conditioner, transformer, condition_dim)


def circular(seed, dim, condition_dim=None):
    transformer = CircularSpline(bins=3)
    moved = (dim + 1) // 2
    out = moved * transformer.parameters_per_dim
    conditioner = PeriodicMLP(dim - moved, out, key=seed, condition_dim=condition_dim, width=8)
    return Coupling(dim, moved, conditioner, transformer, condition_dim)


def autoregressive(seed, dim, transformer=AFFINE, condition_dim=None):
    conditioner = MaskedMLP(
        dim, transformer.parameters_per_dim, key=jax.random.key(seed), condition_dim=condition_dim, width=8
    )
    return MaskedAutoregressive(conditioner, transformer, dim, condition_dim)


def couplings(seed, dim, condition_dim=None):
    swap = Permutation(np.roll(np.arange(dim), 1))
    return Scan.stack([Chain([swap, coupling(seed + k, dim, AFFINE, condition_dim)]) for k in range(4)])


def affine(seed, dim):
    return TriangularAffine(np.ones(dim), np.eye(dim) + np.tril(normal(seed, (dim, dim)), -1))


def amortized(bijection):
    return Amortized(bijection, CONDITION_DIM, key=0, width=8)


def low_rank(seed, dim):
    return LowRankAffine(np.zeros(dim), np.full(dim, 2.0), normal(seed, (dim, 2)))


def permutation(seed, dim):
    return Permutation(np.roll(np.arange(dim), 1))


def step_of_glow(seed, dim):
    actnorm = LocationScale(np.ones(dim), np.full(dim, 2.0))
    return Chain([actnorm, LULinear.rotation(dim, key=seed), coupling(seed, dim)])


def flipped(seed, dim):
    return Chain([autoregressive(seed, dim), Permutation(np.arange(dim)[::-1])])


def single_precision(tree):
    return jax.tree.map(lambda a: a.astype(np.float32) if eqx.is_inexact_array(a) else a, tree)


FLOWS = {
    "identity": lambda seed, dim: Identity((dim,)),
    "permutation": permutation,
    "location_scale": lambda seed, dim: LocationScale(np.ones(dim), np.full(dim, 3.0)),
    "triangular": affine,
    "low_rank": low_rank,
    "low_rank_of_covariance": lambda seed, dim: LowRankAffine.from_covariance(
        np.zeros(dim), np.full(dim, 2.0), normal(seed, (dim, 1))
    ),
    "inverse": lambda seed, dim: Invert(affine(seed, dim)),
    "chain": lambda seed, dim: Chain([affine(seed, dim), permutation(seed, dim), coupling(seed, dim)]),
    "coupling": coupling,
    "coupling_conditional": lambda seed, dim: coupling(seed, dim, condition_dim=CONDITION_DIM),
    "coupling_spline": lambda seed, dim: coupling(seed, dim, SPLINE),
    "coupling_network_in_float32": lambda seed, dim: single_precision(coupling(seed, dim)),
    "scan": couplings,
    "scan_conditional": lambda seed, dim: couplings(seed, dim, condition_dim=CONDITION_DIM),
    "scan_stacked": lambda seed, dim: Scan.stack([flipped(seed + k, dim) for k in range(2)]),
    "iaf": autoregressive,
    "iaf_conditional": lambda seed, dim: autoregressive(seed, dim, condition_dim=CONDITION_DIM),
    "iaf_spline": lambda seed, dim: autoregressive(seed, dim, SPLINE),
    "maf": lambda seed, dim: Invert(autoregressive(seed, dim)),
    "nice": lambda seed, dim: coupling(seed, dim, AdditiveTransformer()),
    "planar": lambda seed, dim: Planar(dim, key=seed),
    "planar_softplus": lambda seed, dim: Planar(dim, key=seed, nonlinearity="softplus"),
    "planar_sin": lambda seed, dim: Planar(dim, key=seed, nonlinearity="sin"),
    "planar_conditional": lambda seed, dim: amortized(Planar(dim, key=seed)),
    "radial": lambda seed, dim: Radial(dim, key=seed),
    "radial_conditional": lambda seed, dim: amortized(Radial(dim, key=seed)),
    "sylvester": lambda seed, dim: Sylvester(dim, dim, key=seed),
    "sylvester_householder": lambda seed, dim: Sylvester(
        dim, 1, key=seed, reflections=2, nonlinearity="arcsinh"
    ),
    "sylvester_triangular": lambda seed, dim: Sylvester(dim, dim, key=seed, reflections=0),
    "sylvester_conditional": lambda seed, dim: amortized(Sylvester(dim, dim, key=seed)),
    "location_scale_conditional": lambda seed, dim: amortized(LocationScale(np.ones(dim), np.full(dim, 3.0))),
    "residual": lambda seed, dim: Residual(dim, key=seed, width=8),
    "residual_conditional": lambda seed, dim: Residual(dim, key=seed, condition_dim=CONDITION_DIM, width=8),
    "block_autoregressive": lambda seed, dim: BlockAutoregressive(dim, key=seed, width=4),
    "block_autoregressive_conditional": lambda seed, dim: BlockAutoregressive(
        dim, key=seed, width=4, condition_dim=CONDITION_DIM
    ),
    "coupling_circular": circular,
    "coupling_circular_conditional": lambda seed, dim: circular(seed, dim, condition_dim=CONDITION_DIM),
    "continuous": lambda seed, dim: Continuous(dim, key=seed, width=4, steps=8),
    "continuous_conditional": lambda seed, dim: Continuous(
        dim, key=seed, width=4, steps=8, condition_dim=CONDITION_DIM
    ),
    "coupling_monotonic": lambda seed, dim: coupling(seed, dim, MonotonicNetwork(features=4)),
    "householder": lambda seed, dim: Householder(dim, key=seed),
    "lu": lambda seed, dim: LULinear.rotation(dim, key=seed),
    "glow": lambda seed, dim: Scan.stack([step_of_glow(seed + k, dim) for k in range(2)]),
    "wrap": lambda seed, dim: Wrap(dim),
    "fixed": lambda seed, dim: flows.Fixed(affine(seed, dim)),
    "standardised_condition": lambda seed, dim: flows.StandardisedCondition(
        coupling(seed, dim, condition_dim=CONDITION_DIM), np.ones(CONDITION_DIM), np.full(CONDITION_DIM, 2.0)
    ),
    "conditioned": lambda seed, dim: Conditioned(
        coupling(seed, dim, condition_dim=CONDITION_DIM), np.ones(CONDITION_DIM)
    ),
    "from_flowjax": lambda seed, dim: FromFlowJAX(
        flowjax.bijections.Affine(jnp.ones(dim), jnp.full(dim, 3.0))
    ),
}
"""Name -> constructor of a bijection of R^dim."""

SUPPORTS = {
    "real": lambda seed, dim: support("real", (dim,)),
    "positive": lambda seed, dim: support("positive", (dim,)),
    "unit_interval": lambda seed, dim: support("unit_interval", (dim,)),
    "lower_bounded": lambda seed, dim: support(("interval", -1.5, None), (dim,)),
    "upper_bounded": lambda seed, dim: support(("interval", -np.inf, 2.5), (dim,)),
    "interval": lambda seed, dim: support(("interval", -1.5, 2.5), (dim,)),
    "interval_below_zero": lambda seed, dim: support(("interval", -2.0, 0.0), (1, dim)),
    "interval_of_arrays": lambda seed, dim: support(("interval", -np.arange(1, dim + 1), 3), (dim,)),
    "simplex": lambda seed, dim: support("simplex", (dim + 1,)),
    "simplexes": lambda seed, dim: support("simplex", (2, 1, dim + 1)),
    "ordered": lambda seed, dim: support("ordered", (2, dim)),
    "positive_ordered": lambda seed, dim: support("positive_ordered", (dim,)),
    "cholesky_corr": lambda seed, dim: support("cholesky_corr", (dim + 1, dim + 1)),
    "cholesky_corrs": lambda seed, dim: support("cholesky_corr", (2, 3, 3)),
    "cholesky_cov": lambda seed, dim: support("cholesky_cov", (dim, dim)),
    "tree": lambda seed, dim: SupportTree(
        {"p": support("simplex", (3,)), "more": [support("positive", ()), support("real", (dim,))]}
    ),
}
"""Name -> constructor of a support whose parameter has a size of about dim."""

SEVERAL_AT_ONE = ["simplexes", "ordered", "cholesky_corrs", "tree"]
"""Those that have several coordinates at dim = 1."""

ORDER_MATTERS = ["permutation", "triangular", "low_rank", "chain", "coupling", "scan_stacked", "iaf", "maf"]
ORDER_MATTERS += ["continuous", "sylvester", "sylvester_triangular", "householder", "lu", "planar", "radial"]
"""Those that two coordinates cannot tell from a wrong one."""

IDENTITY_AT_START = [
    name for name in FLOWS if name.startswith(("continuous", "coupling", "iaf", "maf", "nice"))
] + [
    "scan",
    "scan_conditional",
    "residual",
    "block_autoregressive",
]

ANGLES = ["wrap"]
"""Those that give a point up to whole turns."""

NOT_SAVED = ["from_flowjax"]

NUMERICAL = ["continuous", "continuous_conditional"]
"""Those with an inverse by a solver, which answers for 1e-8 rather than 1e-12."""

SINGLE_WITHIN = ["coupling_network_in_float32"]
"""Those that compute in single precision within double: two programs may round that differently."""
