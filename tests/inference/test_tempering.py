"""Particles come out in proportion to the mass of modes that lie far apart, whatever the target's wall."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from stages import density_of, target_of

from flowvi import Budget
from flowvi.inference.gaussian import Gaussian
from flowvi.inference.tempering import _next, tempered_particles

pytestmark = pytest.mark.usefixtures("x64", "overflow_is_silent")


@pytest.fixture
def overflow_is_silent():
    """As inside `fit`."""
    with np.errstate(all="ignore"):
        yield


BROAD = Gaussian(np.array([3.0, -1.0]), np.array([[6.0, 0.0], [1.0, 5.0]]))


def two_modes(x):
    """0.75 N((-7, 0), I) + 0.25 N((7, 0), 2^2 I), of evidence e^4, with nothing beyond x1 = 5."""
    left = jax.scipy.stats.norm.logpdf(x, jnp.array([-7.0, 0.0])).sum()
    right = jax.scipy.stats.norm.logpdf(x, jnp.array([7.0, 0.0]), 2.0).sum()
    return jnp.where(x[1] < 5, 4.0 + jnp.logaddexp(np.log(0.75) + left, np.log(0.25) + right), -jnp.inf)


TARGET = target_of(two_modes, 2)


def density(**budget):
    one = density_of(two_modes, 2, Budget(**budget))
    one.target = TARGET
    return one


def particles_of(seeds, broad=BROAD):
    return np.stack([tempered_particles(density(), broad, np.random.default_rng(seed)) for seed in seeds])


def test_modes_get_their_share_and_their_spread():
    runs = particles_of(range(8))
    assert runs.shape == (8, 512, 2)
    shares = (runs[..., 0] < 0).mean(axis=1)
    # resampling adds up over the temperatures: the runs' own scatter is their Monte Carlo error
    error = shares.std(ddof=1) / np.sqrt(8)
    assert error < 0.03
    # of a t with seven degrees of freedom
    assert shares.mean() == pytest.approx(0.75, abs=4.5 * error)
    z = runs.reshape(-1, 2)
    for mode, location, sd in ((z[z[:, 0] < 0], -7.0, 1.0), (z[z[:, 0] > 0], 7.0, 2.0)):
        # a thousand particles and more, of which resampling leaves a quarter different ones
        np.testing.assert_allclose((mode.mean(axis=0) - [location, 0.0]) / sd, 0, atol=0.25)
        np.testing.assert_allclose(mode.std(axis=0) / sd, 1, atol=0.12)


def test_a_spent_budget_leaves_particles_of_a_flatter_target():
    one = density(gradients=1)
    z = tempered_particles(one, BROAD, np.random.default_rng(0))
    # one temperature: three moves of eight steps, and the gradient they begin with
    assert one.ledger.gradients == 512 * 25
    assert z.shape == (512, 2)
    assert np.isfinite(z).all()
    assert z.std(axis=0).min() > 2.5


def test_few_temperatures_are_needed():
    one = density()
    tempered_particles(one, BROAD, np.random.default_rng(0))
    # half of the particles count at each, and the target fills a tenth of the broad Gaussian
    assert one.ledger.gradients <= 5 * 512 * 25


def test_one_temperature_is_enough_for_the_broad_gaussian_itself():
    location, scale_tril = jnp.asarray(BROAD.location), jnp.asarray(BROAD.scale_tril)

    def log_density(x):
        return -0.5 * jnp.sum(jax.scipy.linalg.solve_triangular(scale_tril, x - location, lower=True) ** 2)

    one = density_of(log_density, 2)
    tempered_particles(one, BROAD, np.random.default_rng(0))
    assert one.ledger.gradients == 512 * 25


EVEN = np.full(512, 1 / 512)


def ess(weights, log_ratio, step):
    w = weights * np.exp(step * log_ratio - (step * log_ratio).max())
    return w.sum() ** 2 / (w**2).sum() / len(w)


def test_the_next_temperature_leaves_half_of_the_particles():
    log_ratio = 30 * np.random.default_rng(0).standard_normal(512)
    temperature = _next(0.0, log_ratio, EVEN)
    assert ess(EVEN, log_ratio, temperature) == pytest.approx(0.5, abs=1e-6)
    after = _next(0.3, log_ratio, EVEN)
    assert ess(EVEN, log_ratio, after - 0.3) == pytest.approx(0.5, abs=1e-6)


def test_the_next_temperature_is_for_particles_resampled_by_their_weights():
    rng = np.random.default_rng(0)
    log_ratio = 30 * rng.standard_normal(512)
    weights = rng.gamma(0.5, size=512)
    weights /= weights.sum()
    step = _next(0.3, log_ratio, weights) - 0.3
    ratio = np.exp(step * log_ratio)
    assert (weights @ ratio) ** 2 / (weights @ ratio**2) == pytest.approx(0.5, abs=1e-6)


def test_the_last_temperature_is_one():
    log_ratio = 0.1 * np.random.default_rng(0).standard_normal(512)
    assert _next(0.0, log_ratio, EVEN) == 1
    assert _next(0.99, 30 * log_ratio, EVEN) == 1


def test_particles_without_density_count_for_nothing():
    log_ratio = 30 * np.random.default_rng(0).standard_normal(512)
    log_ratio[:100] = -np.inf
    temperature = _next(0.0, log_ratio, EVEN)
    assert 0 < temperature < 1
    inside = log_ratio[100:]
    assert ess(EVEN[100:], inside, temperature) * 412 / 512 == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("without", [400, 512])
def test_a_target_that_most_or_all_particles_lie_outside(without):
    log_ratio = np.random.default_rng(0).standard_normal(512)
    log_ratio[:without] = -np.inf
    assert 0 < _next(0.0, log_ratio, EVEN) <= 1
