"""Modes: found where they are, told apart, and not invented where there are none."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from stages import density_of

from flowvi import Budget
from flowvi.inference.explore import STARTS, explore, starts

pytestmark = pytest.mark.usefixtures("x64")


def modes_of(density, seed=0):
    return explore(density, starts(density.target.dim, np.random.default_rng(seed))).modes


def test_mode_and_curvature_of_a_gaussian_of_condition_1e12():
    rng = np.random.default_rng(0)
    scales, location = np.array([1e-6, 1e-3, 1.0, 0.1]), np.array([0.3, -1.0, 5.0, 0.0])
    half = rng.normal(size=(4, 8))
    correlation = half @ half.T / np.sqrt(np.outer((half**2).sum(1), (half**2).sum(1)))
    covariance = correlation * np.outer(scales, scales)
    assert np.linalg.cond(covariance) > 1e12
    precision = jnp.asarray(np.linalg.inv(correlation))

    def log_density(x):
        u = (x - location) / scales
        return -0.5 * u @ precision @ u + 7

    (mode,) = modes_of(density_of(log_density, 4))
    np.testing.assert_allclose((mode.location - location) / scales, 0, atol=1e-6)
    found = mode.scale_tril @ mode.scale_tril.T / np.outer(scales, scales)
    np.testing.assert_allclose(found, correlation, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(mode.scale_tril, np.tril(mode.scale_tril))
    assert mode.log_density == pytest.approx(7, abs=1e-9)
    log_evidence = 7 + 0.5 * np.linalg.slogdet(2 * np.pi * correlation)[1] + np.log(scales).sum()
    assert mode.log_evidence == pytest.approx(log_evidence, abs=1e-6)
    assert mode.starts == STARTS


def two_normals(x):
    """Weights 0.6 and 0.4, at (4, 0) with sd 1 and at (-4, 0) with sd 0.7."""
    wide = jnp.log(0.6) - 0.5 * jnp.sum((x - jnp.array([4.0, 0.0])) ** 2)
    narrow = jnp.log(0.4 / 0.49) - 0.5 / 0.49 * jnp.sum((x + jnp.array([4.0, 0.0])) ** 2)
    return jnp.logaddexp(wide, narrow) - jnp.log(2 * jnp.pi)


def test_both_modes_of_a_mixture_with_their_shares():
    modes = modes_of(density_of(two_normals, 2))
    assert len(modes) == 2
    # the narrow one is the higher, and has less of the evidence
    assert modes[0].log_density < modes[1].log_density
    np.testing.assert_allclose(modes[0].location, [4, 0], atol=1e-3)
    np.testing.assert_allclose(modes[1].location, [-4, 0], atol=1e-3)
    np.testing.assert_allclose([np.exp(mode.log_evidence) for mode in modes], [0.6, 0.4], rtol=1e-3)
    assert sum(mode.starts for mode in modes) == STARTS
    assert min(mode.starts for mode in modes) > 0


Y = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
SIGMA = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])


def centered_schools(z):
    """Grows without bound where all effects are equal and tau goes to zero."""
    mu, log_tau, theta = z[0], z[1], z[2:]
    tau = jnp.exp(log_tau)
    prior = -0.5 * (mu / 5) ** 2 - jnp.log1p((tau / 5) ** 2) + log_tau
    return (
        prior
        + jax.scipy.stats.norm.logpdf(theta, mu, tau).sum()
        + jax.scipy.stats.norm.logpdf(Y, theta, SIGMA).sum()
    )


@pytest.mark.parametrize("seed", [0, 1])
def test_no_mode_where_the_density_has_none(seed):
    assert modes_of(density_of(centered_schools, 10), seed) == []


def test_climbs_that_find_no_top_are_kept_as_strays():
    def kink(x):
        return -jnp.abs(x[0] - 1)

    modes, strays = explore(density_of(kink, 1), starts(1, np.random.default_rng(0)))
    places = [stray.location[0] for stray in strays] + [mode.location[0] for mode in modes]
    assert places
    assert np.abs(np.array(places) - 1).min() < 0.1
    assert len(strays) + sum(mode.starts for mode in modes) == STARTS


def test_a_skewed_density_with_a_wall_is_climbed_to_its_top():
    # log of a Gamma(3, 2) variable; and a coordinate with zero density beyond 1
    def log_density(x):
        inside = jnp.where(x[1] < 1, 2 * jnp.log(jnp.where(x[1] < 1, 1 - x[1], 1.0)) + 3 * x[1], -jnp.inf)
        return 3 * x[0] - 2 * jnp.exp(x[0]) + inside

    z = starts(2, np.random.default_rng(0))
    z[:, 1] = np.minimum(z[:, 1], 0.9)
    (mode,) = explore(density_of(log_density, 2), z).modes
    np.testing.assert_allclose(mode.location, [np.log(1.5), 1 / 3], atol=2e-3)
    # the curvature of the second is 2 / (1 - x)^2
    np.testing.assert_allclose(np.diag(mode.scale_tril) ** 2, [1 / 3, 2 / 9], rtol=1e-2)


def test_the_search_keeps_within_its_budget():
    density = density_of(centered_schools, 10, Budget(gradients=200))
    modes_of(density)
    assert density.ledger.gradients <= 200 + 4 * STARTS


def test_starts_are_dispersed_and_one_is_near_the_origin():
    z = starts(50, np.random.default_rng(0))
    assert z.shape == (STARTS, 50)
    assert np.abs(z).max() <= 2
    assert np.abs(z[0]).max() <= 0.1
    assert np.abs(z[1:]).max() > 1.9
