"""A posterior on which weights do not carry, from end to end: Markov chains correct it."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from stages import quiet_fit

DIM = 25
EXACT = scipy.stats.loggamma(2)


def log_density(p):
    """Independent logarithms of Gamma(2) variables: a normal is near in each, but not in all of them."""
    return jnp.sum(2 * p["x"] - jnp.exp(p["x"])) + 1.5


@pytest.fixture(scope="module")
def posterior():
    return quiet_fit(log_density, example={"x": np.zeros(DIM)}, flow="gaussian")


def test_chains_correct_what_weights_cannot(posterior):
    assert posterior.verdict.level == "corrected", str(posterior.verdict)
    assert posterior.verdict.khat > 0.7 or posterior.verdict.ess_ratio < 0.1
    x = posterior.draws["x"]
    assert x.shape == (4000, DIM)
    # at least 1,500 effective draws; the largest of 25 errors. A Gaussian is 0.1 sds off and 10% too narrow.
    np.testing.assert_allclose((x.mean(axis=0) - EXACT.mean()) / EXACT.std(), 0, atol=4 / np.sqrt(1500))
    np.testing.assert_allclose(x.std(axis=0) / EXACT.std(), 1, atol=4 * 0.9 / np.sqrt(1500))
    low = (x < EXACT.ppf(0.05)).mean(axis=0)
    np.testing.assert_allclose(low, 0.05, atol=4 * np.sqrt(0.05 * 0.95 / 1500))
    # as a whole: 37,500 effective draws
    assert x.mean() == pytest.approx(EXACT.mean(), abs=4 * EXACT.std() / np.sqrt(1500 * DIM))
    assert 1000 <= posterior.effective_draws <= 4000


def test_the_evidence_by_the_bridge(posterior):
    value, error = posterior.log_evidence
    # each coordinate has Gamma(2) = 1
    assert value == pytest.approx(1.5, abs=3 * error)
    assert error < 0.1


def test_log_weights_are_those_of_the_draws(posterior):
    z = posterior.z[:200]
    log_p = (2 * z - np.exp(z)).sum(axis=1) + 1.5
    np.testing.assert_allclose(posterior.log_weights[:200], log_p - posterior.q.log_prob(z), atol=1e-8)
