"""The three families: what each says of log p(x), draws, repeatability, and what is refused."""

import numpy as np
import pytest

import flowvi
from flowvi.errors import ArgumentError, DataError, FlowError, NoDensityError
from flowvi.families import GAN, VAE, Flow
from flowvi.vae import Bounds

pytestmark = pytest.mark.slow


X = np.array([3.0, -50.0]) + np.array([0.5, 10.0]) * np.random.default_rng(0).normal(size=(400, 2))

SETTINGS = {
    "flow": Flow("gaussian", max_steps=50),
    "VAE": VAE(width=8, steps=25, length=2, samples=20),
    "GAN": GAN(width=8, depth=1, steps=20, batch=32),
    "WGAN-GP": GAN("wasserstein", width=8, depth=1, steps=10, batch=32),
    "GAN of a flow": GAN(
        generator=flowvi.flows.nice(2, key=0, layers=2), width=8, depth=1, steps=20, batch=32
    ),
}
each_family = pytest.mark.parametrize("family", SETTINGS.values(), ids=SETTINGS)


@pytest.fixture(scope="module")
def fitted():
    return {name: family.fit(X) for name, family in SETTINGS.items()}


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.slow
def test_draws_are_on_the_scale_of_the_data(fitted, name):
    draws = fitted[name].sample(500, seed=1)
    assert draws.shape == (500, 2)
    assert draws.dtype == np.float64
    # so short a training learns no more than location and scale
    assert np.all(np.abs(np.median(draws, axis=0) - [3.0, -50.0]) < [1.5, 30.0])
    np.testing.assert_array_equal(draws, fitted[name].sample(500, seed=1))
    assert np.any(draws != fitted[name].sample(500, seed=2))


@each_family
def test_the_same_seed_gives_the_same_model(family):
    first, second, other = (family.fit(X, seed).sample(20) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, second)
    assert np.any(first != other)


def mass(log_prob):
    """The integral over a rectangle that holds nearly all, by the rectangle rule."""
    a, b = np.linspace(-3, 9, 401), np.linspace(-170, 70, 401)
    grid = np.stack(np.meshgrid(a, b, indexing="ij"), axis=-1).reshape(-1, 2)
    return np.exp(log_prob(grid)).sum() * (a[1] - a[0]) * (b[1] - b[0])


@pytest.mark.parametrize("name", ["flow", "GAN of a flow"])
def test_exact_densities_integrate_to_one(fitted, name):
    assert mass(fitted[name].log_prob) == pytest.approx(1, abs=0.01)


def test_a_generator_that_is_a_flow_has_the_density_of_its_draws(fitted):
    model = fitted["GAN of a flow"]
    draws = model.sample(4000, seed=3)
    # E_q[1 / q] over a box is its area
    low, high = np.quantile(draws, [0.25, 0.75], axis=0)
    inside = np.all((draws > low) & (draws < high), axis=1)
    weights = inside / np.exp(model.log_prob(draws))
    area = np.prod(high - low)
    assert weights.mean() == pytest.approx(area, abs=4 * weights.std() / np.sqrt(4000))


def test_a_network_generator_has_no_density(fitted):
    for name in ("GAN", "WGAN-GP"):
        with pytest.raises(NoDensityError, match="real_nvp"):
            fitted[name].log_prob(X)


def test_an_autoencoder_bounds_the_density_from_below(fitted):
    known = fitted["VAE"].log_prob(X[:50])
    assert isinstance(known, Bounds)
    assert known.elbo.shape == (50,)
    assert np.all(known.gap > 0)
    # the mean over data of any density is at most minus the entropy
    entropy = np.log(2 * np.pi * np.e) + np.log(0.5 * 10.0)
    assert np.mean(known.log_prob) < -entropy + 0.3
    again = fitted["VAE"].log_prob(X[:50])
    np.testing.assert_array_equal(known.log_prob, again.log_prob)


@pytest.mark.parametrize("loss", ["non_saturating", "wasserstein"])
@pytest.mark.slow
def test_a_game_moves_the_draws_to_the_data(loss):
    rng = np.random.default_rng(0)
    x = rng.choice([-2.0, 2.0], size=(1000, 2)) + 0.1 * rng.normal(size=(1000, 2))
    fitted = GAN(loss, width=64, depth=2, steps=1000, batch=64, step_size=1e-3).fit(x)
    draws = fitted.sample(1000)
    near = np.all(np.abs(np.abs(draws) - 2) < 1, axis=1)
    # a normal of these moments has 0.3 of its mass there
    assert near.mean() > 0.45
    assert fitted.played.losses.shape == (1000, 2)
    assert fitted.played.skipped == 0


@each_family
@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.where(X[3] == X, np.nan, X), "nan"),
        (X[:20], "rows"),
        (np.ones((100, 2)), "1 distinct value"),
        (np.zeros((100, 2, 2)), "shape"),
        ([["a", "b"]] * 100, "number"),
    ],
    ids=["NaN", "few", "constant", "cube", "words"],
)
def test_bad_data_are_refused(family, x, words, as_users_run_it):
    with pytest.raises(DataError, match=words):
        family.fit(x)


@pytest.mark.parametrize("name", ["flow", "VAE", "GAN of a flow"])
def test_bad_rows_are_refused_in_judging(fitted, name, as_users_run_it):
    with pytest.raises(DataError, match="3 columns"):
        fitted[name].log_prob(np.zeros((5, 3)))
    with pytest.raises(DataError, match="nan"):
        fitted[name].log_prob(np.full((5, 2), np.nan))


@pytest.mark.parametrize(
    ("family", "words"),
    [
        (lambda: GAN("minimax"), "loss"),
        (lambda: GAN(generator="net"), "real_nvp"),
        (lambda: GAN(generator=flowvi.flows.nice(3, key=0)), "dim 3"),
        (lambda: GAN(steps=0), "steps"),
        (lambda: GAN(penalty=-1.0), "penalty"),
        (lambda: GAN(step_size=float("nan")), "step_size"),
        (lambda: GAN(critic_steps=0), "critic_steps"),
        (lambda: VAE(posterior="plane"), "posterior"),
        (lambda: VAE(likelihood="normal"), "likelihood"),
        (lambda: VAE(steps=0), "steps"),
        (lambda: Flow("plane"), "planar"),
    ],
    ids=lambda case: case if isinstance(case, str) else "",
)
def test_bad_settings_are_refused(family, words, as_users_run_it):
    with pytest.raises((ArgumentError, FlowError), match=words):
        family().fit(X)


@pytest.mark.parametrize("name", ["flow", "VAE", "GAN"])
def test_draws_that_cannot_be_asked_for_are_refused(fitted, name, as_users_run_it):
    for n in (-1, 1.5):
        with pytest.raises(ArgumentError, match=f"n={n}"):
            fitted[name].sample(n)
    with pytest.raises(ArgumentError, match="seed='a'"):
        fitted[name].sample(1, seed="a")
    assert fitted[name].sample(np.int64(0)).shape == (0, 2)


@each_family
def test_a_seed_that_is_none_is_refused(family, as_users_run_it):
    with pytest.raises(ArgumentError, match="seed=-1"):
        family.fit(X, seed=-1)


def test_settings_of_judging_are_refused_before_training(monkeypatch, as_users_run_it):
    monkeypatch.setattr("flowvi.families.vae.train", None)
    with pytest.raises(ArgumentError, match="samples=0"):
        VAE(samples=0).fit(X)


def test_a_column_of_rounding_is_constant(as_users_run_it):
    with pytest.raises(DataError, match=r"x\['2'\] has a standard deviation of"):
        GAN().fit(np.c_[X, 1 + 1e-14 * X[:, 0]])


def test_a_flow_of_angles_generates_no_standardised_rows():
    with pytest.raises(FlowError, match="of angles, but rows are standardised"):
        GAN(generator=flowvi.flows.circular_spline(2, key=0)).fit(X)


def test_counts_are_refused_where_they_do_not_fit_a_likelihood(as_users_run_it):
    with pytest.raises(DataError, match="row 0"):
        VAE(likelihood="poisson").fit(X)
