"""Places that the starts led to count by their mass, whatever their curvature says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from stages import density_of, quiet_fit

from flowvi.inference.explore import Stray
from flowvi.inference.gaussian import Gaussian
from flowvi.inference.proposal import gaussian_proposal
from flowvi.inference.uncovered import uncovered

pytestmark = pytest.mark.usefixtures("x64")


def two_places(share):
    """N((-5, 0), I) with weight 1 - share, and at (5, 0) a Laplace variable beside a normal one."""

    def log_density(x):
        core = jax.scipy.stats.norm.logpdf(x, jnp.array([-5.0, 0.0])).sum()
        kink = jax.scipy.stats.laplace.logpdf(x[0], 5.0) + jax.scipy.stats.norm.logpdf(x[1])
        return jnp.logaddexp(np.log1p(-share) + core, np.log(share) + kink)

    return log_density


def found_at(log_density, location):
    return Stray(location, 0.01 * np.eye(2), float(log_density(jnp.asarray(location))))


@pytest.mark.parametrize("share", [0.5, 0.1, 0.01])
def test_the_mass_at_a_kink(share):
    log_density = two_places(share)
    # q is the other part, and the evidence seen is its weight
    q = gaussian_proposal(Gaussian(np.array([-5.0, 0.0]), np.eye(2)))
    rng = np.random.default_rng(0)
    starts = [found_at(log_density, np.array([5.0, 0.01])), found_at(log_density, np.array([5.1, 0.0]))]
    (place,) = uncovered(density_of(log_density, 2), q, np.log1p(-share), starts, rng)
    # 4,096 weights of a t against the two kinds of tails
    assert place.share == pytest.approx(share, rel=0.15)


def test_a_slope_and_a_spike_have_no_mass():
    def log_density(x):
        core = jax.scipy.stats.norm.logpdf(x).sum()
        spike = np.log(1e-4) + jax.scipy.stats.norm.logpdf(x, 5.0, 1e-3).sum()
        return jnp.logaddexp(core, spike)

    q = gaussian_proposal(Gaussian(np.zeros(2), 0.7 * np.eye(2)))
    starts = [found_at(log_density, np.array([4.0, 0.0])), found_at(log_density, np.full(2, 5.0))]
    places = uncovered(density_of(log_density, 2), q, 0.0, starts, np.random.default_rng(0))
    assert all(place.share < 0.01 for place in places)


@pytest.mark.parametrize("more", [0, 1])
def test_a_kink_that_starts_found_and_q_left_out_is_never_good(more):
    def log_density(p):
        value = jnp.logaddexp(
            jax.scipy.stats.norm.logpdf(p["x"], -4.0), jax.scipy.stats.laplace.logpdf(p["x"], 8.0)
        )
        return value - 0.5 * jnp.sum(p["y"] ** 2)

    posterior = quiet_fit(log_density, example={"x": 0.0, "y": np.zeros(more)}, flow="gaussian")
    both = 0.4 < (posterior.draws["x"] > 2).mean() < 0.6
    assert both or posterior.verdict.level not in ("good", "corrected")


def test_a_mode_that_no_start_finds_is_found_from_around_q():
    # starts lie between -2 and 2
    def log_density(p):
        return jnp.logaddexp(
            np.log(0.6) + jax.scipy.stats.norm.logpdf(p["x"]).sum(),
            np.log(0.4) + jax.scipy.stats.norm.logpdf(p["x"], 8.0).sum(),
        )

    posterior = quiet_fit(log_density, example={"x": np.zeros(3)}, flow="gaussian")
    assert len(posterior.verdict.modes["log_densities"]) == 1
    assert posterior.verdict.level == "good", str(posterior.verdict)
    assert posterior.verdict.modes["outside"] == []
    # 4,000 unique draws, whose share has a standard error of 0.008
    x = posterior.draws["x"]
    far = x[:, 0] > 4
    assert far.mean() == pytest.approx(0.4, abs=0.03)
    for mode, location in ((x[~far], 0.0), (x[far], 8.0)):
        np.testing.assert_allclose(mode.mean(axis=0), location, atol=4.5 / np.sqrt(1500))
        np.testing.assert_allclose(mode.std(axis=0), 1, atol=4.5 / np.sqrt(3000))
    value, error = posterior.log_evidence
    assert value == pytest.approx(0, abs=4 * error)
    assert error < 0.02


@pytest.mark.parametrize(("dim", "apart"), [(2, 15.0), (2, 40.0), (3, 14.0)], ids=str)
@pytest.mark.parametrize("seed", range(4))
def test_a_mode_far_to_one_side_is_never_missed(dim, apart, seed):
    # half of such fits missed it while climbs began in random directions alone
    away = apart / np.sqrt(dim)

    def log_density(p):
        here = jax.scipy.stats.norm.logpdf(p["x"]).sum()
        there = jax.scipy.stats.norm.logpdf(p["x"], away).sum()
        return jnp.logaddexp(jnp.log(0.7) + here, jnp.log(0.3) + there)

    posterior = quiet_fit(log_density, example={"x": np.zeros(dim)}, flow="gaussian", seed=seed)
    assert posterior.verdict.level == "good"
    # 4,000 unique draws: standard error 0.007
    assert (posterior.draws["x"].mean(axis=1) > away / 2).mean() == pytest.approx(0.3, abs=0.03)
    value, error = posterior.log_evidence
    assert abs(value) <= 3 * error
