"""Training: that it learns, how it warms up, what it keeps and what it refuses."""

import equinox as eqx
import linear_gaussian as known
import numpy as np
import pytest
import scipy.stats

import flowvi
from flowvi import vae
from flowvi.errors import ArgumentError, DataError, FlowError
from flowvi.vae.warm_up import kl_weights

pytestmark = pytest.mark.slow


X = known.rows(600)


def built(x=X, **options):
    defaults = {"likelihood": "gaussian", "posterior": "planar", "length": 3, "latent": 2, "width": 16}
    return vae.autoencoder(x, key=0, **defaults | options)


def test_it_nears_the_likelihood_of_a_linear_gaussian():
    trained = vae.train(built(posterior="diagonal"), X, steps=600, chunk=100, step_size=1e-2)
    fresh = known.rows(500, seed=1)
    of_rows = vae.bounds(trained.model, fresh, key=0, samples=200)
    lost = known.MARGINAL.logpdf(fresh) - of_rows.log_prob
    # 540 rows teach some 20 parameters that matter to within 0.02 nats; twenty times that is not learning
    assert -3 * lost.std() / np.sqrt(500) < lost.mean() < 0.4
    assert trained.held_out[0] < trained.best.value - 0.5


def test_the_best_state_is_kept():
    trained = vae.train(built(), X, steps=60, chunk=20)
    assert trained.best.value == trained.held_out.max()
    assert trained.held_out_steps.tolist() == [0, 20, 40, 60]
    assert trained.curve.shape == (60,)
    assert trained.skipped == 0


def test_the_same_seed_gives_the_same_model():
    first, second, other = (
        vae.train(built(), X, steps=20, chunk=20, seed=seed).model.decode(np.ones((1, 2)))
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, second)
    assert np.any(first != other)


def test_the_weight_of_the_divergence_grows_to_one():
    np.testing.assert_allclose(kl_weights(20_000, 10_000)[[0, 5000, 9900, 15_000]], [0.01, 0.51, 1.0, 1.0])
    np.testing.assert_array_equal(kl_weights(3, 0), 1.0)


@pytest.mark.parametrize(("scale", "gains_at_first"), [(2.0, True), (0.5, False)], ids=["wide", "narrow"])
def test_at_first_the_divergence_from_the_prior_counts_for_little(scale, gains_at_first):
    # from a posterior that is too wide or too narrow: what reconstruction alone asks for is a narrow one
    first, whole = (
        vae.train(known.model(scale), X, steps=100, chunk=100, step_size=1e-2, warm_up=warm_up)
        for warm_up in (10**9, 0)
    )
    assert whole.held_out[-1] > whole.held_out[0]
    assert (first.held_out[-1] > first.held_out[0]) == gains_at_first
    # and where it got worse, the state before that is the best
    assert first.best.value == first.held_out[1 if gains_at_first else 0]


@pytest.mark.parametrize("likelihood", ["bernoulli", "discretised_logistic", "poisson", "categorical"])
def test_every_likelihood_trains(likelihood):
    x = np.random.default_rng(0).integers(2, size=(100, 3))
    model = vae.autoencoder(x, likelihood=likelihood, latent=2, width=8, length=2, key=0)
    trained = vae.train(model, x, steps=30, chunk=30, batch=20, step_size=1e-2)
    assert trained.best.value > trained.held_out[0]
    draws = trained.model.sample(0, 50)
    assert draws.shape == (50, 3)
    model.likelihood.check(draws)


def test_draws_of_a_linear_gaussian_have_its_moments():
    draws = known.model().sample(0, 4000)
    np.testing.assert_allclose(draws.mean(axis=0), known.CENTRE, atol=4 * 2.5 / np.sqrt(4000))
    np.testing.assert_allclose(np.cov(draws.T), known.MARGINAL.cov, atol=0.4)


def test_encoding_and_decoding():
    model = known.model()
    z = model.encode(X, key=0)
    assert z.shape == (600, 2)
    # the mean of what is decoded is the row's own projection
    residual = X - model.decode(z)
    assert residual.std() == pytest.approx(known.SD, rel=0.1)


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (X[:10], "20 at least"),
        (np.zeros((50, 3)), "3 columns"),
        (np.where(X[5] == X, np.nan, X), "not finite"),
        (np.ones((50, 4)), "the same"),
    ],
    ids=["few", "columns", "NaN", "constant"],
)
def test_bad_rows_are_refused(x, words, as_users_run_it):
    with pytest.raises(DataError, match=words):
        vae.train(built(), x)


def test_counts_of_any_size_are_learned():
    rng = np.random.default_rng(0)
    rate = 8000 * np.exp(rng.normal(size=(500, 2)) @ (0.3 * rng.normal(size=(2, 4))))
    x = rng.poisson(rate).astype(float)
    model = built(x, likelihood="poisson", posterior="diagonal")
    trained = vae.train(model, x, steps=500, chunk=250, step_size=1e-2)
    # the counts given their rates have this log probability, and two latents cost some nats each
    assert trained.best.value > scipy.stats.poisson(rate).logpmf(x).sum(axis=1).mean() - 20


@pytest.mark.parametrize("n", [-1, 1.5, "a"])
def test_a_number_of_draws_that_is_none_is_refused(n, as_users_run_it):
    with pytest.raises(ArgumentError, match="n="):
        known.model().sample(0, n)


def test_no_draws_and_a_step_size_of_another_kind(as_users_run_it):
    assert known.model().sample(0, 0).shape == (0, 4)
    one, other = (vae.train(built(), X, steps=2, chunk=2, step_size=s) for s in (np.float32(0.5), 0.5))
    np.testing.assert_array_equal(one.curve, other.curve)


@pytest.mark.parametrize("z", [np.zeros(2), np.zeros((3, 5)), "a", [[np.nan, 0.0]], np.zeros((0, 2))])
def test_latents_that_do_not_fit_are_refused(z, as_users_run_it):
    with pytest.raises(DataError, match="z "):
        known.model().decode(z)


@pytest.mark.parametrize(
    ("prior", "words"),
    [(flowvi.flows.Normal(3), r"on R\^3"), (flowvi.flows.UniformTorus(2), "the torus of dim 2")],
)
def test_a_prior_of_another_space_is_refused(prior, words):
    with pytest.raises(FlowError, match=words):
        built(prior=prior)


def test_a_seed_that_is_none_is_refused(as_users_run_it):
    with pytest.raises(ArgumentError, match="seed='a'"):
        vae.train(built(), X, seed="a")


@pytest.mark.parametrize("name", ["steps", "batch", "chunk", "warm_up", "step_size", "schedule"])
def test_bad_numbers_are_refused(name, as_users_run_it):
    with pytest.raises(ArgumentError, match=name):
        vae.train(built(), X, **{name: -1})


def test_bad_parts_are_refused(as_users_run_it):
    with pytest.raises(ArgumentError, match="planar"):
        built(posterior="plane")
    with pytest.raises(FlowError, match="latent"):
        built(latent=0)
    with pytest.raises(FlowError, match="posterior"):
        built(posterior=built(latent=3).posterior)
    with pytest.raises(DataError, match="shape"):
        built(np.zeros((5, 2, 2)))


@pytest.mark.parametrize(
    "posterior", ["diagonal", "planar", "sylvester", "iaf", "real_nvp", "neural_spline", "radial"]
)
def test_saving_and_loading_is_exact(posterior, tmp_path):
    model = built(posterior=posterior)
    flowvi.save_module(model, tmp_path / "model.npz")
    assert eqx.tree_equal(flowvi.load_module(tmp_path / "model.npz"), model)
