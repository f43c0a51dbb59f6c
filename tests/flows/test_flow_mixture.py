"""Mixtures of flows against SciPy, and their draws against their densities."""

import jax
import numpy as np
import pytest
import scipy.stats

from flowvi import flows
from flowvi.bijections import Identity
from flowvi.errors import FlowError
from flowvi.flows import Flow, FlowMixture, MultivariateT
from flowvi.serialise import load_module, save_module

WEIGHTS = np.array([1.0, 3.0])
LOCATIONS = [np.array([-2.0, 0.0]), np.array([1.0, 3.0])]
TRIANGLES = [np.array([[0.5, 0.0], [0.3, 1.0]]), np.array([[2.0, 0.0], [-1.0, 0.4]])]


def of_gaussians(weights=WEIGHTS):
    parts = [flows.whiten(flows.gaussian(2), m, L) for m, L in zip(LOCATIONS, TRIANGLES, strict=True)]
    return Flow(FlowMixture(parts, weights), Identity((2,)))


def logpdf(x, weights=WEIGHTS / 4):
    parts = [
        scipy.stats.multivariate_normal(m, L @ L.T).pdf(x) for m, L in zip(LOCATIONS, TRIANGLES, strict=True)
    ]
    return np.log(weights @ np.stack(parts))


def test_log_prob_of_gaussians_with_weights_that_need_not_sum_to_one():
    x = 4 * np.random.default_rng(0).normal(size=(100, 2))
    np.testing.assert_allclose(of_gaussians().log_prob(x), logpdf(x), rtol=1e-9, atol=1e-12)


def test_log_prob_far_out_is_that_of_the_nearest_part():
    # the densities themselves are zero in double precision
    x = np.array([[-200.0, -200.0], [300.0, -50.0]])
    parts = [
        np.log(w) + scipy.stats.multivariate_normal(m, L @ L.T).logpdf(x)
        for w, m, L in zip(WEIGHTS / 4, LOCATIONS, TRIANGLES, strict=True)
    ]
    np.testing.assert_allclose(of_gaussians().log_prob(x), np.logaddexp(*parts), rtol=1e-10)


def test_draws_have_the_moments_and_the_density():
    n = 8192
    draws, of_draws = of_gaussians().sample_and_log_prob(0, (n,))
    np.testing.assert_allclose(of_draws, logpdf(draws), rtol=1e-9, atol=1e-10)
    mean = WEIGHTS @ LOCATIONS / 4
    covariance = sum(
        w / 4 * (L @ L.T + np.outer(m - mean, m - mean))
        for w, m, L in zip(WEIGHTS, LOCATIONS, TRIANGLES, strict=True)
    )
    # four and a half standard errors of means and of mean products
    np.testing.assert_allclose(draws.mean(axis=0), mean, atol=4.5 * np.sqrt(covariance.max() / n))
    products = (draws - mean)[:, :, None] * (draws - mean)[:, None, :]
    assert np.all(np.abs(products.mean(axis=0) - covariance) < 4.5 * products.std(axis=0) / np.sqrt(n))
    for i in range(2):

        def cdf(x, i=i):
            each = zip(WEIGHTS / 4, LOCATIONS, TRIANGLES, strict=True)
            return sum(w * scipy.stats.norm(m[i], np.linalg.norm(L[i])).cdf(x) for w, m, L in each)

        assert scipy.stats.kstest(draws[:, i], cdf).pvalue > 1e-3


def test_parts_with_bases_of_their_own():
    t = Flow(MultivariateT(2, 3.0), Identity((2,)))
    mixture = Flow(FlowMixture([flows.gaussian(2), t], [0.2, 0.8]), Identity((2,)))
    x = 5 * np.random.default_rng(0).normal(size=(50, 2))
    normal, heavy = (
        scipy.stats.multivariate_normal(np.zeros(2)),
        scipy.stats.multivariate_t(np.zeros(2), df=3),
    )
    expected = np.log(0.2 * normal.pdf(x) + 0.8 * heavy.pdf(x))
    np.testing.assert_allclose(mixture.log_prob(x), expected, rtol=1e-9)


def test_a_file_keeps_everything(tmp_path):
    mixture = of_gaussians()
    save_module(mixture, tmp_path / "q.npz")
    loaded = load_module(tmp_path / "q.npz")
    assert jax.tree.structure(loaded) == jax.tree.structure(mixture)
    x = 4 * np.random.default_rng(0).normal(size=(20, 2))
    np.testing.assert_array_equal(loaded.log_prob(x), mixture.log_prob(x))
    np.testing.assert_array_equal(loaded.sample(3, (20,)), mixture.sample(3, (20,)))


@pytest.mark.parametrize(
    ("parts", "weights", "message"),
    [
        (list, [], "one dimension"),
        (lambda: [flows.gaussian(2), flows.gaussian(3)], [0.5, 0.5], r"these have \[2, 3\]"),
        (lambda: [flows.real_nvp(2, key=0, condition_dim=1)], [1.0], "unconditional"),
        (lambda: [flows.gaussian(2)] * 2, [0.5, 0.0], "positive"),
        (lambda: [flows.gaussian(2)] * 2, [0.5, -0.5], "positive"),
        (lambda: [flows.gaussian(2)] * 2, [0.5, np.nan], "positive"),
        (lambda: [flows.gaussian(2)] * 2, [0.5, np.inf], "positive"),
        (lambda: [flows.gaussian(2)] * 2, [1.0], "not 2 positive"),
        (lambda: [flows.gaussian(2), flows.circular_spline(2, key=0)], [0.5, 0.5], "of angles"),
    ],
)
def test_errors_name_what_is_wrong(parts, weights, message, as_users_run_it):
    with pytest.raises(FlowError, match=message):
        FlowMixture(parts(), weights)
