"""Training: no step where q = p, a banana in few rounds, and steps that are not finite."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from stages import density_of, target_of

from flowvi import flows
from flowvi.bijections import trainable
from flowvi.flows import whiten
from flowvi.inference import elbo
from flowvi.inference.correct import weigh
from flowvi.inference.elbo import BATCH, STEP_SIZE, STEPS, rounds
from flowvi.inference.gaussian import Gaussian
from flowvi.inference.proposal import flow_proposal
from flowvi.training import adam

pytestmark = pytest.mark.usefixtures("x64")

WHITENING = Gaussian(np.array([1.0, -2.0]), np.array([[2.0, 0.0], [1.0, 0.5]]))


def parameters_of(flow):
    return jax.tree.leaves(eqx.filter(flow, trainable(flow)))


def test_training_from_the_exact_solution_does_not_move():
    precision = np.linalg.inv(WHITENING.scale_tril @ WHITENING.scale_tril.T)

    def log_density(x):
        return -0.5 * (x - WHITENING.location) @ precision @ (x - WHITENING.location)

    flow = flows.real_nvp(2, key=0, layers=2, width=8)
    base = jnp.asarray(np.random.default_rng(0).normal(size=(1, BATCH, 2)), jnp.float32)
    state, elbos, bad = elbo._train(
        target_of(log_density, 2),
        WHITENING,
        flow,
        adam.beginning(flow),
        base,
        np.array([STEP_SIZE], np.float32),
    )
    # the first moment is a tenth of the gradient: zero but for rounding, which is that of float32
    _, adam_state, _ = state.optimiser
    np.testing.assert_allclose(adam_state.mu, 0, atol=1e-6)
    log_evidence = 0.5 * np.linalg.slogdet(2 * np.pi * np.linalg.inv(precision))[1]
    assert elbos[0] == pytest.approx(log_evidence, abs=1e-5)
    assert state.skipped == 0
    assert bad.count.sum() == 0


def banana(x):
    """Mean (0, 1), and normalised; NaN at about one point in a hundred, wherever it is."""
    exact = -0.5 * x[0] ** 2 - 0.5 * ((x[1] - x[0] ** 2) / 0.5) ** 2 - jnp.log(np.pi)
    return jnp.where(jnp.cos(1e4 * x[0]) > np.cos(0.01 * np.pi), jnp.nan, exact)


@pytest.fixture(scope="module")
def trained_on_banana():
    """The banana's own mean and covariance to begin with, and three rounds."""
    whitening = Gaussian(np.array([0.0, 1.0]), np.diag([1.0, 1.5]))
    with jax.enable_x64(True):
        flow = flows.real_nvp(2, key=0, layers=6, width=16)
        series = rounds(target_of(banana, 2), whitening, flow, np.random.default_rng(1))
        return whitening, [next(series) for _ in range(3)]


def test_a_banana_is_reached_although_the_target_is_nan_at_one_point_in_a_hundred(trained_on_banana):
    whitening, series = trained_on_banana
    proposal = flow_proposal(whiten(series[-1].flow, *whitening))
    weighted = weigh(density_of(banana, 2), proposal, np.random.default_rng(2), 4096)
    usable = np.isfinite(weighted.log_weights)
    w = np.exp(weighted.log_weights[usable])
    assert w.mean() ** 2 / (w**2).mean() > 0.95
    # points on q where the target is NaN leave the rest as it is
    assert w.mean() == pytest.approx(1, abs=0.02)
    assert series[-1].elbo == pytest.approx(0, abs=0.02)


def test_draws_where_the_target_is_nan_are_left_out_and_counted(trained_on_banana):
    _, series = trained_on_banana
    for trained in series:
        assert all(np.all(np.isfinite(leaf)) for leaf in parameters_of(trained.flow))
        n = STEPS * BATCH
        low, high = scipy.stats.binom(n, 0.01).ppf([1e-4, 1 - 1e-4])
        assert low * 0.9 <= trained.nonfinite <= high * 1.1
        assert trained.skipped == 0
        z, value = trained.first_nonfinite
        assert np.isnan(value)
        assert np.isnan(banana(jnp.asarray(z)))


def test_training_goes_on_from_a_flow_as_given():
    # a round's ELBO is that of the parameters given, not of a new flow
    def log_density(x):
        return -0.5 * jnp.sum((x - 30) ** 2) - jnp.log(2 * jnp.pi)

    whitening = Gaussian(np.zeros(2), np.eye(2))
    flow = whiten(flows.real_nvp(2, key=0, layers=2, width=8), np.full(2, 30.0), np.eye(2))
    trained = next(rounds(target_of(log_density, 2), whitening, flow, np.random.default_rng(0)))
    assert trained.elbo == pytest.approx(0, abs=1e-3)
    assert trained.gradients == STEPS * BATCH


def test_steps_halve_from_round_to_round_and_rounds_end_where_they_are_small_and_gain_nothing():
    def log_density(x):
        return -0.5 * jnp.sum(x**2) - jnp.log(2 * jnp.pi)

    flow = flows.real_nvp(2, key=0, layers=2, width=8)
    whitening = Gaussian(np.zeros(2), np.eye(2))
    series = list(rounds(target_of(log_density, 2), whitening, flow, np.random.default_rng(0)))
    halvings = np.log2(elbo.STEP_SIZE / elbo.SMALLEST_STEP_SIZE)
    assert len(series) == np.ceil(halvings) + 1
    # the exact solution is where it began: steps are as good as zero whatever their size
    assert all(trained.elbo == pytest.approx(0, abs=1e-9) for trained in series)


@pytest.mark.parametrize(("share", "skipped"), [(0.3, 0), (0.7, STEPS)])
def test_steps_are_skipped_where_the_target_has_no_value_at_most_draws(share, skipped):
    # NaN on a comb, as often near as far
    def comb(x):
        return jnp.where(jnp.cos(1e4 * x[0]) > np.cos(share * np.pi), jnp.nan, -0.5 * x @ x)

    flow = flows.real_nvp(2, key=0, layers=2, width=8)
    whitening = Gaussian(np.zeros(2), np.eye(2))
    trained = next(rounds(target_of(comb, 2), whitening, flow, np.random.default_rng(0)))
    assert trained.skipped == skipped


def test_densities_of_zero_are_left_out_and_not_counted_as_faults():
    def walled(x):
        return jnp.where(x[0] > -0.5, -jnp.inf, -0.5 * x @ x)

    flow = flows.real_nvp(2, key=0, layers=2, width=8)
    trained = next(
        rounds(target_of(walled, 2), Gaussian(np.zeros(2), np.eye(2)), flow, np.random.default_rng(0))
    )
    assert trained.nonfinite == 0
    assert trained.first_nonfinite is None
    assert np.isfinite(trained.elbo)
    # most draws lie beyond the wall
    assert trained.skipped == 0
