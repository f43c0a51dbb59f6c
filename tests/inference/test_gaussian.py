"""Batch-and-match: exact on Gaussians, sane on what is not."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from stages import density_of

from flowvi import Budget
from flowvi.inference.explore import Mode
from flowvi.inference.gaussian import Gaussian, batch_and_match, fit_gaussian, mean_field

pytestmark = pytest.mark.usefixtures("x64")


def gaussian_target(location, covariance):
    precision = jnp.asarray(np.linalg.inv(covariance))
    return lambda x: -0.5 * (x - location) @ precision @ (x - location)


def test_a_gaussian_is_recovered_from_far_away():
    rng = np.random.default_rng(0)
    location = np.array([3.0, -40.0, 0.2, 20.0, 0.0])
    half = rng.normal(size=(5, 5)) * np.array([1.0, 10.0, 0.1, 1.0, 3.0])[:, None]
    covariance = half @ half.T
    density = density_of(gaussian_target(location, covariance), 5)
    fit = batch_and_match(density, Gaussian(np.zeros(5), np.eye(5)), rng, max_steps=150)
    sd = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose((fit.gaussian.location - location) / sd, 0, atol=1e-3)
    found = fit.gaussian.scale_tril @ fit.gaussian.scale_tril.T / np.outer(sd, sd)
    np.testing.assert_allclose(found, covariance / np.outer(sd, sd), atol=1e-3)
    assert fit.converged
    assert fit.sd_log_weights < 0.01
    # of the unnormalised density: log det(2 pi covariance) / 2
    assert fit.elbo == pytest.approx(0.5 * np.linalg.slogdet(2 * np.pi * covariance)[1], abs=0.01)


def test_the_scales_of_a_skewed_target_are_those_of_its_middle():
    # the logarithm of a Gamma(4, 1) variable: variance psi'(4) = 0.28
    density = density_of(lambda x: jnp.sum(4 * x - jnp.exp(x)), 1)
    fit = batch_and_match(density, Gaussian(np.zeros(1), np.eye(1)), np.random.default_rng(0), 100)
    gamma = scipy.stats.loggamma(4)
    assert fit.gaussian.location[0] == pytest.approx(gamma.mean(), abs=0.15)
    assert fit.gaussian.scale_tril[0, 0] == pytest.approx(gamma.std(), rel=0.15)


def funnel(x):
    return -0.5 * (x[0] / 3) ** 2 - 0.5 * jnp.sum(x[1:] ** 2) * jnp.exp(-x[0]) - 0.5 * (len(x) - 1) * x[0]


def test_a_funnel_is_left_with_finite_numbers_of_its_own_size():
    fit = fit_gaussian(density_of(funnel, 5), [], np.random.default_rng(0))
    assert np.all(np.abs(fit.gaussian.location) < 10)
    sd = np.sqrt((fit.gaussian.scale_tril**2).sum(axis=1))
    assert np.all((sd > 0.1) & (sd < 30))
    assert np.isfinite(fit.elbo)


def test_a_mode_in_the_funnels_neck_loses_to_a_broad_beginning():
    dim = 5
    neck = Mode(np.array([-8.0, 0, 0, 0, 0]), 1e-2 * np.eye(dim), 20.0, 0.0, 1)
    density = density_of(funnel, dim)
    fit = fit_gaussian(density, [neck], np.random.default_rng(0))
    from_the_neck = batch_and_match(
        density, Gaussian(neck.location, neck.scale_tril), np.random.default_rng(0), max_steps=60
    )
    assert from_the_neck is None or fit.elbo >= from_the_neck.elbo
    assert fit.elbo > 2.5 * np.log(2 * np.pi) + np.log(3) - 3


def test_nothing_where_the_density_is_finite_at_too_few_draws():
    density = density_of(lambda x: jnp.where(jnp.abs(x[0]) < 1e-3, 0.0, -jnp.inf) - 0.5 * x[0] ** 2, 1)
    assert fit_gaussian(density, [], np.random.default_rng(0)) is None


def test_push_and_pull_are_inverse_with_their_log_det():
    q = Gaussian(np.array([1.0, -2.0]), np.array([[2.0, 0.0], [1.0, 0.5]]))
    base = np.random.default_rng(0).normal(size=(5, 2))
    z, log_det = q.push(base)
    np.testing.assert_allclose(log_det, np.log(1.0), atol=1e-15)
    expected = scipy.stats.multivariate_normal(q.location, q.scale_tril @ q.scale_tril.T).logpdf(z)
    np.testing.assert_allclose(scipy.stats.norm.logpdf(base).sum(1) - log_det, expected)
    back, back_log_det = q.pull(z)
    np.testing.assert_allclose(back, base, atol=1e-14)
    np.testing.assert_allclose(back_log_det, -log_det)


def test_mean_field_has_the_scales_of_the_conditionals():
    # the normal without correlations that is closest in KL(q, p) has variances 1 / precision
    rng = np.random.default_rng(0)
    half = rng.normal(size=(4, 8)) * np.array([1.0, 30.0, 0.05, 1.0])[:, None]
    covariance, location = half @ half.T, np.array([1.0, -50.0, 0.0, 3.0])
    sd = np.sqrt(np.diag(covariance))
    density = density_of(gaussian_target(location, covariance), 4)
    beginning = Gaussian(location + sd, np.linalg.cholesky(2 * covariance))
    fit = mean_field(density, beginning, rng)
    precision = np.linalg.inv(covariance)
    scale = 1 / np.sqrt(np.diag(precision))
    np.testing.assert_array_equal(fit.gaussian.scale_tril, np.diag(np.diag(fit.gaussian.scale_tril)))
    # steps of the last tenth are half a percent of a scale, on gradients of 32 draws
    np.testing.assert_allclose(np.diag(fit.gaussian.scale_tril) / scale, 1, atol=0.06)
    np.testing.assert_allclose((fit.gaussian.location - location) / scale, 0, atol=0.1)
    # E_q[log p] - E_q[log q], where E_q of the quadratic form is the dimension
    elbo = -2 + 2 * (1 + np.log(2 * np.pi)) + np.log(scale).sum()
    assert fit.elbo == pytest.approx(elbo, abs=0.1)
    assert density.ledger.gradients == 300 * 32
    fixed = np.random.default_rng(1).standard_normal((4000, 4))
    log_weight = -0.5 * np.einsum("ni,ij,nj->n", fixed * scale, precision, fixed * scale)
    log_weight += 0.5 * (fixed**2).sum(axis=1)
    assert fit.sd_log_weights == pytest.approx(log_weight.std(), rel=0.15)


def test_mean_field_of_a_skewed_target_maximises_the_elbo():
    # a x - e^x of a Gamma(a) variable's logarithm: E_q is a m - exp(m + s^2 / 2), so s^2 = 1/a
    density = density_of(lambda x: 4 * x[0] - jnp.exp(x[0]), 1)
    fit = mean_field(density, Gaussian(np.array([-1.0]), np.array([[2.0]])), np.random.default_rng(0))
    s = 0.5
    m = np.log(4) - s**2 / 2
    assert fit.gaussian.location[0] == pytest.approx(m, abs=0.1 * s)
    assert fit.gaussian.scale_tril[0, 0] == pytest.approx(s, rel=0.06)
    elbo = 4 * m - 4 + 0.5 * (1 + np.log(2 * np.pi)) + np.log(s)
    assert fit.elbo == pytest.approx(elbo, abs=0.05)


def test_mean_field_keeps_within_its_budget_and_tells_of_no_density():
    density = density_of(lambda x: -0.5 * x @ x, 2, Budget(gradients=100))
    beginning = Gaussian(np.zeros(2), np.eye(2))
    assert mean_field(density, beginning, np.random.default_rng(0)) is not None
    assert density.ledger.gradients == 128
    nowhere = density_of(lambda x: jnp.where(jnp.abs(x[0]) < 1e-3, 0.0, -jnp.inf) - 0.5 * x[0] ** 2, 1)
    assert mean_field(nowhere, Gaussian(np.zeros(1), np.eye(1)), np.random.default_rng(0)) is None
