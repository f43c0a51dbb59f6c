"""Base distributions against SciPy, and their draws against their densities."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax.scipy.special import gammaln

from flowvi.bijections import Identity
from flowvi.errors import FlowError
from flowvi.flows import DefensiveNormal, Flow, GaussianMixture, Normal, StudentT, WideNormal

WEIGHTS = np.array([0.2, 0.8])
LOCATIONS = np.array([[-2.0, 0.0], [1.0, 3.0]])
SCALES = np.array([[0.5, 1.0], [2.0, 0.1]])


def _mixture_logpdf(x):
    components = [scipy.stats.norm(m, s).pdf(x).prod(-1) for m, s in zip(LOCATIONS, SCALES, strict=True)]
    return np.log(WEIGHTS @ components)


def _mixture_cdf(i):
    return lambda x: sum(
        w * scipy.stats.norm(m[i], s[i]).cdf(x) for w, m, s in zip(WEIGHTS, LOCATIONS, SCALES, strict=True)
    )


BASES = {
    "normal": (Normal(2), lambda x: scipy.stats.norm.logpdf(x).sum(-1), [scipy.stats.norm.cdf] * 2),
    "student_t": (
        StudentT(2, np.array([1.5, 30.0])),
        lambda x: scipy.stats.t([1.5, 30.0]).logpdf(x).sum(-1),
        [scipy.stats.t(1.5).cdf, scipy.stats.t(30.0).cdf],
    ),
    "mixture": (
        GaussianMixture(WEIGHTS, LOCATIONS, SCALES),
        _mixture_logpdf,
        [_mixture_cdf(0), _mixture_cdf(1)],
    ),
}


def _defensive_logpdf(x):
    normal, far = scipy.stats.norm.pdf(x), scipy.stats.cauchy(scale=2).pdf(x)
    one_far = (far[..., 0] * normal[..., 1] + far[..., 1] * normal[..., 0]) / 2
    wide = scipy.stats.multivariate_t(np.zeros(2), np.eye(2), 3).pdf(x)
    return np.log(normal.prod(-1) / 2 + one_far / 4 + wide / 4)


def _defensive_cdf(x):
    # a coordinate is far out on its own account in an eighth of the draws
    normal, far, wide = scipy.stats.norm.cdf(x), scipy.stats.cauchy(scale=2).cdf(x), scipy.stats.t(3).cdf(x)
    return 5 / 8 * normal + far / 8 + wide / 4


_WIDE = scipy.stats.norm(scale=1 + 0.5 / np.sqrt(2))
BASES["wide"] = (WideNormal(2), lambda x: _WIDE.logpdf(x).sum(-1), [_WIDE.cdf] * 2)
BASES["defensive"] = (DefensiveNormal(2), _defensive_logpdf, [_defensive_cdf] * 2)
each_base = pytest.mark.parametrize(("base", "logpdf", "cdfs"), BASES.values(), ids=BASES)


@each_base
def test_log_prob_and_draws(base, logpdf, cdfs):
    flow = Flow(base, Identity((2,)))
    draws, of_draws = flow.sample_and_log_prob(0, (4096,))
    np.testing.assert_allclose(of_draws, logpdf(draws), rtol=1e-11, atol=1e-12)
    for i, cdf in enumerate(cdfs):
        assert scipy.stats.kstest(draws[:, i], cdf).pvalue > 1e-3


@pytest.mark.parametrize("df", [1.001, 3.0, 31.0, 99.9, 100.1, 1e4, 9e5])
def test_log_prob_of_student_t_at_any_degrees_of_freedom(df):
    x = np.array([0.0, 0.3, -5.0, 1e4])
    log_probs = Flow(StudentT(1, df), Identity((1,))).log_prob(x[:, None])
    # SciPy subtracts log gamma functions of size df log df
    np.testing.assert_allclose(
        log_probs, scipy.stats.t(df).logpdf(x), rtol=1e-12, atol=1e-15 * df * np.log(df)
    )


def test_coordinates_of_student_t_are_independent():
    draws = Flow(StudentT(2, 4.0), Identity((2,))).sample(0, (4096,))
    # a common chi-square variable would correlate the sizes
    assert abs(scipy.stats.spearmanr(np.abs(draws)).statistic) < 4 / np.sqrt(4096)


@jax.jit
def _draw_and_gradient(base, key):
    def of_base(base):
        return jnp.sum(base.sample(key)) + base.log_prob(jnp.array([0.1, 1e4]))

    return base.sample(key), jax.grad(of_base)(base).raw_df


@pytest.mark.parametrize("raw", [-1e300, -50.0, 50.0, 1e6, 1e300])
def test_any_degrees_of_freedom_are_valid(raw):
    with jax.enable_x64(True):
        base = eqx.tree_at(lambda b: b.raw_df, StudentT(2), jnp.full(2, raw))
        draw, gradient = _draw_and_gradient(base, jax.random.key(0))
    assert np.all(np.isfinite(draw))
    assert np.all(np.isfinite(gradient))


def test_draws_of_student_t_are_differentiable_in_the_degrees_of_freedom():
    base = StudentT(1, 5.0)
    with jax.enable_x64(True):

        @jax.jit
        def gradients(keys):
            return jax.vmap(lambda key: jax.grad(lambda b: jnp.abs(b.sample(key))[0])(base).raw_df[0])(keys)

        def mean_size(df):
            half = df / 2
            return 2 * jnp.sqrt(df / np.pi) * jnp.exp(gammaln(half + 0.5) - gammaln(half)) / (df - 1)

        per_draw = np.asarray(gradients(jax.random.split(jax.random.key(0), 4096)))
        # d df / d raw is the derivative of softplus
        exact = float(jax.grad(mean_size)(5.0) * jax.nn.sigmoid(base.raw_df[0]))
    assert abs(per_draw.mean() - exact) < 4 * per_draw.std() / np.sqrt(len(per_draw))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: StudentT(2, 0.5), "above 1"),
        (lambda: StudentT(2, np.ones(3) * 4), "one per coordinate"),
        (lambda: StudentT(2, np.nan), "above 1"),
        (lambda: GaussianMixture([1.0], np.zeros((2, 1)), np.ones((2, 1))), "do not agree"),
        (lambda: GaussianMixture([1.0, 0.0], np.zeros((2, 1)), np.ones((2, 1))), "not all positive"),
        (lambda: GaussianMixture([0.5, 0.5], np.zeros((2, 1)), -np.ones((2, 1))), "positive"),
    ],
)
def test_errors_name_what_is_wrong(call, message):
    with pytest.raises(FlowError, match=message):
        call()
