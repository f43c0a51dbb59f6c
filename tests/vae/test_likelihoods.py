"""Likelihoods against SciPy, and against their own draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from flowvi import vae
from flowvi.errors import ArgumentError, DataError
from flowvi.vae.likelihoods import likelihood_of

pytestmark = pytest.mark.slow


LOGITS = np.array([-1.2, 0.3, 2.0])
OUTPUTS = np.random.default_rng(0).normal(size=9)
SCALE = np.exp(60 * np.tanh(OUTPUTS[1:6:2] / 60))


def logistic_mass(x):
    mean, scale = 15 * (1 + OUTPUTS[:6:2]) / 2, 2 * np.exp(10 * np.tanh(OUTPUTS[1:6:2] / 10))
    upper = np.where(x == 15, np.inf, x + 0.5)
    lower = np.where(x == 0, -np.inf, x - 0.5)
    return np.log(scipy.stats.logistic(mean, scale).cdf(upper) - scipy.stats.logistic(mean, scale).cdf(lower))


def class_log_probabilities(x):
    probabilities = scipy.special.log_softmax(OUTPUTS.reshape(3, 3), axis=1)
    return probabilities[np.arange(3), x.astype(int)]


# likelihood, outputs, values that a column takes, SciPy's log probabilities of three columns
CASES = {
    "bernoulli": (
        vae.Bernoulli(),
        LOGITS,
        np.arange(2.0),
        lambda x: scipy.stats.bernoulli(scipy.special.expit(LOGITS)).logpmf(x),
    ),
    "poisson": (
        vae.Poisson(),
        LOGITS,
        np.arange(60.0),
        lambda x: scipy.stats.poisson(np.exp(60 * np.tanh(LOGITS / 60))).logpmf(x),
    ),
    "poisson of a mean": (
        vae.Poisson(4.0, 2.0, 0.5),
        LOGITS,
        np.arange(120.0),
        lambda x: scipy.stats.poisson(4 * np.exp(60 * np.tanh(LOGITS / 60))).logpmf(x),
    ),
    "discretised_logistic": (vae.DiscretisedLogistic(16), OUTPUTS[:6], np.arange(16.0), logistic_mass),
    "categorical": (vae.Categorical(3), OUTPUTS, np.arange(3.0), class_log_probabilities),
    "gaussian": (
        vae.Gaussian(np.array([1.0, 2.0, -3.0]), np.array([2.0, 0.5, 10.0])),
        OUTPUTS[:6],
        np.linspace(-400, 400, 200_001),
        lambda x: scipy.stats.norm(
            np.array([1.0, 2.0, -3.0]) + np.array([2.0, 0.5, 10.0]) * OUTPUTS[:6:2],
            np.array([2.0, 0.5, 10.0]) * SCALE,
        ).logpdf(x),
    ),
}
each_case = pytest.mark.parametrize(("likelihood", "outputs", "values", "exact"), CASES.values(), ids=CASES)


@each_case
def test_it_is_that_of_scipy(likelihood, outputs, values, exact):
    rng = np.random.default_rng(1)
    with jax.enable_x64(True):
        for x in rng.choice(values[len(values) // 3 :], size=(20, 3)):
            expected = exact(x).sum()
            assert float(likelihood.log_prob(jnp.asarray(x), jnp.asarray(outputs))) == pytest.approx(
                expected, rel=1e-9
            )


@each_case
def test_it_sums_to_one_and_has_its_mean(likelihood, outputs, values, exact):
    each = outputs.reshape(3, -1)
    spacing = values[1] - values[0]
    with jax.enable_x64(True):
        means = np.asarray(likelihood.mean(jnp.asarray(outputs)))
        for column, mean in enumerate(means):
            of_column = one_column(likelihood, column)
            log_prob = jax.vmap(
                lambda x, column=column, c=of_column: c.log_prob(x, jnp.asarray(each[column]))
            )
            probabilities = spacing * np.exp(np.asarray(log_prob(jnp.asarray(values)[:, None])))
            assert probabilities.sum() == pytest.approx(1, abs=1e-8)
            assert probabilities @ values == pytest.approx(mean, abs=1e-6)


def one_column(likelihood, column):
    if isinstance(likelihood, vae.Gaussian):
        at = slice(column, column + 1)
        return vae.Gaussian(np.asarray(likelihood.location.value)[at], np.asarray(likelihood.scale.value)[at])
    return likelihood


@each_case
def test_draws_have_its_mean(likelihood, outputs, values, exact):
    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.key(0), 4000)
        draws = np.asarray(jax.vmap(lambda key: likelihood.sample(key, jnp.asarray(outputs)))(keys))
        mean = np.asarray(likelihood.mean(jnp.asarray(outputs)))
    likelihood.check(draws)
    assert np.all(np.abs(draws.mean(axis=0) - mean) < 4.5 * draws.std(axis=0) / np.sqrt(4000))


@each_case
def test_extreme_outputs_give_finite_values_and_gradients(likelihood, outputs, values, exact):
    x = jnp.asarray(values[[0, len(values) // 2, -1]], jnp.float32)
    for size in (-30.0, 30.0):
        extreme = jnp.full(outputs.shape, size, jnp.float32)
        if not isinstance(likelihood, vae.Gaussian):
            assert np.isfinite(float(likelihood.log_prob(x, extreme)))
            assert np.all(np.isfinite(np.asarray(jax.grad(likelihood.log_prob, 1)(x, extreme))))
        assert np.all(np.isfinite(np.asarray(likelihood.inputs(x))))


def test_by_name_it_takes_moments_and_levels_from_the_data():
    x = np.array([[0.0, 5.0], [2.0, 3.0], [1.0, 4.0]])
    assert likelihood_of("categorical", x).classes == 6
    assert likelihood_of("discretised_logistic", x).levels == 6
    np.testing.assert_allclose(np.asarray(likelihood_of("gaussian", x).location.value), [1.0, 4.0])


@pytest.mark.parametrize("name", ["bernoulli", "poisson", "discretised_logistic", "categorical"])
@pytest.mark.parametrize("bad", [0.5, -1.0])
def test_impossible_data_are_refused_with_their_place(name, bad, as_users_run_it):
    x = np.array([[0.0, 1.0], [1.0, bad]])
    with pytest.raises(DataError, match="row 1, column 1"):
        likelihood_of(name, x)


def test_poisson_starts_where_the_data_are():
    rng = np.random.default_rng(0)
    x = rng.poisson([8000.0, 3.0, 0.0], size=(200, 3)).astype(float)
    likelihood = likelihood_of("poisson", x)
    with jax.enable_x64(True):
        mean = np.asarray(likelihood.mean(jnp.zeros(3)))
        seen = np.asarray(jax.vmap(likelihood.inputs)(jnp.asarray(x)))
    np.testing.assert_allclose(mean, [*x[:, :2].mean(axis=0), 0.5 / 200], rtol=1e-12)
    np.testing.assert_allclose(seen.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(seen.std(axis=0), [1, 1, 0], atol=1e-9)


def test_rounding_is_no_scale():
    x = 1 + 1e-14 * np.random.default_rng(0).normal(size=(50, 1))
    assert np.asarray(likelihood_of("gaussian", x).scale.value).tolist() == [1.0]


def test_unknown_names_are_refused(as_users_run_it):
    with pytest.raises(ArgumentError, match="bernoulli"):
        likelihood_of("binomial", np.zeros((2, 2)))
