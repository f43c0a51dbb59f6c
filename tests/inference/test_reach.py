"""Mass that draws of q do not see is found, measured and, where it can be, reached."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from stages import density_of, quiet_fit

from flowvi.diagnostics.estimate import Estimate
from flowvi.inference.gaussian import Gaussian
from flowvi.inference.proposal import gaussian_proposal
from flowvi.inference.reach import mass_beyond, reaches

pytestmark = pytest.mark.usefixtures("x64")


def normal(x, location, scale):
    return jax.scipy.stats.norm.logpdf(x, location, scale).sum()


def standard(dim):
    return gaussian_proposal(Gaussian(np.zeros(dim), np.eye(dim)))


@pytest.mark.parametrize("dim", [1, 2, 20])
def test_nothing_is_missed_where_q_is_the_target(dim):
    density = density_of(lambda x: normal(x, 0.0, 1.0) + 5, dim)
    beyond = mass_beyond(density, standard(dim), 5.0, np.random.default_rng(0))
    assert beyond.value == pytest.approx(0, abs=1e-10)
    assert beyond.standard_error == pytest.approx(0, abs=1e-10)


@pytest.mark.parametrize(
    ("dim", "share", "scale"), [(1, 0.05, 30.0), (3, 0.05, 5.0), (10, 0.3, 3.0)], ids=str
)
def test_a_halo_is_measured(dim, share, scale):
    # draws of q see the core alone, and take its evidence for all
    def log_density(x):
        return jnp.logaddexp(normal(x, 0.0, 1.0), np.log(share) + normal(x, 0.0, scale))

    beyond = mass_beyond(density_of(log_density, dim), standard(dim), 0.0, np.random.default_rng(0))
    assert beyond.value == pytest.approx(share, abs=4 * beyond.standard_error)
    assert beyond.standard_error < share / 3
    assert not reaches(beyond)


def test_a_coordinate_with_a_heavy_tail_is_measured():
    # N(0, 1) in all coordinates but the last, which is Cauchy; q is the normal scaled to its core
    def log_density(x):
        return normal(x[:-1], 0.0, 1.0) + jax.scipy.stats.cauchy.logpdf(x[-1])

    draws = np.random.default_rng(1).standard_normal((200_000, 4))
    w = np.exp(scipy.stats.cauchy.logpdf(draws[:, -1]) - scipy.stats.norm.logpdf(draws[:, -1]))
    seen = w[np.abs(draws[:, -1]) < 3].mean()
    beyond = mass_beyond(density_of(log_density, 4), standard(4), np.log(seen), np.random.default_rng(0))
    assert beyond.value == pytest.approx(1 / seen - 1, abs=4 * beyond.standard_error)
    assert not reaches(beyond)


@pytest.mark.parametrize(
    ("beyond", "enough"),
    [
        (Estimate(0.0, 0.001), True),
        (Estimate(0.015, 0.001), True),
        (Estimate(0.03, 0.02), True),
        (Estimate(0.03, 0.001), False),
        (Estimate(-0.4, 2.0), False),
    ],
)
def test_what_must_be_excluded(beyond, enough):
    assert reaches(beyond) is enough


def test_a_cauchy_is_reached_to_its_far_quantiles():
    posterior = quiet_fit(lambda p: jax.scipy.stats.cauchy.logpdf(p["x"]), example={"x": 0.0})
    assert posterior.verdict.level == "good"
    quantiles = np.array([0.01, 0.05, 0.5, 0.95, 0.99])
    cdf = scipy.stats.cauchy.cdf(np.quantile(posterior.draws["x"], quantiles))
    assert np.all(np.abs(cdf - quantiles) < 4 * np.sqrt(quantiles * (1 - quantiles) / 4000))
    value, error = posterior.log_evidence
    assert value == pytest.approx(0, abs=4 * error)
    assert error < 0.02


@pytest.mark.parametrize("dim", [5, 20])
@pytest.mark.slow
def test_a_halo_that_cannot_be_reached_is_not_called_good(dim):
    def log_density(p):
        return jnp.logaddexp(normal(p["x"], 0.0, 0.2), normal(p["x"], 0.0, 1.0))

    posterior = quiet_fit(log_density, example={"x": np.zeros(dim)}, flow="gaussian")
    sd = posterior.draws["x"].std(axis=0).mean()
    assert posterior.verdict.level not in ("good", "corrected") or sd == pytest.approx(0.72, rel=0.1)
