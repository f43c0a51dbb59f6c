"""Bounds of a linear Gaussian model against their closed forms."""

import equinox as eqx
import jax
import jax.numpy as jnp
import linear_gaussian as known
import numpy as np
import pytest

from flowvi import vae
from flowvi.bijections import trainable
from flowvi.errors import ArgumentError, DataError

pytestmark = pytest.mark.slow


X = known.rows(40)


def test_with_the_exact_posterior_each_weight_is_the_likelihood():
    of_rows = vae.bounds(known.model(), X, key=0, samples=20, precision="float64")
    np.testing.assert_allclose(of_rows.elbo, known.MARGINAL.logpdf(X), rtol=1e-10)
    np.testing.assert_allclose(of_rows.log_prob, known.MARGINAL.logpdf(X), rtol=1e-10)
    assert np.all(of_rows.elbo_error < 1e-10)


def test_the_elbo_lacks_the_divergence_from_the_posterior():
    of_rows = vae.bounds(known.model(1.4, 0.2), X, key=0, samples=2000, precision="float64")
    expected = known.MARGINAL.logpdf(X) - known.divergence(1.4, 0.2)
    z = (of_rows.elbo - expected) / of_rows.elbo_error
    assert np.abs(z).max() < 5
    assert np.sqrt(np.mean(z**2)) == pytest.approx(1, abs=0.35)
    np.testing.assert_allclose(of_rows.gap, known.divergence(1.4, 0.2), atol=6 * of_rows.elbo_error.max())


def test_the_weighted_bound_grows_to_the_likelihood():
    model = known.model(1.4, 0.2)
    exact = known.MARGINAL.logpdf(X)
    lacks = []
    for samples in (1, 4, 16, 64):
        of_runs = [
            vae.bounds(model, X, key=key, samples=samples, precision="float64").log_prob for key in range(30)
        ]
        lacks.append(np.mean(exact - np.stack(of_runs)))
    assert lacks[0] == pytest.approx(known.divergence(1.4, 0.2), rel=0.1)
    assert np.all(np.diff(lacks) < 0)
    assert 0 < lacks[-1] < 0.02


def test_with_many_samples_it_is_the_likelihood_within_its_error():
    of_rows = vae.bounds(known.model(1.4, 0.2), X, key=0, samples=5000)
    z = (of_rows.log_prob - known.MARGINAL.logpdf(X)) / of_rows.log_prob_error
    assert np.abs(z).max() < 5
    assert np.all(of_rows.log_prob_error < 0.03)


def test_a_row_depends_on_the_key_and_its_number_alone():
    model = known.model(1.4)
    x = known.rows(70)
    together = vae.bounds(model, x, key=1, samples=10)
    alone = vae.bounds(model, x[:3], key=1, samples=10)
    np.testing.assert_array_equal(together.log_prob[:3], alone.log_prob)
    assert np.any(vae.bounds(model, x[:3], key=2, samples=10).log_prob != alone.log_prob)


@pytest.mark.parametrize(
    "posterior", ["diagonal", "planar", "radial", "sylvester", "iaf", "real_nvp", "neural_spline"]
)
def test_the_density_of_the_posterior_is_that_of_a_dense_jacobian(posterior):
    x = np.random.default_rng(0).integers(2, size=(20, 5)).astype(float)
    model = vae.autoencoder(x, latent=3, posterior=posterior, length=3, width=6, key=0)
    model = shaken(model, 1)
    with jax.enable_x64(True):
        for row, noise in zip(x[:3], np.random.default_rng(1).normal(size=(3, 3)), strict=True):
            _, log_q = model.posterior_draw(jnp.asarray(row), jnp.asarray(noise))
            jacobian = jax.jacfwd(lambda e, row=row: model.posterior_draw(jnp.asarray(row), e)[0])(
                jnp.asarray(noise)
            )
            _, log_det = np.linalg.slogdet(np.asarray(jacobian))
            base = -0.5 * np.sum(noise**2) - 1.5 * np.log(2 * np.pi)
            assert float(log_q) == pytest.approx(base - log_det, abs=1e-8)


def test_rows_have_flows_of_their_own():
    x = np.array([[0.0, 1.0, 0.0], [1.0, 1.0, 1.0]] * 10)
    model = shaken(vae.autoencoder(x, latent=2, posterior="planar", length=4, width=6, key=0), 2)
    with jax.enable_x64(True):
        features = [model.encoder(model.likelihood.inputs(jnp.asarray(row)))[2] for row in x[:2]]
        log_dets = [model.posterior.forward_and_log_det(jnp.ones(2), h)[1] for h in features]
    assert abs(float(log_dets[0]) - float(log_dets[1])) > 1e-3


def shaken(model, seed):
    """With random numbers added to all that is trained, so that no part is the identity."""
    rng = np.random.default_rng(seed)
    arrays, rest = eqx.partition(model, trainable(model))
    with jax.enable_x64(True):
        arrays = jax.tree.map(lambda a: jnp.asarray(np.asarray(a) + 0.3 * rng.normal(size=a.shape)), arrays)
    return eqx.combine(arrays, rest)


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.zeros((3, 5)), "5 columns"),
        (np.full((3, 4), np.nan), "not finite"),
        (np.zeros(4), "shape"),
        ([["a"] * 4], "numbers"),
    ],
    ids=["columns", "NaN", "vector", "words"],
)
def test_bad_rows_are_refused(x, words, as_users_run_it):
    with pytest.raises(DataError, match=words):
        vae.bounds(known.model(), x, key=0)


def test_bad_settings_are_refused(as_users_run_it):
    with pytest.raises(ArgumentError, match="samples"):
        vae.bounds(known.model(), X, key=0, samples=0)
    with pytest.raises(ArgumentError, match="precision"):
        vae.bounds(known.model(), X, key=0, precision="float16")
