"""The log evidence by the bridge against closed forms, and its standard error against its own scatter."""

import numpy as np
import pytest
import scipy.optimize
import scipy.signal
import scipy.stats

from flowvi.diagnostics.bridge import bridge_sampling

LOG_EVIDENCE = 2.5
TARGET = scipy.stats.norm(0.6, 0.8)


def log_ratio(x):
    # to the standard normal
    return LOG_EVIDENCE - 0.5 * ((x - 0.6) / 0.8) ** 2 - np.log(0.8) + 0.5 * x**2


def autocorrelated(rng, n, correlation):
    noise = np.sqrt(1 - correlation**2) * rng.standard_normal(n + 100)
    x = scipy.signal.lfilter([1.0], [1.0, -correlation], noise)[100:]
    return TARGET.mean() + TARGET.std() * x


@pytest.mark.parametrize(
    ("of_q", "of_posterior", "correlation"),
    [(2000, 2000, 0.0), (500, 3000, 0.0), (3000, 300, 0.0), (1000, 1000, 0.8)],
)
def test_value_and_standard_error(of_q, of_posterior, correlation):
    rng = np.random.default_rng(0)
    effective = of_posterior * (1 - correlation) / (1 + correlation)
    scores = []
    for _ in range(150):
        q, p = rng.standard_normal(of_q), autocorrelated(rng, of_posterior, correlation)
        value, error = bridge_sampling(log_ratio(q), log_ratio(p), effective)
        scores.append((value - LOG_EVIDENCE) / error)
    # of 150 standard normal scores: the mean has sd 0.08, and their sd one of 0.06. The ratio that the bridge
    # averages over the posterior is less autocorrelated than the draws, so errors are a little large there.
    assert abs(np.mean(scores)) < 0.3
    assert 0.75 < np.std(scores) < 1.2


def test_the_solution_is_that_of_the_optimal_bridge():
    rng = np.random.default_rng(1)
    q, p = rng.standard_normal(700), TARGET.rvs(400, random_state=rng)
    effective = 150.0

    def off(log_z):
        s = effective / (effective + 700)
        z, of_q, of_p = np.exp(log_z), np.exp(log_ratio(q)), np.exp(log_ratio(p))
        above = (of_q / (s * of_q / z + 1 - s)).mean()
        below = (1 / (s * of_p / z + 1 - s)).mean()
        return above / below - z

    expected = scipy.optimize.brentq(off, LOG_EVIDENCE - 1, LOG_EVIDENCE + 1, xtol=1e-13)
    assert bridge_sampling(log_ratio(q), log_ratio(p), effective).value == pytest.approx(expected, abs=1e-8)


def test_a_q_that_is_the_posterior_leaves_no_error():
    value, error = bridge_sampling(np.full(50, -1.5), np.full(70, -1.5), 30.0)
    assert value == pytest.approx(-1.5, abs=1e-12)
    assert error == pytest.approx(0, abs=1e-12)


def test_draws_of_q_where_the_target_is_zero():
    # twice the half of a normal, cut at zero; evidence e^2.5 of a normalised q
    rng = np.random.default_rng(2)
    q = rng.standard_normal(4000)
    of_q = np.where(q > 0, LOG_EVIDENCE + np.log(2), -np.inf)
    value, error = bridge_sampling(of_q, np.full(1000, LOG_EVIDENCE + np.log(2)), 1000.0)
    # the share of draws beyond the wall is what is known least
    assert value == pytest.approx(LOG_EVIDENCE, abs=4 * error)
    assert 0.5 / np.sqrt(4000) < error < 2 / np.sqrt(4000)


def test_the_bridge_needs_less_overlap_than_importance_weights():
    # q is narrower than the posterior: weights have no variance, the bridge's terms are bounded
    rng = np.random.default_rng(3)
    values = []
    for _ in range(20):
        q, p = 0.5 * rng.standard_normal(4000), rng.standard_normal(4000)
        ratio = [scipy.stats.norm.logpdf(x) - scipy.stats.norm(0, 0.5).logpdf(x) for x in (q, p)]
        values.append(bridge_sampling(ratio[0], ratio[1], 4000.0).value)
    assert np.std(values) < 0.05
    assert np.mean(values) == pytest.approx(0, abs=4 * np.std(values) / np.sqrt(20))
