"""Smoothed weights against ArviZ, against distributions of known tail, and at the edges."""

import numpy as np
import pytest
import scipy.stats
from arviz_stats.base import array_stats

from flowvi.diagnostics.psis import fit_generalised_pareto, khat_threshold, smooth_weights


def normal_ratio(scale, size=2000, seed=0):
    """Log weights of a standard normal target under N(0, scale^2)."""
    x = scale * np.random.default_rng(seed).normal(size=size)
    return scipy.stats.norm.logpdf(x) - scipy.stats.norm(0, scale).logpdf(x)


LOG_WEIGHTS = {
    "too narrow": normal_ratio(0.7),
    "too wide": normal_ratio(2.0),
    "heavy": 2 * np.random.default_rng(1).standard_t(3, size=1000),
    "heavy, few": np.random.default_rng(2).standard_t(3, size=200),
    "even": 0.5 * np.random.default_rng(3).normal(size=4000),
    "with a constant added": 5000 + normal_ratio(0.7),
}
each_case = pytest.mark.parametrize("log_weights", LOG_WEIGHTS.values(), ids=LOG_WEIGHTS)


@each_case
def test_weights_and_khat_are_those_of_arviz(log_weights):
    smoothed = smooth_weights(log_weights)
    # ArviZ takes log likelihoods, whose negatives are the log weights
    expected, khat = array_stats.psislw(-log_weights)
    assert smoothed.khat == pytest.approx(float(khat), rel=1e-6, abs=1e-6)
    expected = np.exp(expected - expected.max())
    np.testing.assert_allclose(smoothed.weights, expected / expected.sum(), rtol=1e-6, atol=1e-12)


@each_case
def test_weights_are_normalised_and_keep_their_order(log_weights):
    weights = smooth_weights(log_weights).weights
    assert weights.sum() == pytest.approx(1, abs=1e-12)
    assert np.all(weights >= 0)
    assert np.all(np.diff(weights[np.argsort(log_weights)]) >= -1e-15)


@pytest.mark.parametrize("k", [-0.5, 0.0, 0.3, 0.7, 1.2])
def test_shape_and_scale_of_known_pareto_draws(k):
    draws = np.sort(scipy.stats.genpareto(k, scale=2.5).rvs(4000, random_state=0))
    shape, scale = fit_generalised_pareto(draws)
    # sd of the maximum likelihood shape is (1 + k) / sqrt(n); the prior moves it by 10 (0.5 - k) / n
    assert shape == pytest.approx(k, abs=4 * (1 + k) / np.sqrt(4000) + 0.003)
    assert scale == pytest.approx(2.5, rel=0.12)


def test_khat_of_weights_of_known_tail():
    # weights with P(w > t) = t^(-1 / k)
    k = 0.6
    log_weights = -k * np.log(np.random.default_rng(0).uniform(size=100_000))
    assert smooth_weights(log_weights).khat == pytest.approx(k, abs=0.15)


def test_smoothing_lowers_the_largest_weights():
    log_weights = normal_ratio(0.6)
    raw = np.exp(log_weights - log_weights.max())
    smoothed = smooth_weights(log_weights)
    assert smoothed.weights.max() < (raw / raw.sum()).max()
    # weights outside the tail keep their ratios
    low = np.argsort(log_weights)[:1500]
    np.testing.assert_allclose(smoothed.weights[low] / smoothed.weights[low[0]], raw[low] / raw[low[0]])


def test_smoothed_weights_estimate_moments():
    x = 0.8 * np.random.default_rng(4).normal(size=200_000)
    log_weights = scipy.stats.norm.logpdf(x) - scipy.stats.norm(0, 0.8).logpdf(x)
    weights, khat = smooth_weights(log_weights)
    assert khat < 0.7
    assert weights @ x**2 == pytest.approx(1, abs=0.03)


def test_equal_weights_have_no_tail():
    weights, khat = smooth_weights(np.full(400, -7.0))
    np.testing.assert_allclose(weights, 1 / 400)
    assert khat == -np.inf


def test_nearly_constant_weights_stay_nearly_constant():
    log_weights = 1e-5 * np.random.default_rng(0).normal(size=4000)
    weights, khat = smooth_weights(log_weights)
    np.testing.assert_allclose(weights * 4000, 1, atol=1e-4)
    assert np.isfinite(khat)


def test_draws_outside_the_support_get_no_weight():
    log_weights = normal_ratio(0.7)
    outside = np.arange(0, 2000, 4)
    log_weights[outside] = -np.inf
    weights, khat = smooth_weights(log_weights)
    assert np.all(weights[outside] == 0)
    assert weights.sum() == pytest.approx(1)
    assert np.isfinite(khat)


def test_few_draws_inside_the_support():
    log_weights = np.full(1000, -np.inf)
    log_weights[:3] = [0.0, 1.0, 2.0]
    weights, khat = smooth_weights(log_weights)
    np.testing.assert_allclose(weights[:3], np.exp([0, 1, 2]) / np.exp([0, 1, 2]).sum())
    assert np.isnan(khat)


@pytest.mark.parametrize("size", [1, 2, 24])
def test_few_draws_keep_their_raw_weights(size):
    log_weights = np.random.default_rng(0).normal(size=size)
    weights, khat = smooth_weights(log_weights)
    np.testing.assert_allclose(weights, np.exp(log_weights) / np.exp(log_weights).sum())
    assert np.isnan(khat)


def test_weights_beyond_the_range_of_numbers():
    log_weights = np.linspace(-1e5, 1e5, 500)
    weights, khat = smooth_weights(log_weights)
    assert np.all(np.isfinite(weights))
    assert weights.sum() == pytest.approx(1)
    assert not khat < 1


@pytest.mark.parametrize(("size", "expected"), [(100, 0.5), (1000, 2 / 3), (2200, 0.7), (10**6, 0.7)])
def test_threshold_grows_with_the_number_of_draws_up_to_its_limit(size, expected):
    assert khat_threshold(size) == pytest.approx(expected, abs=2e-3)
