"""One table of flows that drives the tests: a new builder costs one line."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowvi import flows
from flowvi.bijections import Identity, trainable
from flowvi.precision import double_precision

# small networks and few layers: what is tested does not depend on either, compile and running time do
SMALL = {"layers": 3, "width": 8}


def _whitened(dim):
    location = np.linspace(-1, 1, dim)
    triangle = np.tril(0.3 * np.ones((dim, dim))) + np.diag(np.linspace(0.5, 1, dim))
    return flows.whiten(flows.real_nvp(dim, key=0, **SMALL), location, triangle)


def _mixture(dim):
    locations = np.stack([np.full(dim, -1.0), np.full(dim, 2.0)])
    return flows.GaussianMixture([0.3, 0.7], locations, np.array([[0.5], [1.5]]) * np.ones((2, dim)))


def _mixture_of_flows(dim):
    parts = [flows.gaussian(dim), flows.real_nvp(dim, key=0, **SMALL)]
    return flows.Flow(flows.FlowMixture(parts, [0.3, 0.7]), Identity((dim,)))


FLOWS = {
    "gaussian": lambda dim: flows.gaussian(dim),
    "gaussian_diagonal": lambda dim: flows.gaussian(dim, kind="diagonal"),
    "gaussian_low_rank": lambda dim: flows.gaussian(dim, key=0, kind="low_rank", rank=2),
    "real_nvp": lambda dim: flows.real_nvp(dim, key=0, **SMALL),
    "neural_spline": lambda dim: flows.neural_spline(dim, key=0, bins=4, **SMALL),
    "iaf": lambda dim: flows.iaf(dim, key=0, **SMALL),
    "maf": lambda dim: flows.maf(dim, key=0, **SMALL),
    "nice": lambda dim: flows.nice(dim, key=0, **SMALL),
    "neural_spline_autoregressive": lambda dim: flows.neural_spline_autoregressive(
        dim, key=0, bins=4, **SMALL
    ),
    "glow": lambda dim: flows.glow(dim, key=0, **SMALL),
    "planar": lambda dim: flows.planar(dim, key=0, length=4),
    "radial": lambda dim: flows.radial(dim, key=0, length=4),
    "sylvester": lambda dim: flows.sylvester(dim, key=0, length=3),
    "residual": lambda dim: flows.residual(dim, key=0, length=3, width=8),
    "bnaf": lambda dim: flows.bnaf(dim, key=0, layers=2, width=4),
    "unconstrained_monotonic": lambda dim: flows.unconstrained_monotonic(
        dim, key=0, layers=2, features=4, width=8
    ),
    "continuous": lambda dim: flows.continuous(dim, key=0, width=8, steps=8),
    "student_t_base": lambda dim: flows.real_nvp(dim, key=0, base=flows.StudentT(dim, 8.0), **SMALL),
    "mixture_base": lambda dim: flows.gaussian(dim, kind="diagonal", base=_mixture(dim)),
    "whitened": _whitened,
    "mixture_of_flows": _mixture_of_flows,
}

CONDITIONAL = {
    "gaussian": lambda dim: flows.gaussian(dim, key=0, condition_dim=3, width=8),
    "real_nvp": lambda dim: flows.real_nvp(dim, key=0, condition_dim=3, **SMALL),
    "neural_spline": lambda dim: flows.neural_spline(dim, key=0, bins=4, condition_dim=3, **SMALL),
    "iaf": lambda dim: flows.iaf(dim, key=0, condition_dim=3, **SMALL),
    "nice": lambda dim: flows.nice(dim, key=0, condition_dim=3, **SMALL),
    "neural_spline_autoregressive": lambda dim: flows.neural_spline_autoregressive(
        dim, key=0, bins=4, condition_dim=3, **SMALL
    ),
    "planar": lambda dim: flows.planar(dim, key=0, length=4, condition_dim=3, width=8),
    "maf": lambda dim: flows.maf(dim, key=0, condition_dim=3, **SMALL),
    "glow": lambda dim: flows.glow(dim, key=0, condition_dim=3, **SMALL),
    "radial": lambda dim: flows.radial(dim, key=0, length=4, condition_dim=3, width=8),
    "sylvester": lambda dim: flows.sylvester(dim, key=0, length=3, condition_dim=3, width=8),
    "residual": lambda dim: flows.residual(dim, key=0, length=3, width=8, condition_dim=3),
    "bnaf": lambda dim: flows.bnaf(dim, key=0, layers=2, width=4, condition_dim=3),
    "unconstrained_monotonic": lambda dim: flows.unconstrained_monotonic(
        dim, key=0, layers=2, features=4, width=8, condition_dim=3
    ),
    "continuous": lambda dim: flows.continuous(dim, key=0, condition_dim=3, width=8, steps=8),
}


HEAVY = ["neural_spline_autoregressive", "sylvester", "residual", "bnaf", "unconstrained_monotonic"]
HEAVY += ["continuous", "glow", "maf", "student_t_base", "mixture_of_flows"]
"""Those that take long to compile, or test little that another does not; slow where a test says so."""


def by_name(names):
    """Parameters `name`, of which heavy ones are slow."""
    return pytest.mark.parametrize(
        "name", [pytest.param(name, marks=pytest.mark.slow if name in HEAVY else ()) for name in names]
    )


@double_precision
def perturbed(flow, size=0.2):
    """The flow with every trained number moved at random: at the start too much is zero to test anything."""
    numbers = np.random.default_rng(0)
    parameters, rest = eqx.partition(flow, trainable(flow))
    moved = jax.tree.map(lambda a: jnp.asarray(a + size * numbers.normal(size=a.shape)), parameters)
    return eqx.combine(moved, rest)
