"""Plain log densities: Jacobians, names, arguments, and what is wrong with them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax.scipy import stats
from target_cases import EXAMPLE, SUPPORTS, nested_density

from flowvi import Target
from flowvi.errors import CannotSimulateError, DataError, ModelError, SupportError
from flowvi.targets.jax import JaxTarget


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def nested():
    return JaxTarget.build(nested_density, EXAMPLE, SUPPORTS, (0.7,))


def test_leaves_are_named_by_their_paths(nested):
    assert set(nested.constrain(np.zeros((1, nested.dim)))) == {
        "x",
        "tau",
        "inner/w",
        "inner/u",
        "inner/cut",
        "low",
    }
    # the simplex has one free coordinate less
    assert [label for label in nested.coordinates if label.startswith("inner/w")] == [
        "inner/w[0]",
        "inner/w[1]",
    ]
    assert "x[1,0]" in nested.coordinates


SCALAR = {
    "positive": (lambda x: stats.gamma.logpdf(x, 3.0, scale=0.5), scipy.stats.gamma(3, scale=0.5)),
    "unit_interval": (lambda x: stats.beta.logpdf(x, 2.0, 5.0), scipy.stats.beta(2, 5)),
    "real": (lambda x: stats.norm.logpdf(x, 1.0, 2.0), scipy.stats.norm(1, 2)),
    ("interval", 1.0, 3.0): (
        lambda x: stats.beta.logpdf(x, 2.0, 2.0, loc=1.0, scale=2.0),
        scipy.stats.beta(2, 2, 1, 2),
    ),
    ("interval", 2.0, None): (lambda x: stats.expon.logpdf(x, loc=2.0), scipy.stats.expon(2)),
    ("interval", None, 0.0): (lambda x: stats.expon.logpdf(-x), None),
}


@pytest.mark.parametrize(("support", "case"), SCALAR.items(), ids=map(str, SCALAR))
def test_the_jacobian_keeps_the_mass_and_the_moments(support, case, x64):
    log_density, truth = case
    target = Target.from_log_density(lambda p: log_density(p["a"]), {"a": 0.0}, {"a": support})
    z = np.linspace(-30, 30, 20_001)
    density = np.exp(np.asarray(jax.jit(jax.vmap(target.log_density))(z[:, None])))
    assert np.trapezoid(density, z) == pytest.approx(1, abs=1e-5)
    a = target.constrain(z[:, None])["a"]
    mean = truth.mean() if truth else -1.0
    assert np.trapezoid(density * a, z) == pytest.approx(mean, abs=1e-4)


def test_the_jacobian_of_a_simplex_keeps_the_mass_and_the_moments(x64):
    a = jnp.array([2.0, 3.0, 1.5])
    target = Target.from_log_density(lambda p: stats.dirichlet.logpdf(p, a), np.ones(3) / 3, {"x": "simplex"})
    axis = np.linspace(-14, 14, 300)
    z = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    density = np.exp(np.asarray(jax.jit(jax.vmap(target.log_density))(z)))
    cell = (axis[1] - axis[0]) ** 2
    assert density.sum() * cell == pytest.approx(1, abs=1e-4)
    mean = density @ target.constrain(z)["x"] * cell
    np.testing.assert_allclose(mean, a / a.sum(), atol=1e-4)


def test_examples_give_shapes_and_never_values():
    def density(p):
        return -jnp.sum(p["a"] ** 2)

    for example in (
        {"a": np.full(2, np.nan)},
        {"a": jnp.zeros(2, jnp.float32)},
        {"a": jax.ShapeDtypeStruct((2,), jnp.float32)},
    ):
        target = Target.from_log_density(density, example)
        assert target.coordinates == ("a[0]", "a[1]")


def test_arguments_are_data_of_the_target(x64):
    first = JaxTarget.build(nested_density, EXAMPLE, SUPPORTS, (0.7,))
    second = JaxTarget.build(nested_density, EXAMPLE, SUPPORTS, (0.0,))
    z = jnp.asarray(np.random.default_rng(0).normal(size=first.dim))
    w = first.constrain(np.asarray(z)[None])["inner/w"][0]
    difference = first.log_density(z) - second.log_density(z)
    assert float(difference) == pytest.approx(-0.7 * (w @ np.arange(3)))
    assert jax.tree.structure(first) == jax.tree.structure(second)


def test_a_density_is_not_run_when_its_target_is_built():
    values = []

    def density(p, data):
        values.extend([p["a"], data])
        return -jnp.sum(p["a"] ** 2) * jnp.sum(data)

    JaxTarget.build(density, {"a": np.zeros(2)}, args=(np.ones(3),))
    assert values
    assert all(isinstance(value, jax.core.Tracer) for value in values)


def test_a_density_has_no_observations(nested):
    draws = nested.constrain(np.zeros((1, nested.dim)))
    assert nested.log_likelihood(draws) == nested.observed_data() == nested.dims() == nested.coords() == {}
    with pytest.raises(CannotSimulateError, match="NumPyro, PyMC or Stan"):
        nested.predictive(draws, 0, (), {})


def density(p):
    return 0.0


BAD = {
    "no parameters": (lambda: Target.from_log_density(density, {}), ModelError, "no parameters"),
    "two parameters of one name": (
        lambda: Target.from_log_density(density, {"a": {"b/c": 0.0}, "a/b": {"c": 0.0}}),
        ModelError,
        "more than one parameter named 'a/b/c'",
    ),
    "an integer parameter": (
        lambda: Target.from_log_density(density, {"k": np.zeros(2, int)}),
        ModelError,
        "'k'.*int64.*Give floats",
    ),
    "a boolean parameter": (
        lambda: Target.from_log_density(density, {"k": np.zeros(2, bool)}),
        ModelError,
        "'k'.*bool",
    ),
    "a complex parameter": (
        lambda: Target.from_log_density(density, {"k": np.zeros(2, complex)}),
        ModelError,
        "'k'.*complex",
    ),
    "a parameter of text": (lambda: Target.from_log_density(density, {"k": "a"}), ModelError, "'k'"),
    "a simplex on a scalar": (
        lambda: Target.from_log_density(density, {"p": 0.0}, {"p": "simplex"}),
        SupportError,
        r"'p' of shape \(\)",
    ),
    "a Cholesky factor that is not square": (
        lambda: Target.from_log_density(density, {"L": np.zeros((2, 3))}, {"L": "cholesky_cov"}),
        SupportError,
        r"'L' of shape \(2, 3\)",
    ),
    "an unknown support": (
        lambda: Target.from_log_density(density, {"p": 0.0}, {"p": "positiv"}),
        SupportError,
        "'p'.*'positiv' is not a support.*'positive'",
    ),
    "an unknown parameter": (
        lambda: Target.from_log_density(density, {"p": 0.0}, {"q": "positive"}),
        SupportError,
        r"names \['q'\].*\['p'\]",
    ),
    "an empty interval": (
        lambda: Target.from_log_density(density, {"p": 0.0}, {"p": ("interval", 2.0, 1.0)}),
        SupportError,
        "'p'",
    ),
    "too few data": (
        lambda: Target.from_log_density(lambda p, x: 0.0, {"p": 0.0}),
        ModelError,
        "cannot be called.*'x'.*then the data",
    ),
    "data of objects": (
        lambda: JaxTarget.build(lambda p, x: 0.0, {"p": 0.0}, args=(np.array(["a", None], object),)),
        DataError,
        "type object.*must be numeric",
    ),
}


@pytest.mark.parametrize(("build", "error", "words"), BAD.values(), ids=BAD)
def test_bad_input_is_a_typed_error(build, error, words):
    with pytest.raises(error, match=f"(?s){words}"):
        build()


OUTSIDE = {
    "tau": -1.0,
    "inner/w": np.array([0.5, 0.4, 0.3]),
    "inner/u": np.array([0.5, 1.5]),
    "inner/cut": np.array([0.0, 2.0, 1.0]),
    "low": -3.0,
}


@pytest.mark.parametrize(("name", "value"), OUTSIDE.items(), ids=OUTSIDE)
def test_a_value_outside_its_support_is_named(nested, name, value):
    values = {name: values[0] for name, values in nested.constrain(np.zeros((1, nested.dim))).items()}
    nested.unconstrain(values)
    with pytest.raises(SupportError, match=f"'{name}.*outside"):
        nested.unconstrain({**values, name: value})
