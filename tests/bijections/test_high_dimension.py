"""Every builder at a thousand coordinates: draws have the density that is given for them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowvi import flows
from flowvi.bijections import trainable

pytestmark = pytest.mark.usefixtures("compile_quickly")

DIM = 1000
SMALL = {"key": 0, "layers": 2, "width": 4}
FLOWS = {
    "gaussian": lambda: flows.gaussian(DIM),
    "planar": lambda: flows.planar(DIM, key=0, length=2),
    "radial": lambda: flows.radial(DIM, key=0, length=2),
    "sylvester": lambda: flows.sylvester(DIM, key=0, length=2, rank=3),
    "nice": lambda: flows.nice(DIM, **SMALL),
    "real_nvp": lambda: flows.real_nvp(DIM, **SMALL),
    "glow": lambda: flows.glow(DIM, key=0, layers=1, width=4),
    "maf": lambda: flows.maf(DIM, **SMALL),
    "iaf": lambda: flows.iaf(DIM, **SMALL),
    "neural_spline": lambda: flows.neural_spline(DIM, bins=3, **SMALL),
    "neural_spline_autoregressive": lambda: flows.neural_spline_autoregressive(DIM, bins=3, **SMALL),
    "bnaf": lambda: flows.bnaf(DIM, key=0, layers=1, width=2),
    "residual": lambda: flows.residual(DIM, key=0, length=1, width=4),
    "continuous": lambda: flows.continuous(DIM, key=0, width=4, steps=4),
    "unconstrained_monotonic": lambda: flows.unconstrained_monotonic(DIM, features=2, **SMALL),
    "circular_spline": lambda: flows.circular_spline(DIM, bins=3, **SMALL),
}
SLOW = ["glow", "bnaf", "neural_spline_autoregressive", "continuous", "residual"]
"""What takes more than three seconds."""
BY_SOLVER = ["continuous"]


def moved(flow):
    """So little that products with a matrix of such numbers stay well conditioned."""
    rng = np.random.default_rng(0)
    parameters, rest = eqx.partition(flow, trainable(flow))
    with jax.enable_x64(True):
        parameters = jax.tree.map(lambda a: jnp.asarray(a + 0.01 * rng.normal(size=a.shape)), parameters)
    return eqx.combine(parameters, rest)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in FLOWS]
)
def test_draws_have_their_density(name):
    flow = moved(FLOWS[name]())
    z, log_prob = flow.sample_and_log_prob(1, (2,))
    again = flow.log_prob(z)
    assert z.shape == (2, DIM)
    assert np.all(np.isfinite(z))
    # of values of some thousand
    np.testing.assert_allclose(again, log_prob, rtol=1e-7 if name in BY_SOLVER else 1e-10)
