"""Densities of angles: periodic, smooth where a turn ends, and of mass one on the torus."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats
from flow_cases import perturbed

import flowvi
from flowvi import flows
from flowvi.bijections import Identity, LocationScale, Wrap, trainable
from flowvi.errors import FlowError
from flowvi.flows.flow import log_prob
from flowvi.serialise import load_module, save_module

SMALL = {"layers": 2, "bins": 4, "width": 8}
SMALL_COUPLINGS = {"layers": 2, "width": 8}
TURN = 2 * np.pi


def flow(dim, condition_dim=None):
    built = flows.circular_spline(dim, key=0, condition_dim=condition_dim, **SMALL)
    return perturbed(built, size=0.3)


def angles(n, dim):
    return np.random.default_rng(0).uniform(-np.pi, np.pi, (n, dim))


@pytest.mark.parametrize("dim", [1, 3])
def test_start_is_uniform(dim):
    built = flows.circular_spline(dim, key=0, **SMALL)
    np.testing.assert_allclose(built.log_prob(angles(16, dim)), -dim * np.log(TURN), rtol=1e-12)
    draws = built.sample(0, (2000,))
    assert scipy.stats.kstest(draws[:, 0], scipy.stats.uniform(-np.pi, TURN).cdf).pvalue > 1e-3


@pytest.mark.parametrize("dim", [1, 2])
def test_mass_on_the_torus_is_one(dim):
    # equal steps integrate a periodic function; the density has bends, at the knots
    axis = -np.pi + TURN * (np.arange(400) + 0.5) / 400
    grid = np.stack(np.meshgrid(*[axis] * dim, indexing="ij"), -1)
    density = np.exp(flow(dim).log_prob(grid))
    assert density.max() / density.min() > 2
    assert density.mean() * TURN**dim == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_draws_lie_in_one_turn_and_come_with_their_density(dim):
    z, of_draws = flow(dim).sample_and_log_prob(1, (64,))
    assert np.all((z >= -np.pi) & (z < np.pi))
    np.testing.assert_allclose(flow(dim).log_prob(z), of_draws, rtol=1e-10, atol=1e-10)


def test_density_is_that_of_the_draws():
    """Shares of draws in a grid of cells against the integral of the density over each."""
    edges = np.linspace(-np.pi, np.pi, 9)
    draws = flow(2).sample(2, (20_000,))
    counts = np.histogram2d(*draws.T, bins=[edges, edges])[0]
    fine = -np.pi + TURN * (np.arange(320) + 0.5) / 320
    density = np.exp(flow(2).log_prob(np.stack(np.meshgrid(fine, fine, indexing="ij"), -1)))
    expected = density.reshape(8, 40, 8, 40).mean((1, 3)) * (TURN / 8) ** 2 * len(draws)
    assert scipy.stats.chi2(63).sf(np.sum((counts - expected) ** 2 / expected)) > 1e-3


@pytest.mark.parametrize("turns", [1, -1, 7])
def test_density_is_the_same_some_turns_further(turns):
    x = angles(32, 2)
    before = flow(2).log_prob(x)
    for moved in ([turns, 0], [0, turns], [turns, -turns]):
        np.testing.assert_allclose(flow(2).log_prob(x + TURN * np.array(moved)), before, rtol=1e-9, atol=1e-9)


def test_density_is_continuous_across_the_seam():
    near = 1e-7
    others = angles(16, 1)
    for order in ([0, 1], [1, 0]):
        below, above = (
            np.concatenate([np.full((16, 1), edge), others], 1)[:, order]
            for edge in (np.pi - near, -np.pi + near)
        )
        np.testing.assert_allclose(flow(2).log_prob(below), flow(2).log_prob(above), atol=1e-5)


def test_condition_moves_the_density():
    conditions = np.random.default_rng(1).normal(size=(8, 3))
    z, of_draws = flow(2, 3).sample_and_log_prob(0, (8,), conditions)
    np.testing.assert_allclose(flow(2, 3).log_prob(z, conditions), of_draws, rtol=1e-10, atol=1e-10)
    assert np.all(flow(2, 3).log_prob(z, conditions[0])[1:] != of_draws[1:])


@pytest.mark.slow
def test_any_shape_of_one_angle():
    """Maximum likelihood on draws of a von Mises distribution across the seam comes close to its entropy."""
    true = scipy.stats.vonmises(4.0, loc=np.pi)
    x = true.rvs(4000, random_state=0)[:, None]
    fitted = _fitted(flows.circular_spline(1, key=0, **SMALL), x)
    gap = np.mean(true.logpdf(x[:, 0])) - np.mean(fitted.log_prob(x))
    assert gap < 0.02


def _fitted(start, x):
    with jax.enable_x64(True):
        parameters, rest = eqx.partition(start, trainable(start))
        optimiser = optax.adam(3e-2)

        def loss(parameters):
            fitted = eqx.combine(parameters, rest)
            return -jnp.mean(jax.vmap(lambda x: log_prob(fitted, x))(jnp.asarray(x)))

        def step(carry, _):
            parameters, state = carry
            updates, state = optimiser.update(jax.grad(loss)(parameters), state)
            return (eqx.apply_updates(parameters, updates), state), None

        train = jax.jit(lambda carry: jax.lax.scan(step, carry, length=200)[0])
        return eqx.combine(train((parameters, optimiser.init(parameters)))[0], rest)


def test_wrap_is_the_identity_of_the_torus():
    wrap = Wrap(5)
    x = jnp.array([0.0, -np.pi, np.pi, np.nextafter(np.float32(-np.pi), np.float32(-4)), 1e4])
    y, log_det = wrap.forward_and_log_det(x)
    assert np.all((y >= -np.pi) & (y < np.pi))
    assert log_det == 0
    np.testing.assert_allclose(np.exp(1j * np.asarray(y)), np.exp(1j * np.asarray(x)), atol=2e-3)
    np.testing.assert_array_equal(wrap.inverse_and_log_det(y)[0], y)


def test_saved_and_loaded(tmp_path):
    save_module(flow(2), tmp_path / "flow.npz")
    x = angles(8, 2)
    np.testing.assert_array_equal(load_module(tmp_path / "flow.npz").log_prob(x), flow(2).log_prob(x))


def test_errors_name_what_is_wrong():
    with pytest.raises(FlowError, match="bins=1"):
        flows.circular_spline(2, key=0, bins=1)
    with pytest.raises(FlowError, match="dim 3"):
        flows.circular_spline(2, key=0, base=flows.UniformTorus(3))


def test_a_flow_and_its_base_are_of_one_space():
    for build in (flows.planar, flows.gaussian, flows.neural_spline):
        with pytest.raises(FlowError, match="UniformTorus is of angles"):
            build(2, key=0, base=flows.UniformTorus(2))
    with pytest.raises(FlowError, match="wraps angles, but the base Normal"):
        flows.circular_spline(2, key=0, base=flows.Normal(2))
    # a scale would change the period
    with pytest.raises(FlowError, match="of angles"):
        flows.standardise(flow(2), angles(50, 2))
    with pytest.raises(FlowError, match="of angles"):
        flows.whiten(flow(2), np.zeros(2), np.eye(2))


def test_which_flows_are_of_angles():
    mixture = flows.Flow(flows.FlowMixture([flow(2), flow(2)], [0.5, 0.5]), Identity((2,)))
    assert [f.periodic for f in (flow(2), flow(2, 3), mixture)] == [True] * 3
    assert not flows.real_nvp(2, key=0, **SMALL_COUPLINGS).periodic

    class Rotation(LocationScale):
        periodic = True

    turned = flows.Flow(flows.UniformTorus(1), Rotation(np.ones(1), np.ones(1)))
    assert turned.log_prob(np.array([7.0])) == -np.log(TURN)


def test_a_model_is_not_fitted_by_a_flow_of_angles():
    with pytest.raises(FlowError, match="angles, but the parameters of a model"):
        flowvi.fit(lambda p: -jnp.sum(p["x"] ** 2), example={"x": jnp.zeros(2)}, flow=flow(2), progress=False)
