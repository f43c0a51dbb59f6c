import subprocess
import sys
from collections.abc import Callable

import equinox as eqx
import jax
import numpy as np
import pytest
from scipy import stats

import flowvi
from flowvi.errors import DataError, DensityError, DependencyError, ModelError, SupportError

pm = pytest.importorskip("pymc")

import pytensor  # noqa: E402
import pytensor.tensor as pt  # noqa: E402
from pymc.distributions import transforms as tr  # noqa: E402

from flowvi.targets.pymc import PymcTarget  # noqa: E402

Y = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
SIGMA = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
SCHOOLS = list("ABCDEFGH")
GROUP = np.arange(12) % 3
SERIES = np.random.default_rng(0).normal(size=12)


def eight_schools(y=Y, sigma=SIGMA):
    with pm.Model(coords={"school": SCHOOLS}) as model:
        mu = pm.Normal("mu", 0, 5)
        tau = pm.HalfCauchy("tau", 5)
        theta_t = pm.Normal("theta_t", 0, 1, dims="school")
        theta = pm.Deterministic("theta", mu + tau * theta_t, dims="school")
        pm.Normal("y", theta, sigma, observed=y, dims="school")
    return model


def regression(x=SERIES, group=GROUP, y=SERIES**2):
    with pm.Model(coords={"group": ["a", "b", "c"]}) as model:
        x = pm.Data("x", x, dims="row")
        group = pm.Data("group_of", group, dims="row")
        a = pm.Normal("a", 0.0, 2.0, dims="group")
        b = pm.StudentT("b", 4, mu=0.0, sigma=1.0)
        s = pm.HalfNormal("s", 1.0)
        pm.Normal("y", a[group] + b * x, s, observed=y, dims="row")
    return model


def dependent_bound():
    with pm.Model() as model:
        alpha = pm.Uniform("alpha", 0, 1)
        pm.Uniform("beta", 0, 1 - alpha)
    return model


def simplex_and_counts():
    with pm.Model() as model:
        p = pm.Dirichlet("p", np.array([1.5, 2.0, 0.7]))
        pm.Multinomial("n", 10, p, observed=np.array([3, 5, 2]))
        pm.Poisson("k", 3 * p, observed=np.array([1, 0, 4]))
    return model


def covariance():
    with pm.Model() as model:
        chol, _, _ = pm.LKJCholeskyCov("chol", n=3, eta=2, sd_dist=pm.Exponential.dist(1.0))
        pm.MvNormal("y", np.zeros(3), chol=chol, observed=SERIES.reshape(4, 3))
    return model


def ordered_mixture():
    with pm.Model() as model:
        mu = pm.Normal("mu", [-1.0, 1.0], 2.0, transform=tr.ordered, initval=[-1.0, 1.0])
        w = pm.Beta("w", 5, 5)
        pm.NormalMixture("y", w=pt.stack([w, 1 - w]), mu=mu, sigma=1, observed=SERIES)
    return model


def scan_volatility():
    with pm.Model() as model:
        y = pm.Data("y_data", SERIES)
        alpha = pm.HalfNormal("alpha", 1.0)
        beta = pm.Uniform("beta", 0.0, 1.0)
        variance = pytensor.scan(
            lambda y_before, v, alpha, beta: alpha + 0.3 * y_before**2 + beta * v,
            [y[:-1]],
            pt.constant(1.0, dtype="float64"),
            [alpha, beta],
            strict=True,
            return_updates=False,
        )
        pm.Normal("y", 0.0, pt.sqrt(pt.concatenate([[1.0], variance])), observed=y)
    return model


def forward_algorithm(distance=1.0):
    with pm.Model() as model:
        p = pm.Beta("p", 2.0, 2.0)
        log_transition = pt.log(pt.stack([pt.stack([p, 1 - p]), pt.stack([1 - p, p])]))
        emission = pt.as_tensor(-((SERIES[:, None] - [distance, -distance]) ** 2))
        gamma = pytensor.scan(
            lambda e, g, t: pt.logsumexp(g[:, None] + t, axis=0) + e,
            [emission[1:]],
            emission[0],
            [log_transition],
            strict=True,
            return_updates=False,
        )
        pm.Potential("forward", pt.logsumexp(gamma[-1]))
    return model


def missing_values():
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 1.0)
        with pytest.warns(Warning, match="imput"):
            pm.Normal("y", mu, 1.0, observed=np.array([1.0, np.nan, 0.3]))
    return model


def gaussian_process():
    with pm.Model() as model:
        length = pm.InverseGamma("length", 3, 2)
        z = pm.ZeroSumNormal("z", 1.0, shape=4)
        K = pt.exp(-0.5 * ((SERIES[:, None] - SERIES) / length) ** 2) + 0.1 * np.eye(12)
        pm.MvNormal("y", z[0] * np.ones(12), K, observed=SERIES)
        pm.Bernoulli("hit", logit_p=z, observed=np.array([0, 1, 1, 0], np.int8))
    return model


def walk_and_truncation():
    with pm.Model() as model:
        s = pm.HalfNormal("s", 1.0)
        walk = pm.GaussianRandomWalk("walk", sigma=s, init_dist=pm.Normal.dist(0.0, 1.0), steps=11)
        pm.Truncated("t", pm.Normal.dist(walk, s), lower=-2.0, observed=SERIES)
        pm.Censored("c", pm.Normal.dist(walk, s), lower=-1.0, upper=1.0, observed=np.clip(SERIES, -1, 1))
    return model


def only_a_potential():
    with pm.Model() as model:
        x = pm.Flat("x", shape=2)
        s = pm.HalfFlat("s")
        pm.Potential("banana", -0.5 * (x[0] ** 2 + (x[1] - x[0] ** 2) ** 2) - s)
    return model


MODELS: dict[str, Callable] = {
    model.__name__: model
    for model in (
        eight_schools,
        regression,
        dependent_bound,
        simplex_and_counts,
        covariance,
        ordered_mixture,
        scan_volatility,
        forward_algorithm,
        missing_values,
        gaussian_process,
        walk_and_truncation,
        only_a_potential,
    )
}


@pytest.fixture(scope="module", params=MODELS)
def case(request):
    model = MODELS[request.param]()
    target = PymcTarget.build(model)
    return model, target, 0.5 * np.random.default_rng(1).normal(size=(3, target.dim))


TRACES = []


@eqx.filter_jit
def value_and_grad(target, z):
    TRACES.append(target.dim)
    return jax.vmap(jax.value_and_grad(target.log_density))(z)


def density(target, z):
    with jax.enable_x64(True):
        value, gradient = value_and_grad(target, np.asarray(z, np.float64))
        return np.asarray(value), np.asarray(gradient)


def test_density_and_gradient_agree_with_pymc(case):
    model, target, z = case
    value, gradient = density(target, z)
    assert value.dtype == np.float64
    shapes = model.eval_rv_shapes()
    logp = model.compile_logp(mode="FAST_COMPILE")
    for row, v, g in zip(z, value, gradient, strict=True):
        # PyTensor takes functions of small integer constants, as log(5), in single precision.
        np.testing.assert_allclose(v, logp(as_point(model, shapes, row)), rtol=1e-7)
        for i in range(target.dim):
            step = np.zeros(target.dim)
            step[i] = 1e-5
            up, down = (logp(as_point(model, shapes, row + s)) for s in (step, -step))
            np.testing.assert_allclose(g[i], (up - down) / 2e-5, rtol=1e-4, atol=1e-4)


def as_point(model, shapes, row):
    ends = np.cumsum([int(np.prod(shapes[v.name])) for v in model.value_vars])
    parts = np.split(row, ends[:-1])
    return {v.name: part.reshape(shapes[v.name]) for v, part in zip(model.value_vars, parts, strict=True)}


def test_round_trip(case):
    model, target, z = case
    draws = target.constrain(z)
    assert list(draws) == [v.name for v in model.unobserved_RVs]
    assert all(v.dtype == np.float64 and len(v) == 3 for v in draws.values())
    for i in range(3):
        np.testing.assert_allclose(target.unconstrain({k: v[i] for k, v in draws.items()}), z[i], atol=1e-9)


def test_a_model_built_again_shares_the_compiled_function(case, request):
    _, target, z = case
    value = density(target, z)[0]
    traced = len(TRACES)
    again = PymcTarget.build(MODELS[request.node.callspec.params["case"]]())
    np.testing.assert_array_equal(density(again, z)[0], value)
    assert len(TRACES) == traced


@pytest.mark.parametrize("model", [eight_schools, regression], ids=["constants", "pm.Data"])
def test_new_data_of_the_same_shape_change_the_density_and_compile_nothing(model):
    new_model = model(y=np.cos(Y if model is eight_schools else SERIES))
    old, new = PymcTarget.build(model()), PymcTarget.build(new_model)
    z = np.full((2, old.dim), 0.3)
    before = density(old, z)[0]
    traced = len(TRACES)
    after = density(new, z)[0]
    assert len(TRACES) == traced
    point = as_point(new_model, new_model.eval_rv_shapes(), z[0])
    np.testing.assert_allclose(after[0], new_model.compile_logp(mode="FAST_COMPILE")(point), rtol=1e-7)
    assert abs(after[0] - before[0]) > 0.1


def test_other_numbers_in_the_model_are_another_program():
    def build(sd):
        with pm.Model() as model:
            pm.Normal("x", 0.0, sd)
        return PymcTarget.build(model)

    one, two = build(1.0), build(2.0)
    np.testing.assert_allclose(density(one, [[0.5]])[0], stats.norm.logpdf(0.5))
    np.testing.assert_allclose(density(two, [[0.5]])[0], stats.norm.logpdf(0.5, scale=2))


def test_the_target_keeps_the_data_it_was_built_with():
    model = regression()
    target = PymcTarget.build(model)
    z = np.zeros((1, target.dim))
    before = density(target, z)[0], target.observed_data()["y"]
    with model:
        pm.set_data({"x": SERIES + 5})
    np.testing.assert_array_equal(density(target, z)[0], before[0])
    expected = stats.norm.logpdf(before[1], scale=1.0)
    np.testing.assert_allclose(target.log_likelihood(target.constrain(z))["y"], [expected])


def test_a_support_that_depends_on_another_parameter():
    target = PymcTarget.build(dependent_bound())
    z = np.random.default_rng(0).normal(size=(100, 2)) * 3
    draws = target.constrain(z)
    assert (draws["beta"] < 1 - draws["alpha"]).all()
    np.testing.assert_allclose(draws["beta"] / (1 - draws["alpha"]), 1 / (1 + np.exp(-z[:, 1])))


def prior(build: Callable):
    with pm.Model() as model:
        build()
    return PymcTarget.build(model)


@pytest.mark.parametrize(
    "build",
    [
        lambda: pm.HalfCauchy("x", 2),
        lambda: pm.Beta("x", 2, 3),
        lambda: pm.Gumbel("x", 1, 2),
        lambda: pm.TruncatedNormal("x", 0.0, 1.0, lower=-1, upper=2),
        lambda: pm.Dirichlet("x", np.array([1.5, 2.0])),
        lambda: pm.HalfStudentT("x", nu=4, sigma=36),
    ],
)
def test_a_prior_integrates_to_one_over_the_unconstrained_line(build):
    z = np.linspace(-60, 60, 40_001)
    value = density(prior(build), z[:, None])[0]
    np.testing.assert_allclose(np.trapezoid(np.exp(value), z), 1.0, rtol=1e-6)


def test_a_dependent_support_integrates_to_one():
    line = np.linspace(-20, 20, 401)
    z = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
    value = density(PymcTarget.build(dependent_bound()), z)[0]
    np.testing.assert_allclose(np.exp(value).sum() * (line[1] - line[0]) ** 2, 1.0, rtol=1e-5)


@pytest.mark.parametrize("sigma", [2, 36, 1000])
def test_integer_constants_do_not_overflow(sigma):
    target = prior(lambda: pm.HalfStudentT("x", nu=3, sigma=sigma))
    x = np.exp(1.5)
    expected = stats.t.logpdf(x, 3, scale=sigma) + np.log(2) + np.log(x)
    np.testing.assert_allclose(density(target, [[1.5]])[0], expected, rtol=1e-13)


def test_density_outside_the_domain_of_a_parameter_is_zero():
    def build():
        x = pm.Normal("x", 0.0, 1.0)
        pm.Normal("y", 0.0, x, observed=1.0)

    value, gradient = density(prior(build), [[-0.5], [0.5]])
    assert value[0] == -np.inf
    assert np.isfinite([value[1], gradient[1, 0]]).all()


def test_a_logsumexp_inside_a_scan_does_not_underflow():
    target = PymcTarget.build(forward_algorithm(distance=800.0))
    (near, far), gradient = density(target, [[0.3], [0.4]])
    assert near != far
    np.testing.assert_allclose(gradient.mean(), (far - near) / 0.1, rtol=1e-2)


def test_coordinates_and_improper_priors():
    assert PymcTarget.build(eight_schools()).coordinates[:4] == ("mu", "tau", "theta_t[0]", "theta_t[1]")
    assert PymcTarget.build(simplex_and_counts()).coordinates == ("p[0]", "p[1]")
    flat = PymcTarget.build(only_a_potential())
    assert flat.coordinates == ("x[0]", "x[1]", "s")
    assert flat.improper == ("x", "s")
    assert prior(lambda: pm.Normal("m", 0, 1, shape=(1, 2))).coordinates == ("m[0,0]", "m[0,1]")


def test_dims_coords_and_observed_data():
    target = PymcTarget.build(eight_schools())
    assert target.dims() == {"theta_t": ("school",), "theta": ("school",), "y": ("school",)}
    np.testing.assert_array_equal(target.coords()["school"], SCHOOLS)
    np.testing.assert_array_equal(target.observed_data()["y"], Y)
    assert set(PymcTarget.build(regression()).coords()) == {"group"}


@pytest.mark.parametrize(
    "model", [eight_schools, regression, simplex_and_counts, covariance, scan_volatility]
)
def test_pointwise_log_likelihood_sums_to_that_of_the_model(model):
    model = model()
    target = PymcTarget.build(model)
    z = np.random.default_rng(2).normal(size=(3, target.dim))
    pointwise = target.log_likelihood(target.constrain(z))
    assert set(pointwise) == {rv.name for rv in model.observed_RVs}
    total = sum(v.reshape(3, -1).sum(axis=1) for v in pointwise.values())
    likelihood = model.compile_logp(vars=model.observed_RVs, mode="FAST_COMPILE")
    shapes = model.eval_rv_shapes()
    np.testing.assert_allclose(total, [likelihood(as_point(model, shapes, row)) for row in z])


def test_no_observed_variables():
    target = PymcTarget.build(only_a_potential())
    draws = target.constrain(np.zeros((2, 3)))
    assert target.log_likelihood(draws) == target.predictive(draws, 0, (), {}) == target.observed_data() == {}


def test_predictive_draws_have_the_moments_of_the_model_and_follow_the_seed():
    target = PymcTarget.build(eight_schools())
    draws = target.constrain(np.tile(np.linspace(-1, 1, target.dim), (4000, 1)))
    y = target.predictive(draws, 1, (), {})["y"]
    assert y.shape == (4000, 8)
    assert y.dtype == np.float64
    np.testing.assert_allclose(y.mean(axis=0), draws["theta"][0], atol=4 * SIGMA.max() / 4000**0.5)
    np.testing.assert_allclose(y.std(axis=0), SIGMA, rtol=0.06)
    np.testing.assert_array_equal(
        y[:50], target.predictive({k: v[:50] for k, v in draws.items()}, 1, (), {})["y"]
    )
    assert (y != target.predictive(draws, 2, (), {})["y"]).all()


@pytest.mark.parametrize("model", [simplex_and_counts, covariance, ordered_mixture, scan_volatility])
def test_predictive_draws_have_the_shape_of_the_data(model):
    target = PymcTarget.build(model())
    draws = target.constrain(np.zeros((3, target.dim)))
    shapes = {name: values.shape for name, values in target.predictive(draws, 0, (), {}).items()}
    assert shapes == {name: (3, *values.shape) for name, values in target.observed_data().items()}


def test_predictive_for_new_data_leaves_the_model_as_it_was():
    model = regression()
    target = PymcTarget.build(model)
    draws = target.constrain(np.tile([0.0, 5.0, 10.0, 2.0, -7.0], (500, 1)))
    new = target.predictive(draws, 0, (), {"x": np.array([0.0, 1.0]), "group_of": np.array([2, 1])})["y"]
    assert new.shape == (500, 2)
    np.testing.assert_allclose(new.mean(axis=0), [10.0, 7.0], atol=1e-3)
    np.testing.assert_array_equal(model["x"].get_value(), SERIES)
    assert target.predictive(draws, 0, (), {})["y"].shape == (500, 12)


@pytest.mark.parametrize(
    ("args", "kwargs", "words"),
    [
        ((SERIES,), {}, "by name"),
        ((), {"z": SERIES}, "no pm.Data named z, but: x, group_of"),
        ((), {"x": SERIES[:, None]}, "2 dimensions"),
        ((), {"x": SERIES[:3]}, "all data of a length that changes"),
        ((), {"group_of": np.full(12, 0.5)}, "float64"),
    ],
)
def test_new_data_that_do_not_fit(args, kwargs, words):
    target = PymcTarget.build(regression())
    with pytest.raises(DataError, match=words):
        target.predictive(target.constrain(np.zeros((2, target.dim))), 0, args, kwargs)


def test_values_that_do_not_fit():
    target = PymcTarget.build(simplex_and_counts())
    with pytest.raises(DataError, match="p missing"):
        target.unconstrain({})
    with pytest.raises(DataError, match="shape"):
        target.unconstrain({"p": [0.5, 0.5]})
    with pytest.raises(SupportError, match=r"'p.*outside"):
        target.unconstrain({"p": [0.5, 0.5, 0.5]})
    dependent = PymcTarget.build(dependent_bound())
    with pytest.raises(SupportError, match=r"'beta.*outside"):
        dependent.unconstrain({"alpha": 0.6, "beta": 0.5})
    with pytest.raises(SupportError, match=r"'alpha' lies.*at the edge"):
        dependent.unconstrain({"alpha": 0.0, "beta": 0.5})


class NoJax(pytensor.graph.Op):
    itypes = (pt.dscalar,)
    otypes = (pt.dscalar,)

    def perform(self, node, inputs, outputs):
        outputs[0][0] = inputs[0]


def minibatch():
    batch = pm.Minibatch(SERIES, batch_size=4)
    pm.Normal("y", pm.Normal("mu"), 1.0, observed=batch, total_size=12)


def total_size():
    pm.Normal("y", pm.Normal("mu"), 1.0, observed=SERIES, total_size=24)


def random_deterministic():
    pm.Deterministic("noise", pm.Normal("mu") + pm.Normal.dist())


def shape_from_a_parameter():
    pm.Potential("p", pt.cumsum(pt.ones(pt.floor(pm.Normal("x")).astype(int))).sum())


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (minibatch, "mini-batches are not supported yet; use the full data"),
        (total_size, "mini-batches"),
        (lambda: pm.Normal("y", 0.0, 1.0, observed=SERIES), "no free variables"),
        (lambda: pm.Bernoulli("state", 0.5), "state are discrete.*marginalize"),
        (lambda: pm.Potential("p", NoJax()(pm.Normal("x"))), "NoJax"),
        (
            lambda: pm.Simulator("s", lambda rng, m, size: m, pm.Normal("m"), observed=1.0),
            "random|log density",
        ),
        (shape_from_a_parameter, "shape"),
        (lambda: pm.Normal("x", dtype="float32"), "single precision"),
    ],
)
def test_models_that_cannot_be_fitted(build, words):
    with pytest.raises(ModelError, match=words):
        prior(build)


def test_a_deterministic_that_draws_random_numbers():
    with pytest.raises(ModelError, match="random numbers"):
        prior(random_deterministic).constrain(np.zeros((1, 1)))


def test_something_else_than_a_model(as_users_run_it):
    with pytest.raises(ModelError, match=r"pymc\.Model, got int"):
        PymcTarget.build(3)


def test_missing_pymc(monkeypatch):
    for name in ("flowvi.targets.pymc", "flowvi.targets._pymc_predictive", "flowvi.targets._pytensor"):
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pymc", None)
    with pytest.raises(DependencyError, match=r"pip install 'flowvi\[pymc\]'"):
        import flowvi.targets.pymc  # noqa: F401


def test_the_import_does_not_touch_the_precision_flag():
    script = (
        "import jax\n"
        "with jax.enable_x64(True): import flowvi.targets.pymc\n"
        "assert jax.numpy.ones(1).dtype == 'float32'\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_target_works_whatever_the_flag():
    flag = jax.config.jax_enable_x64
    try:
        for value in (True, False):
            jax.config.update("jax_enable_x64", value)
            target = PymcTarget.build(eight_schools())
            assert all(d.dtype == np.float64 for d in target.data)
            assert jax.config.jax_enable_x64 == value
    finally:
        jax.config.update("jax_enable_x64", flag)


def test_an_observation_that_cannot_be_is_named():
    with pm.Model() as model:
        pm.Beta("y", pm.HalfNormal("a", 1), 2, observed=[0.2, 1.5])
    with pytest.raises(DensityError, match=r"is -inf for the observation y\[1\] = 1\.5\. Look"):
        flowvi.fit(model, progress=False)
