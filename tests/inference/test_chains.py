"""Chains leave the target as it is, come to it from elsewhere, and say so where they do not."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from stages import density_of, target_of

from flowvi import Budget, flows
from flowvi.bijections import trainable
from flowvi.diagnostics.mixing import Mixing, mixing
from flowvi.flows import Normal, whiten
from flowvi.inference.chains import CHAINS, Chains, _Ensemble, run_chains, thinned
from flowvi.inference.gaussian import Gaussian
from flowvi.inference.proposal import MixtureProposal, flow_proposal, gaussian_proposal
from flowvi.inference.single_precision import flow_in_single_precision

pytestmark = pytest.mark.usefixtures("x64")


def skewed(x):
    """The log of a Gamma(2) variable and, around a parabola over it, a normal one; evidence e^3."""
    return 2 * x[0] - jnp.exp(x[0]) - 0.5 * (x[1] - 0.5 * x[0] ** 2) ** 2 - 0.5 * jnp.log(2 * jnp.pi) + 3.0


def skewed_draws(n, seed=1):
    rng = np.random.default_rng(seed)
    first = np.log(rng.gamma(2.0, size=n))
    return np.stack([first, 0.5 * first**2 + rng.standard_normal(n)], axis=1)


def skewed_density(**budget):
    density = density_of(skewed, 2, Budget(**budget))
    # one target for all tests, so that its programs are compiled once
    density.target = TARGET
    return density


TARGET = target_of(skewed, 2)
COUNT = 32


def some_flow(size=0.2):
    """A map that has nothing to do with the target, with a log determinant far from constant; whitened, so
    that chains take its flow in float32."""
    flow = flows.real_nvp(2, key=0, layers=2, width=8)
    parameters, rest = eqx.partition(flow, trainable(flow))
    rng = np.random.default_rng(0)
    moved = jax.tree.map(lambda a: jnp.asarray(a + size * rng.standard_normal(a.shape)), parameters)
    whitening = np.array([0.1, -0.2]), np.array([[1.1, 0.0], [0.2, 0.9]])
    return flow_proposal(whiten(eqx.combine(moved, rest), *whitening))


def off_gaussian():
    return gaussian_proposal(Gaussian(np.array([-1.0, 2.0]), np.array([[0.6, 0.0], [0.4, 2.5]])))


PROPOSALS = {"hmc": some_flow, "nuts": off_gaussian}
each_kernel = pytest.mark.parametrize("kernel", PROPOSALS)


def functions(z):
    """First and second moments, and two of the tails."""
    x, y = z[..., 0], z[..., 1]
    return np.stack([x, y, x**2, y**2, x * y, np.exp(x), np.tanh(3 * (x + 2)), y > 2.5], axis=-1)


def require_moments(chains, exact):
    """Those of exact draws, within four and a half standard errors, which are small."""
    found, expected = functions(chains.z), functions(exact)
    # chains are independent of each other: what scatters among them is their Monte Carlo error
    by_chain = found.mean(axis=0)
    error = np.hypot(
        by_chain.std(axis=0, ddof=1) / np.sqrt(len(by_chain)), expected.std(axis=0) / np.sqrt(len(expected))
    )
    assert np.all(error < 0.06 * expected.std(axis=0))
    assert np.abs((by_chain.mean(axis=0) - expected.mean(axis=0)) / error).max() < 4.5


@each_kernel
def test_exact_draws_stay_exact_draws(kernel):
    density = skewed_density()
    *_, chains = run_chains(
        density, PROPOSALS[kernel](), skewed_draws(COUNT), kernel, np.random.default_rng(0), 1000
    )
    assert chains.kernel == kernel
    assert chains.z.shape == (*chains.log_density.shape, 2)
    assert chains.z.shape[1] == COUNT
    require_moments(chains, skewed_draws(100_000))
    assert chains.mixed
    assert chains.mixing.least_ess >= 2000
    # of both coordinates and of the log density
    scalars = np.concatenate([chains.z, chains.log_density[..., None]], axis=2)
    np.testing.assert_array_equal(chains.mixing.rhat, mixing(scalars).rhat)
    # the density of the target, not of what the chains move in
    some = chains.z[::20].reshape(-1, 2)
    np.testing.assert_allclose(density.value(some), chains.log_density[::20].ravel(), atol=1e-9)


@each_kernel
def test_chains_come_to_the_target_from_elsewhere(kernel):
    starts = np.array([-4.0, 9.0]) + 0.1 * np.random.default_rng(0).standard_normal((COUNT, 2))
    rng = np.random.default_rng(3)
    *_, chains = run_chains(skewed_density(), PROPOSALS[kernel](), starts, kernel, rng, 1000)
    assert chains.mixed
    require_moments(chains, skewed_draws(100_000))


def two_modes(x):
    """0.7 N((-6, 0), I) + 0.3 N((6, 0), I / 4)."""
    left = jax.scipy.stats.norm.logpdf(x, jnp.array([-6.0, 0.0]), 1.0).sum()
    right = jax.scipy.stats.norm.logpdf(x, jnp.array([6.0, 0.0]), 0.5).sum()
    return jnp.logaddexp(np.log(0.7) + left, np.log(0.3) + right)


TWO_MODES = target_of(two_modes, 2)


def two_modes_density():
    density = density_of(two_modes, 2)
    density.target = TWO_MODES
    return density


def test_a_mixture_with_wrong_weights_gets_those_of_the_modes():
    left = gaussian_proposal(Gaussian(np.array([-6.3, 0.2]), np.array([[1.2, 0.0], [0.2, 0.9]])))
    right = gaussian_proposal(Gaussian(np.array([6.1, -0.1]), np.diag([0.6, 0.4])))
    q = MixtureProposal(Normal(2), (left, right), np.array([0.15, 0.85]))
    starts = np.repeat([[6.0, 0.0], [-6.0, 0.0]], [12, 4], axis=0)
    *_, chains = run_chains(two_modes_density(), q, starts, "hmc", np.random.default_rng(0), 1000)
    assert chains.mixed
    in_left = chains.z[..., 0] < 0
    error = np.sqrt(0.21 / mixing(in_left[..., None].astype(float)).least_ess)
    assert error < 0.015
    assert in_left.mean() == pytest.approx(0.7, abs=4 * error)
    for inside, location, scale in ((in_left, -6.0, 1.0), (~in_left, 6.0, 0.5)):
        x = chains.z[inside]
        # at least a thousand effective draws in each mode
        np.testing.assert_allclose((x.mean(axis=0) - [location, 0.0]) / scale, 0, atol=0.13)
        np.testing.assert_allclose(x.std(axis=0) / scale, 1, atol=0.1)


def test_chains_that_never_meet_have_not_mixed():
    # no draw of q lies in a mode
    q = gaussian_proposal(Gaussian(np.array([0.0, 15.0]), np.eye(2)))
    starts = np.repeat([[-6.0, 0.0], [6.0, 0.0]], CHAINS // 2, axis=0)
    *_, chains = run_chains(two_modes_density(), q, starts, "hmc", np.random.default_rng(0), 1000)
    assert not chains.mixed
    assert chains.mixing.worst_rhat > 1.5
    # given up, rather than run to the end
    assert len(chains.z) <= 600


def test_one_dimension_with_a_wall():
    # the log of a Gamma(3) variable, cut at the 90% quantile
    exact = scipy.stats.loggamma(3)
    wall = exact.ppf(0.9)
    density = density_of(lambda x: jnp.where(x[0] < wall, 3 * x[0] - jnp.exp(x[0]), -jnp.inf), 1)
    q = gaussian_proposal(Gaussian(np.array([0.5]), np.array([[0.8]])))
    *_, chains = run_chains(density, q, np.zeros((CHAINS, 1)), "hmc", np.random.default_rng(0), 1000)
    assert chains.mixed
    assert chains.z.max() < wall
    assert np.all(np.isfinite(chains.log_density))
    probability = exact.cdf(chains.z[..., 0]) / 0.9
    # of uniform numbers: their mean and spread, within four standard errors, and the share next to the wall
    error = 1 / np.sqrt(12 * chains.mixing.least_ess)
    assert probability.mean() == pytest.approx(0.5, abs=4 * error)
    assert probability.std() == pytest.approx(np.sqrt(1 / 12), abs=4 * error)
    assert (probability > 0.9).mean() == pytest.approx(0.1, abs=4 * error)


@pytest.mark.parametrize("gradients", [1, 10_000, 60_000], ids=["at once", "in the warm-up", "later"])
def test_a_budget_ends_them_with_what_there_is(gradients, steps):
    density = skewed_density(gradients=gradients)
    *_, chains = run_chains(density, some_flow(), skewed_draws(COUNT), "hmc", np.random.default_rng(0), 1000)
    spent = [COUNT * (1 + sum(block)) for block in steps]
    # every block begins with a gradient at where the chains are
    assert density.ledger.gradients == sum(spent)
    # and one is begun only where the budget allows, but for the draws themselves
    assert sum(spent[:-2]) < gradients
    assert len(chains.z) == 10 * max(len(steps) - 17, 1)
    assert chains.log_density.shape == chains.z.shape[:2]
    assert np.isfinite(chains.z).all()


@pytest.fixture
def steps(monkeypatch):
    """Integration steps of the iterations of every block."""
    seen = []
    trajectories = _Ensemble._trajectories

    def noted(ensemble):
        found = trajectories(ensemble)
        seen.append(found.lengths)
        return found

    monkeypatch.setattr(_Ensemble, "_trajectories", noted)
    return seen


def numbered(iterations, count):
    z = np.arange(iterations * count, dtype=float).reshape(iterations, count, 1)
    return Chains(z, -z[..., 0], 0, Mixing(np.ones(2), np.full(2, 5000.0)), "hmc")


@pytest.mark.parametrize(
    ("iterations", "draws", "kept"),
    [(100, 1600, 100), (100, 800, 50), (100, 801, 51), (100, 10_000, 100), (100, 1, 1), (100, 32, 2)],
)
def test_thinned_chains_are_evenly_spaced(iterations, draws, kept):
    z, log_density = thinned(numbered(iterations, 16), draws)
    assert z.shape == (kept, 16, 1)
    np.testing.assert_array_equal(log_density, -z[..., 0])
    rows = z[:, 0, 0] / 16
    # whole iterations, with all chains of each
    np.testing.assert_array_equal(z[..., 0], 16 * rows[:, None] + np.arange(16))
    if kept > 1:
        assert rows[0] == 0
        assert rows[-1] == iterations - 1
        assert np.ptp(np.diff(rows)) <= 1


@pytest.mark.parametrize(
    ("rhat", "ess", "mixed"),
    [(1.009, 1001.0, True), (1.011, 5000.0, False), (1.001, 999.0, False), (np.nan, 5000.0, False)],
)
def test_what_counts_as_mixed(rhat, ess, mixed):
    chains = numbered(10, 4)._replace(mixing=Mixing(np.array([1.0, rhat]), np.array([6000.0, ess])))
    assert chains.mixed is mixed


def test_a_flow_in_single_precision_is_exact_to_its_rounding_on_the_whitened_scale():
    location, scale = np.array([1e6, -3.0]), np.diag([1e-3, 1e4])
    flow = whiten(some_flow().flow(), location, scale)
    narrow = flow_in_single_precision(flow.bijection)
    e = np.random.default_rng(0).standard_normal((200, 2))
    z, log_det = jax.vmap(flow.bijection.forward_and_log_det)(e)
    close, close_log_det = jax.vmap(narrow.forward_and_log_det)(e)
    assert close.dtype == close_log_det.dtype == np.float64
    off = np.abs(close - z) / np.diag(scale)
    # rounded to float32 where the spread is one, and nowhere else
    assert 1e-9 < off.max() < 1e-5
    np.testing.assert_allclose(close_log_det, log_det, atol=1e-5)
    back, _ = jax.vmap(narrow.inverse_and_log_det)(close)
    np.testing.assert_allclose(back, e, atol=1e-5)


def test_a_map_that_is_no_whitened_flow_stays_as_it_is():
    bijection = off_gaussian().bijection()
    assert flow_in_single_precision(bijection) is bijection
