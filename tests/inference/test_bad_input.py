"""Bad input: each gives a typed error or a verdict that says what is wrong, where, and what to do."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from stages import density_of, quiet_fit

from flowvi import Budget, Target
from flowvi.errors import ArgumentError, DataError, DensityError, ModelError, SupportError
from flowvi.inference.explore import starts
from flowvi.inference.preflight import check_gradient, finite_starts

# flowvi's own words, not those of the type checks
pytestmark = pytest.mark.usefixtures("as_users_run_it")

TWO = {"a": 0.0, "b": np.zeros(3)}


def normal(p):
    return -0.5 * p["a"] ** 2 - 0.5 * jnp.sum(p["b"] ** 2)


@jax.custom_vjp
def lying(b):
    return -0.5 * jnp.sum(b**2)


lying.defvjp(lambda b: (lying(b), b), lambda b, g: (-g * b * jnp.array([1.0, 1.0, 3.0]),))


DENSITIES = {
    "NaN everywhere": (lambda p: normal(p) + jnp.log(-1.0 - p["a"] ** 2), r"NaN at .*a = .*b = \[.*Look for"),
    "NaN in the data": (
        lambda p: normal(p) + jnp.sum(jnp.array([1.0, jnp.nan]) * p["a"]),
        "NaN at .*NaN in the data",
    ),
    "+inf": (
        lambda p: normal(p) + jnp.where(p["a"] > -3, jnp.inf, 0.0),
        r"\+inf at .*a = .*Look for|\+inf at .*a = ",
    ),
    "-inf everywhere": (lambda p: normal(p) - jnp.inf, "-inf at all 8 starts.*a = .*lacks its support"),
    "a vector": (lambda p: -0.5 * p["b"] ** 2, r"array of shape \(3,\).*must be a scalar.*Sum"),
    "a matrix": (lambda p: jnp.zeros((2, 2)), r"shape \(2, 2\)"),
    "one number in an array": (lambda p: normal(p)[None], r"shape \(1,\)"),
    "nothing": (lambda p: None, "NoneType.*must be a scalar"),
    "a tuple": (lambda p: (normal(p), 0.0), "tuple.*must be a scalar"),
    "a complex number": (lambda p: normal(p) + 0j, "complex128.*must be floating"),
    "an integer": (lambda p: jnp.int32(3), "'a'.*zero at all|int32"),
    "a gradient that is zero in one parameter": (
        lambda p: -0.5 * jnp.sum(p["b"] ** 2),
        "with respect to 'a' is zero at all 8 starts.*Remove the parameter",
    ),
    "a gradient that is cut": (
        lambda p: (
            normal(p) - jnp.round(p["b"][1] * 10) - jax.lax.stop_gradient(p["b"][1]) + 0.5 * p["b"][1] ** 2
        ),
        r"with respect to 'b\[1\]' is zero",
    ),
    "a gradient that lies": (
        lambda p: -0.5 * p["a"] ** 2 + lying(p["b"]),
        r"disagrees with finite differences, most with respect to 'b\[2\]'.*custom",
    ),
    "a gradient of the wrong sign": (
        lambda p: -normal(p) + 2 * jax.lax.stop_gradient(normal(p)),
        "disagrees with finite differences",
    ),
    "a gradient that is not finite": (
        lambda p: normal(p) + 0 * jnp.sqrt(0 * p["a"]),
        "gradient with respect to 'a' is not finite at .*square root at zero",
    ),
    "a support so narrow that no draw falls into it": (
        lambda p: jnp.where(jnp.all(jnp.abs(p["b"]) < 0.02) & (jnp.abs(p["a"]) < 0.02), normal(p), -jnp.inf),
        "supports?",
    ),
}


@pytest.mark.parametrize(("log_density", "words"), DENSITIES.values(), ids=DENSITIES)
def test_a_bad_density_is_a_typed_error(log_density, words):
    with pytest.raises(DensityError, match=f"(?s){words}"):
        quiet_fit(log_density, example=TWO)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("constant", [0.0, -1e6])
def test_an_honest_gradient_passes_at_any_scale(scale, constant):
    density = density_of(lambda x: constant - jnp.sum(jnp.cosh(x[:1])) - 0.5 * jnp.sum((x / scale) ** 2), 3)
    z = finite_starts(density, starts(3, np.random.default_rng(0)))
    check_gradient(density, z)


@pytest.mark.usefixtures("x64")
def test_starts_move_to_where_the_density_is_finite():
    density = density_of(lambda x: jnp.where(jnp.abs(x[0]) > 1, jnp.nan, -0.5 * x @ x), 2)
    z = finite_starts(density, starts(2, np.random.default_rng(0)))
    assert len(z) == 8
    assert np.all(np.abs(z[:, 0]) <= 1)


IMPROPER = {
    "a parabola upwards": lambda p: 0.5 * p["x"] ** 2 + 0 * p["y"] - 0.5 * p["y"] ** 2,
    "exponential growth": lambda p: jnp.exp(p["x"]) - 0.5 * p["y"] ** 2,
    "a slope": lambda p: p["x"] - 0.5 * p["y"] ** 2,
    "flat in the sum": lambda p: -0.5 * (p["x"] - p["y"]) ** 2,
    "a slope in the sum": lambda p: -0.5 * (p["x"] - p["y"]) ** 2 + 0.01 * p["x"],
    "a tail too heavy": lambda p: -0.5 * jnp.log1p(p["x"] ** 2) - 0.5 * p["y"] ** 2,
    "a shelf": lambda p: -jnp.logaddexp(0.0, -p["x"]) - 0.5 * p["y"] ** 2,
}


@pytest.mark.parametrize("log_density", IMPROPER.values(), ids=IMPROPER)
def test_a_posterior_that_does_not_integrate_is_never_good(log_density):
    posterior = quiet_fit(log_density, example={"x": 0.0, "y": 0.0})
    assert posterior.verdict.level == "unreliable", str(posterior.verdict)
    assert posterior.log_evidence is None
    assert "may not integrate" in posterior.verdict.reasons[0]
    assert "flow" not in posterior.stages


@pytest.mark.parametrize(
    "log_density",
    [
        lambda p: -jnp.log1p(p["x"] ** 2) - 0.5 * p["y"] ** 2,
        lambda p: p["x"] - jnp.exp(p["x"]) - 0.5 * p["y"] ** 2,
    ],
    ids=["Cauchy", "log of an exponential"],
)
def test_heavy_and_one_sided_tails_that_integrate_are_not_suspected(log_density):
    posterior = quiet_fit(log_density, example={"x": 0.0, "y": 0.0}, budget=Budget(gradients=5_000))
    assert "may not integrate" not in str(posterior.verdict)


def test_flat_directions_are_named():
    posterior = quiet_fit(IMPROPER["flat in the sum"], example={"x": 0.0, "y": 0.0})
    assert "does not fall off along 'x', 'y'" in posterior.verdict.reasons[0]
    assert "proper prior" in posterior.verdict.reasons[0]
    assert "flow" not in posterior.stages


def test_nan_in_a_part_of_the_posterior_is_told():
    posterior = quiet_fit(
        lambda p: jnp.where(p["x"] > 1, jnp.nan, -0.5 * p["x"] ** 2), example={"x": 0.0}, flow="gaussian"
    )
    assert posterior.verdict.level in ("inconclusive", "unreliable")
    (told,) = [reason for reason in posterior.verdict.reasons if "evaluations of the log density" in reason]
    # the parameter and a value of it where the density is NaN
    assert float(re.search(r"for one nan at x = ([-.\d]+)", told)[1].rstrip(".")) > 1
    assert posterior.verdict.nonfinite > 0
    assert posterior.log_evidence is None


def coin(y):
    p = numpyro.sample("p", dist.Beta(2, 2))
    numpyro.sample("y", dist.Bernoulli(p), obs=y)


def seeded(y, seed):
    mu = numpyro.sample("mu", dist.Normal(0, 1))
    numpyro.sample("y", dist.Normal(mu, 1), obs=y)


def budgeted(y, budget=1.0):
    coin(y)


FITS = {
    "an argument named seed": (
        lambda: quiet_fit(seeded, np.zeros(2), seed=3),
        ModelError,
        r"'seed' is also an argument.*Target.from_numpyro\(model",
    ),
    "an argument named budget": (lambda: quiet_fit(budgeted, np.zeros(2)), ModelError, "'budget'"),
    "no model": (lambda: quiet_fit(3.0), ModelError, "type float was given.*example="),
    "text for a model": (lambda: quiet_fit("model.stan"), ModelError, "type str was given"),
    "supports without an example": (
        lambda: quiet_fit(coin, np.zeros(2), supports={"p": "unit_interval"}),
        ModelError,
        "give `example=`",
    ),
    "arguments beside a target": (
        lambda: quiet_fit(Target.from_numpyro(coin, np.zeros(2)), np.zeros(2), n=3),
        ModelError,
        "takes no further arguments.*1 positional, n",
    ),
    "data of objects": (
        lambda: quiet_fit(coin, np.array([1, None], object)),
        DataError,
        "array of type object, shape \\(2,\\)",
    ),
    "an example without parameters": (lambda: quiet_fit(normal, example={}), ModelError, "no parameters"),
    "an integer parameter": (
        lambda: quiet_fit(normal, example={"a": np.zeros(2, int)}),
        ModelError,
        "'a'.*int64",
    ),
    "a simplex on a scalar": (
        lambda: quiet_fit(normal, example=TWO, supports={"a": "simplex"}),
        SupportError,
        "'a' of shape",
    ),
    "a support for no parameter": (
        lambda: quiet_fit(normal, example=TWO, supports={"c": "positive"}),
        SupportError,
        r"\['c'\].*\['a', 'b'\]",
    ),
    "no draws": (lambda: quiet_fit(normal, example=TWO, draws=0), ValueError, "draws=0"),
    "half a draw": (lambda: quiet_fit(normal, example=TWO, draws=10.5), ArgumentError, "draws=10.5.*whole"),
    "a negative seed": (lambda: quiet_fit(normal, example=TWO, seed=-1), ArgumentError, "seed=-1.*from 0"),
    "a number for a budget": (
        lambda: quiet_fit(normal, example=TWO, budget=1000),
        ArgumentError,
        r"budget=1000 is a int: give flowvi.Budget\(gradients=",
    ),
    "words for a budget": (
        lambda: quiet_fit(normal, example=TWO, budget=Budget(seconds="60")),
        ArgumentError,
        "seconds='60'.*a number",
    ),
    "a budget of nothing": (
        lambda: quiet_fit(normal, example=TWO, budget=Budget(gradients=0)),
        ValueError,
        "must be positive",
    ),
}


@pytest.mark.parametrize(("call", "error", "words"), FITS.values(), ids=FITS)
def test_bad_arguments_are_typed_errors(call, error, words):
    with pytest.raises(error, match=f"(?s){words}"):
        call()


def test_a_clashing_argument_is_fitted_through_its_target():
    posterior = quiet_fit(Target.from_numpyro(seeded, np.zeros(2), seed=3))
    assert posterior.draws["mu"].std() == pytest.approx(1 / np.sqrt(3), rel=0.06)


@pytest.mark.parametrize("seed", range(4))
def test_a_prior_that_is_flat_on_the_log_scale_is_improper(seed):
    # the Gaussian runs along the plateau, until the numbers end
    y, sigma = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0]), np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0])

    def log_density(p):
        of_data = jax.scipy.stats.norm.logpdf(y, p["mu"], jnp.sqrt(sigma**2 + p["tau"] ** 2)).sum()
        return jax.scipy.stats.norm.logpdf(p["mu"], 0, 5) - jnp.log(p["tau"]) + of_data

    example, supports = {"mu": 0.0, "tau": 1.0}, {"tau": "positive"}
    posterior = quiet_fit(log_density, example=example, supports=supports, seed=seed)
    assert posterior.verdict.level == "unreliable"
    assert "does not fall off along 'tau'" in posterior.verdict.reasons[0]
