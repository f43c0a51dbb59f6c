"""Builders by their names in the literature: where they start, and that they grow with nothing."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from flow_cases import CONDITIONAL, FLOWS, perturbed
from jax.extend.core import jaxprs_in_params

from flowvi import flows
from flowvi.errors import FlowError
from flowvi.flows.flow import forward_and_log_prob, log_prob

IDENTITY = ["nice", "glow", "maf", "neural_spline_autoregressive"]
NEAR = ["planar", "radial", "sylvester"]


@pytest.mark.parametrize("name", IDENTITY)
@pytest.mark.parametrize("dim", [1, 2])
def test_start_is_the_standard_normal(name, dim):
    x = np.random.default_rng(0).normal(size=(32, dim)) * 4
    expected = scipy.stats.norm.logpdf(x).sum(-1)
    np.testing.assert_allclose(FLOWS[name](dim).log_prob(x), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", NEAR)
def test_start_is_close_to_the_standard_normal(name):
    x = np.random.default_rng(0).normal(size=(256, 3))
    difference = FLOWS[name](3).log_prob(x) - scipy.stats.norm.logpdf(x).sum(-1)
    assert 1e-4 < np.max(np.abs(difference)) < 0.5


@pytest.mark.parametrize("kind", ["householder", "triangular"])
def test_other_kinds_of_sylvester_flows(kind):
    flow = perturbed(flows.sylvester(3, key=0, length=3, kind=kind))
    z, of_draws = flow.sample_and_log_prob(3, (8,))
    np.testing.assert_allclose(of_draws, flow.log_prob(z), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("name", "depth", "condition_dim"),
    [
        ("planar", "length", None),
        ("planar", "length", 2),
        ("radial", "length", None),
        ("sylvester", "length", None),
        ("nice", "layers", None),
        ("glow", "layers", None),
    ],
)
def test_program_does_not_grow_with_depth(name, depth, condition_dim):
    def equations(count):
        with jax.enable_x64(True):
            build = getattr(flows, name)
            sizes = {depth: count, "width": 4, "condition_dim": condition_dim}
            flow = build(2, key=0, **sizes)
            condition = None if condition_dim is None else jnp.zeros(condition_dim)
            closed, _, _ = eqx.filter_make_jaxpr(forward_and_log_prob)(flow, jnp.zeros(2), condition)
        return sum(1 for _ in _equations(closed.jaxpr))

    few, many = equations(4), equations(9)
    # of the parameters of all maps, one network is one piece
    assert many == few


def _equations(jaxpr):
    for equation in jaxpr.eqns:
        yield equation
        for inner in jaxprs_in_params(equation.params):
            yield from _equations(inner)


@pytest.mark.parametrize(
    "build",
    [
        lambda: flows.planar(1000, key=0, length=2),
        lambda: flows.radial(1000, key=0, length=2),
        lambda: flows.sylvester(1000, key=0, length=2, rank=3),
        lambda: flows.sylvester(1000, key=0, length=2, rank=3, kind="triangular"),
        lambda: flows.nice(1000, key=0, layers=2, width=4),
        lambda: flows.glow(1000, key=0, layers=1, width=4),
    ],
    ids=["planar", "radial", "sylvester", "sylvester_triangular", "nice", "glow"],
)
def test_a_thousand_dimensions(build):
    flow = build()
    z, of_draws = flow.sample_and_log_prob(0, (2,))
    np.testing.assert_allclose(of_draws, flow.log_prob(z), rtol=1e-10)


def test_sylvester_reaches_every_coordinate():
    flow = perturbed(flows.sylvester(7, key=0, length=4, rank=2, kind="triangular"))
    with jax.enable_x64(True):
        jacobian = jax.jacobian(lambda x: flow.bijection.forward_and_log_det(x)[0])(jnp.ones(7))
    assert np.all(np.abs(np.diag(jacobian) - 1) > 1e-6)


@pytest.mark.parametrize("name", ["maf", "neural_spline_autoregressive"])
def test_densities_take_one_pass(name):
    def loops(function, flow):
        with jax.enable_x64(True):
            closed, _, _ = eqx.filter_make_jaxpr(function)(flow, jnp.zeros(5))
        return sum(e.primitive.name in ("scan", "while") for e in _equations(closed.jaxpr))

    flow = FLOWS[name](5)
    # the layers are one loop, and their coordinates another
    assert loops(log_prob, flow) + 1 == loops(forward_and_log_prob, flow)


def test_standardised_by_the_data():
    rng = np.random.default_rng(0)
    x = np.array([100.0, -3.0]) + np.array([0.01, 50.0]) * rng.normal(size=(500, 2))
    flow = flows.standardise(flows.nice(2, key=0), x)
    expected = scipy.stats.norm(x.mean(axis=0), x.std(axis=0)).logpdf(x).sum(-1)
    np.testing.assert_allclose(flow.log_prob(x), expected, rtol=1e-10)


def test_standardised_condition():
    rng = np.random.default_rng(0)
    x, condition = rng.normal(size=(50, 2)), 1000 + 20 * rng.normal(size=(50, 3))
    plain = perturbed(CONDITIONAL["nice"](2))
    flow = flows.standardise(plain, x, condition)
    standard = (condition - condition.mean(axis=0)) / condition.std(axis=0)
    expected = plain.log_prob((x - x.mean(axis=0)) / x.std(axis=0), standard) - np.log(x.std(axis=0)).sum()
    np.testing.assert_allclose(flow.log_prob(x, condition), expected, rtol=1e-10)


def _x():
    return np.random.default_rng(0).normal(size=(20, 2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: flows.sylvester(2, key=0, kind="round"), "'round'"),
        (lambda: flows.sylvester(2, key=0, rank=3), "rank=3"),
        (lambda: flows.planar(2, key=0, length=0), "length must be"),
        (lambda: flows.planar(2, key=0, nonlinearity="relu"), "'relu'"),
        (lambda: flows.standardise(flows.nice(3, key=0), _x()), r"\(20, 2\).*3 columns"),
        (
            lambda: flows.standardise(flows.nice(2, key=0), np.ones((20, 2)) * 0.1),
            "column 0 of x is constant",
        ),
        (lambda: flows.standardise(flows.nice(2, key=0), _x() * [1, np.nan]), "column 1 of x"),
        (lambda: flows.standardise(flows.nice(2, key=0), _x(), _x()), "None columns"),
    ],
)
def test_errors_name_what_is_wrong(call, message, as_users_run_it):
    with pytest.raises(FlowError, match=message):
        call()
