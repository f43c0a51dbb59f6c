"""Every flow of the table: start, density, gradients, precision."""

import threading
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from flow_cases import CONDITIONAL, FLOWS, by_name, perturbed

from flowvi import flows
from flowvi.bijections import Bijection, Identity, LocationScale, trainable
from flowvi.errors import FlowError, PrecisionError
from flowvi.flows.flow import forward_and_log_prob, log_prob

each_flow = pytest.mark.parametrize("build", FLOWS.values(), ids=FLOWS)


@pytest.mark.parametrize("name", ["gaussian", "gaussian_diagonal", "real_nvp", "neural_spline", "iaf"])
@pytest.mark.parametrize("dim", [1, 2])
def test_start_is_the_standard_normal(name, dim):
    x = np.random.default_rng(0).normal(size=(32, dim)) * 4
    expected = scipy.stats.norm.logpdf(x).sum(-1)
    np.testing.assert_allclose(FLOWS[name](dim).log_prob(x), expected, rtol=1e-12, atol=1e-12)


def test_a_negative_seed_is_a_typed_error():
    with pytest.raises(FlowError, match="-1 was given"):
        flows.planar(2, key=-1)


def test_low_rank_starts_close_to_the_standard_normal():
    x = np.random.default_rng(0).normal(size=(32, 2))
    expected = scipy.stats.norm.logpdf(x).sum(-1)
    np.testing.assert_allclose(FLOWS["gaussian_low_rank"](2).log_prob(x), expected, atol=0.01)


def test_whitened_start_is_the_gaussian():
    location, triangle = np.array([1.0, -2.0]), np.array([[2.0, 0.0], [1.0, 0.5]])
    flow = flows.whiten(flows.gaussian(2), location, triangle)
    x = np.random.default_rng(0).normal(size=(32, 2))
    expected = scipy.stats.multivariate_normal(location, triangle @ triangle.T).logpdf(x)
    np.testing.assert_allclose(flow.log_prob(x), expected, rtol=1e-12)
    assert sum(map(np.size, jax.tree.leaves(eqx.filter(flow, trainable(flow))))) == 5


@each_flow
@pytest.mark.parametrize("dim", [1, 7])
def test_draws_come_with_their_log_prob(build, dim):
    flow = perturbed(build(dim))
    z, of_draws = flow.sample_and_log_prob(3, (8,))
    log_prob = flow.log_prob(z)
    np.testing.assert_allclose(of_draws, log_prob, rtol=1e-10, atol=1e-10)
    # nothing in it is drawn: the same bits again, and the same numbers in another place of the batch
    np.testing.assert_array_equal(flow.log_prob(z), log_prob)
    np.testing.assert_allclose(flow.log_prob(z[::-1])[::-1], log_prob, rtol=1e-12, atol=1e-12)
    assert z.shape == (8, dim)
    assert z.dtype == of_draws.dtype == np.float64


@each_flow
def test_density_integrates_to_one_in_one_dimension(build):
    grid = np.linspace(-60, 60, 2**14)
    density = np.exp(perturbed(build(1)).log_prob(grid[:, None]))
    assert np.trapezoid(density, grid) == pytest.approx(1, abs=1e-4)


# a monotonic network inverts an integral at each point; the table of bijections has its mass
@by_name([name for name in FLOWS if name != "unconstrained_monotonic"])
def test_density_integrates_to_one_in_two_dimensions(name):
    axis = np.linspace(-30, 30, 320)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1)
    # moved farther, a spline gets spikes between the points of any grid
    density = np.exp(perturbed(FLOWS[name](2), size=0.05).log_prob(grid))
    assert np.trapezoid(np.trapezoid(density, axis), axis) == pytest.approx(1, abs=1e-3)


def _banana(z):
    return -0.5 * jnp.sum(z**2) - 0.5 * (z[1] - z[0] ** 2) ** 2


@by_name(FLOWS)
def test_every_parameter_gets_a_finite_gradient(name):
    flow = perturbed(FLOWS[name](2))
    with jax.enable_x64(True):
        parameters, rest = eqx.partition(flow, trainable(flow))
        keys = jax.random.split(jax.random.key(0), 64)

        @jax.jit
        def gradient(parameters):
            def reverse_kl(parameters):
                flow = eqx.combine(parameters, rest)

                def of_draw(key):
                    z, log_q = forward_and_log_prob(flow, flow.base.sample(key), None)
                    # as a sum over draws and their density, so that the weights of a mixture are reached
                    return log_q - _banana(z) + log_prob(flow, jax.lax.stop_gradient(z))

                return jnp.mean(jax.vmap(of_draw)(keys))

            return jax.grad(reverse_kl)(parameters)

        gradients = gradient(parameters)
    for leaf in jax.tree.leaves(gradients):
        assert np.all(np.isfinite(leaf))
        assert np.any(np.asarray(leaf) != 0)


@by_name(CONDITIONAL)
def test_condition_changes_the_density_and_the_draws(name):
    flow = perturbed(CONDITIONAL[name](2))
    conditions = np.random.default_rng(1).normal(size=(8, 3))
    z, of_draws = flow.sample_and_log_prob(0, (8,), conditions)
    np.testing.assert_allclose(flow.log_prob(z, conditions), of_draws, rtol=1e-10, atol=1e-10)
    # the same numbers, which another program may round otherwise
    np.testing.assert_allclose(flow.sample(0, (8,), conditions[2])[2], z[2], rtol=1e-12)
    assert np.all(flow.log_prob(z, conditions[0])[1:] != of_draws[1:])
    assert np.all(flow.sample(0, (8,), conditions[0])[1:] != z[1:])
    # one point under many conditions
    assert flow.log_prob(z[0], conditions).shape == (8,)


def test_draws_depend_on_the_key_alone():
    flow = perturbed(FLOWS["real_nvp"](2))
    draws = flow.sample(5, (4, 2))
    np.testing.assert_array_equal(draws, flow.sample(jax.random.key(5), (4, 2)))
    np.testing.assert_array_equal(draws.reshape(8, 2), flow.sample(5, (8,)))
    np.testing.assert_array_equal(draws[0], flow.sample(5, (8,))[:2])
    assert np.all(draws != flow.sample(6, (4, 2)))
    assert flow.sample(5).shape == (2,)
    assert flow.sample(5, (0,)).shape == (0, 2)
    for shape in ((np.int64(8),), 8, np.int64(8), (4, np.int64(2))):
        np.testing.assert_array_equal(flow.sample(5, shape).reshape(8, 2), draws.reshape(8, 2))


def test_blocks_on_several_cores_keep_the_order_of_rows():
    flow = perturbed(FLOWS["real_nvp"](2))
    # more than one call of more than one block
    z, of_draws = flow.sample_and_log_prob(0, (5000,))
    np.testing.assert_allclose(flow.log_prob(z), of_draws, rtol=1e-10)
    some = np.array([0, 511, 512, 2047, 2048, 4999])
    np.testing.assert_allclose(flow.log_prob(z[some]), of_draws[some], rtol=1e-10)
    np.testing.assert_allclose(z[:5], flow.sample(0, (5,)), rtol=1e-12)


def test_chunks_give_the_rows_of_one_call(monkeypatch):
    flow = perturbed(FLOWS["real_nvp"](2))
    z, of_draws = flow.sample_and_log_prob(0, (100,))
    monkeypatch.setattr(flows.flow, "_CHUNK", 16)
    in_chunks, of_chunks = flow.sample_and_log_prob(0, (100,))
    np.testing.assert_allclose(in_chunks, z, rtol=1e-12)
    np.testing.assert_allclose(of_chunks, of_draws, rtol=1e-12)
    np.testing.assert_allclose(flow.log_prob(z), of_draws, rtol=1e-10)


class Counting(Bijection):
    """An identity that notes when it is traced."""

    traces: Any = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(default=(2,), static=True)
    out_shape: tuple[int, ...] = eqx.field(default=(2,), static=True)
    condition_dim: None = eqx.field(default=None, static=True)

    def forward_and_log_det(self, x, condition=None):
        self.traces.append("forward")
        return x, jnp.zeros((), x.dtype)

    def inverse_and_log_det(self, y, condition=None):
        self.traces.append("inverse")
        return y, jnp.zeros((), y.dtype)


class Noted:
    """A list that can be a static field."""

    def __init__(self):
        self.items = []

    def append(self, item):
        self.items.append(item)


def test_second_call_compiles_nothing():
    noted = Noted()
    for n in (5, 7, 8):
        flow = flows.Flow(flows.Normal(2), Counting(noted))
        flow.log_prob(np.zeros((n, 2)))
        flow.sample(n, (n,))
    assert sorted(noted.items) == ["forward", "inverse"]


def test_double_precision_whatever_the_flag_and_in_a_second_thread():
    def results():
        flow = FLOWS["real_nvp"](2)
        assert {a.dtype for a in jax.tree.leaves(eqx.filter(flow, eqx.is_inexact_array))} == {np.dtype(float)}
        z, of_draws = flow.sample_and_log_prob(0, (8,))
        return z, of_draws, flow.log_prob(z)

    assert not jax.config.jax_enable_x64
    off = results()
    assert not jax.config.jax_enable_x64
    with jax.enable_x64(True):
        on = results()
    elsewhere = []
    thread = threading.Thread(target=lambda: elsewhere.extend(results()))
    thread.start()
    thread.join()
    for a, b, c in zip(off, on, elsewhere, strict=True):
        assert type(a) is type(b) is np.ndarray
        assert a.dtype == b.dtype == c.dtype == np.float64
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)


def test_under_a_callers_trace():
    flow = FLOWS["real_nvp"](2)
    with pytest.raises(PrecisionError, match="enable_x64"):
        jax.jit(lambda x: flow.log_prob(x))(np.zeros(2))
    with jax.enable_x64(True):
        z = jax.jit(lambda key: flow.sample(key, (8,)))(jax.random.key(0))
        np.testing.assert_allclose(z, flow.sample(0, (8,)), rtol=1e-12)
        np.testing.assert_allclose(jax.jit(lambda x: flow.log_prob(x))(z), flow.log_prob(z), rtol=1e-12)
        np.testing.assert_allclose(jax.grad(lambda x: flow.log_prob(x))(jnp.ones(2)), -np.ones(2), rtol=1e-12)
        # nothing of the arguments is traced here, but the result is
        np.testing.assert_allclose(jax.jit(lambda: flow.log_prob(np.zeros(2)))(), -np.log(2 * np.pi))
        with pytest.raises(FlowError, match="drawn on the host"):
            jax.vmap(lambda key: flows.real_nvp(2, key=key).bijection)(jax.random.split(jax.random.key(0), 2))


@pytest.mark.parametrize("name", ["real_nvp", "neural_spline", "iaf"])
def test_program_does_not_grow_with_layers(name):
    def equations(layers):
        with jax.enable_x64(True):
            flow = eqx.filter_eval_shape(getattr(flows, name), 2, key=0, layers=layers, width=4)
            closed, _, _ = eqx.filter_make_jaxpr(forward_and_log_prob)(flow, jnp.zeros(2))
        return str(closed).count("\n")

    assert equations(2) == equations(5)


def test_a_thousand_dimensions():
    flow = flows.real_nvp(1000, key=0, layers=2, width=8)
    z, of_draws = flow.sample_and_log_prob(0, (3,))
    np.testing.assert_allclose(of_draws, scipy.stats.norm.logpdf(z).sum(-1), rtol=1e-12)


@each_flow
def test_nothing_lies_at_infinity(build):
    far = np.array([[np.inf, 0.0], [-np.inf, np.inf], [np.nan, 0.0], [np.nan, np.inf], [0.0, 0.0]])
    values = perturbed(build(2)).log_prob(far)
    assert np.all(np.isneginf(values[:2]))
    assert np.all(np.isnan(values[2:4]))
    assert np.isfinite(values[4])


def test_a_condition_that_is_not_finite_has_no_density():
    flow = CONDITIONAL["real_nvp"](2)
    conditions = np.array([[0.0] * 3, [np.nan] * 3])
    values = flow.log_prob(np.array([np.inf, 0.0]), conditions)
    assert np.isneginf(values[0])
    assert np.isnan(values[1])


def test_numbers_of_any_kind(as_users_run_it):
    for x in ([1, 2], np.array([1, 2.0], object), np.array([True, False]), jnp.zeros(2, jnp.bfloat16)):
        expected = -0.5 * np.sum(np.asarray(x, float) ** 2) - np.log(2 * np.pi)
        assert _flow().log_prob(x) == pytest.approx(expected)


def _flow():
    return flows.Flow(flows.Normal(2), Identity((2,)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: _flow().log_prob(np.zeros(3)), r"dim 2, but x has shape \(3,\)"),
        (lambda: _flow().log_prob(1.0), r"x has shape \(\)"),
        (lambda: _flow().log_prob(np.zeros(2), np.zeros(1)), "takes none"),
        (lambda: _flow().sample("seed"), "key"),
        (lambda: CONDITIONAL["iaf"](2).sample(0), r"condition of shape \(3,\)"),
        (lambda: CONDITIONAL["iaf"](2).log_prob(np.zeros(2), np.zeros(4)), r"\(4,\).*condition_dim=3"),
        (lambda: CONDITIONAL["iaf"](2).log_prob(np.zeros((5, 2)), np.zeros((4, 3))), "broadcast"),
        (lambda: CONDITIONAL["iaf"](2).sample(0, (), np.zeros((4, 3))), r"Ask for shape \(4,\)"),
        (lambda: flows.Flow(flows.Normal(3), LocationScale(np.zeros(2), np.ones(2))), "dim 3"),
        (lambda: _flow().log_prob("a"), "x holds values of type <U1"),
        (lambda: _flow().log_prob(np.array([1, "2"], object)), "x holds values of type object"),
        (lambda: _flow().log_prob([None, None]), "x holds values of type object"),
        (lambda: _flow().log_prob([[1.0, 2.0], [3.0]]), "x is no array of numbers"),
        (lambda: _flow().log_prob(np.zeros(2, complex)), "x holds values of type complex128"),
        (lambda: CONDITIONAL["iaf"](2).log_prob(np.zeros(2), "a"), "condition holds values of type"),
        (lambda: CONDITIONAL["iaf"](2).sample(0, (), np.zeros(3, complex)), "condition holds values of type"),
        (lambda: _flow().sample(0, (2.0,)), r"shape=\(2.0,\)"),
        (lambda: _flow().sample(0, "ab"), "shape='ab'"),
        (lambda: _flow().sample(0, (3, -1)), r"shape=\(3, -1\): a size is negative"),
        (lambda: _flow().sample(2**70), "seed 1180591620717411303424 is too large"),
        (lambda: flows.planar(None, key=0), "dim must be a positive integer, not None"),
        (lambda: flows.planar(2, key=0, length=None), "length must be a positive integer, not None"),
        (lambda: flows.real_nvp(0, key=0), "dim must be a positive integer, not 0"),
        (lambda: flows.iaf(2, key=0, layers=1.5), "layers must be"),
        (lambda: flows.neural_spline(2, key=0, condition_dim=0), "condition_dim must be"),
        (lambda: flows.gaussian(2, kind="fat"), "fat"),
        (lambda: flows.real_nvp(2, key=0, base=flows.Normal(3)), "dim 3"),
        (lambda: flows.whiten(flows.gaussian(2), np.zeros(3), np.eye(3)), "shape"),
        (lambda: flows.whiten(flows.gaussian(2), np.zeros(2), -np.eye(2)), "positive"),
    ],
)
def test_errors_name_what_is_wrong(call, message, as_users_run_it):
    with pytest.raises(FlowError, match=message):
        call()
