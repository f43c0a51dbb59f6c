"""NumPyro models: densities, replayed supports, data, predictions, and what is wrong with them."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
import scipy.special
import scipy.stats
from numpyro.infer.util import log_density
from target_cases import GROUP, NUMPYRO, SIGMA, TARGETS, X, Y, eight_schools, grid, groups, mixture, triangle

import flowvi
from flowvi import Target
from flowvi.datatree import record, to_datatree
from flowvi.errors import DataError, DensityError, ModelError, SupportError


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def schools():
    return Target.from_numpyro(eight_schools, Y, SIGMA)


@pytest.mark.parametrize("name", NUMPYRO)
def test_log_density_is_numpyros_at_the_constrained_point_and_the_jacobians_of_its_supports(name, x64):
    model, args = NUMPYRO[name]
    target = TARGETS[name]()
    z = jnp.asarray(np.random.default_rng(0).normal(size=target.dim))
    draws = target.constrain(np.asarray(z)[None])
    values = {site.name: jnp.asarray(draws[site.name][0]) for site in target.sites}
    ends = np.cumsum([int(np.prod(site.unconstrained_shape)) for site in target.sites])

    @jax.jit
    def expected(values, parts, args):
        total, sites = log_density(model, args, {}, values)
        for site, part in zip(target.sites, parts, strict=True):
            bijection = dist.biject_to(sites[site.name]["fn"].support)
            free = part.reshape(site.unconstrained_shape)
            total += jnp.sum(bijection.log_abs_det_jacobian(free, bijection(free)))
        return total

    # a model that inspects its data cannot have them traced
    args = args if name == "inspects_its_data" else tuple(map(jnp.asarray, args))
    call = expected.__wrapped__ if name == "inspects_its_data" else expected
    value = float(call(values, jnp.split(z, ends[:-1]), args))
    assert float(jax.jit(lambda z: target.log_density(z))(z)) == pytest.approx(value, rel=1e-9)


def test_log_density_by_hand(schools, x64):
    z = np.random.default_rng(0).normal(size=10)
    position = {label: z[i] for i, label in enumerate(schools.coordinates)}
    mu, tau = position["mu"], np.exp(position["tau"])
    raw = np.array([position[f"z[{i}]"] for i in range(8)])
    by_hand = scipy.stats.norm(0, 5).logpdf(mu) + scipy.stats.halfcauchy(0, 5).logpdf(tau) + np.log(tau)
    by_hand += scipy.stats.norm.logpdf(raw).sum() + scipy.stats.norm.logpdf(Y, mu + tau * raw, SIGMA).sum()
    assert float(schools.log_density(jnp.asarray(z))) == pytest.approx(by_hand, rel=1e-12)


def test_a_support_that_depends_on_another_parameter_is_replayed(x64):
    target = Target.from_numpyro(triangle)
    z = np.random.default_rng(0).normal(size=(500, 2)) * 2
    draws = target.constrain(z)
    alpha = scipy.special.expit(z[:, target.coordinates.index("alpha")])
    share = scipy.special.expit(z[:, target.coordinates.index("beta")])
    np.testing.assert_allclose(draws["alpha"], alpha, rtol=1e-9)
    # a support frozen at one trace would leave the triangle
    np.testing.assert_allclose(draws["beta"], share * (1 - alpha), rtol=1e-9)
    # density 1 / (1 - alpha), and the Jacobian (1 - alpha) share (1 - share) alpha (1 - alpha)
    expected = np.log(alpha * (1 - alpha) * share * (1 - share))
    found = jax.vmap(target.log_density)(jnp.asarray(z))
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_deterministics_come_with_the_draws(schools):
    z = np.random.default_rng(0).normal(size=(5, 10))
    draws = schools.constrain(z)
    assert set(draws) == {"mu", "tau", "z", "theta"}
    expected = draws["mu"][:, None] + draws["tau"][:, None] * draws["z"]
    np.testing.assert_allclose(draws["theta"], expected, rtol=1e-14)


MIXED = np.array([0.1, 3.0, 2.2, -0.3, 1.5])


@pytest.fixture(scope="module")
def mixed():
    return Target.from_numpyro(mixture, MIXED)


def test_enumerated_sites_are_summed_out(mixed, x64):
    assert mixed.coordinates == ("w[0]", "mu[0]", "mu[1]")
    z = np.array([0.4, 0.5, 2.5])
    draws = mixed.constrain(z[None])
    w, mu = draws["w"][0], draws["mu"][0]
    by_hand = (
        scipy.stats.dirichlet([2, 3]).logpdf(w)
        + scipy.stats.norm([0, 3]).logpdf(mu).sum()
        + scipy.special.logsumexp(np.log(w) + scipy.stats.norm(mu).logpdf(MIXED[:, None]), axis=1).sum()
        # w_0 is a logistic function of z_0
        + np.log(w).sum()
    )
    assert mixed.log_density(jnp.asarray(z)) == pytest.approx(by_hand, rel=1e-12)


def test_enumerated_sites_are_drawn_given_the_others_and_the_data(mixed):
    n = 4000
    z = np.array([0.4, 0.5, 2.5])
    draws = mixed.constrain(np.tile(z, (n, 1)), seed=1)
    assert draws["k"].shape == draws["centre"].shape == (n, 5)
    w, mu = draws["w"][0], draws["mu"][0]
    joint = w * scipy.stats.norm(mu).pdf(MIXED[:, None])
    share = joint[:, 1] / joint.sum(1)
    error = np.sqrt(share * (1 - share) / n)
    assert np.all(np.abs(draws["k"].mean(0) - share) < 4 * error)
    # sites of one draw belong together
    np.testing.assert_array_equal(draws["centre"], np.take_along_axis(draws["mu"], draws["k"].astype(int), 1))
    assert mixed.log_likelihood(draws) == {}


def test_predictions_draw_enumerated_sites_anew(mixed):
    n = 4000
    draws = mixed.constrain(np.tile([0.4, 0.5, 2.5], (n, 1)))
    y = mixed.predictive(draws, 0, (np.zeros(3),), {})["y"]
    assert y.shape == (n, 3)
    mean = draws["w"][0] @ draws["mu"][0]
    assert y.mean() == pytest.approx(mean, abs=4 * y.std() / np.sqrt(y.size))


def test_data_that_a_model_inspects_become_constants():
    target = Target.from_numpyro(groups, GROUP, X)
    assert sum(label.startswith("a[") for label in target.coordinates) == 4
    assert not jax.tree.leaves(target)
    np.testing.assert_array_equal(target.observed_data()["y"], X)


def test_data_that_it_does_not_inspect_stay_leaves(schools):
    assert [leaf.shape for leaf in jax.tree.leaves(schools)] == [(8,), (8,)]
    other = Target.from_numpyro(eight_schools, Y + 1, SIGMA)
    assert jax.tree.structure(other) == jax.tree.structure(schools)


def test_single_precision_data_are_computed_with_in_double(x64):
    target = Target.from_numpyro(eight_schools, Y.astype(np.float32), jnp.asarray(SIGMA, jnp.float32))
    assert {leaf.dtype for leaf in jax.tree.leaves(target)} == {jnp.dtype("float64")}


def test_a_model_is_not_run_when_its_target_is_built():
    seen = []

    def model(y):
        mu = numpyro.sample("mu", dist.Normal(0, 5))
        seen.extend([mu, y])
        numpyro.sample("y", dist.Normal(mu, 1), obs=y)

    Target.from_numpyro(model, Y)
    assert seen
    assert all(isinstance(value, jax.core.Tracer) for value in seen)


def test_log_likelihood_is_pointwise(schools):
    draws = schools.constrain(np.random.default_rng(0).normal(size=(6, 10)))
    found = schools.log_likelihood(draws)
    assert set(found) == {"y"}
    np.testing.assert_allclose(found["y"], scipy.stats.norm.logpdf(Y, draws["theta"], SIGMA), rtol=1e-10)


def test_predictions_of_the_data_and_of_new_data(schools):
    n = 4000
    z = np.zeros((n, 10))
    draws = schools.constrain(z)
    predicted = schools.predictive(draws, 0, (), {})["y"]
    assert predicted.shape == (n, 8)
    np.testing.assert_allclose(predicted.std(0), SIGMA, rtol=0.1)
    np.testing.assert_array_equal(predicted, schools.predictive(draws, 0, (), {})["y"])
    assert np.any(predicted != schools.predictive(draws, 1, (), {})["y"])
    narrow = schools.predictive(draws, 0, (Y, 0.01 * np.ones(8)), {})["y"]
    np.testing.assert_allclose(narrow, draws["theta"], atol=0.1)


def test_predictions_have_the_shape_of_observations_that_share_one_distribution():
    def model(y):
        mu = numpyro.sample("mu", dist.Normal(0, 1))
        numpyro.sample("y", dist.Normal(mu, 1), obs=y)

    target = Target.from_numpyro(model, np.zeros((3, 4)))
    predicted = target.predictive(target.constrain(np.zeros((1000, 1))), 0, (), {})["y"]
    assert predicted.shape == (1000, 3, 4)
    errors = predicted.reshape(1000, 12)
    assert np.abs(np.corrcoef(errors.T) - np.eye(12)).max() < 5 / np.sqrt(1000)


def line(X, y=None):
    b = numpyro.sample("b", dist.Normal(0, 1))
    numpyro.sample("y", dist.Normal(b * X, 0.01), obs=y)


def any_line(*args, **kwargs):
    line(*args, **kwargs)


@pytest.mark.parametrize(
    ("model", "fitted_by_name", "new_by_name"),
    [
        (line, False, False),
        (line, False, True),
        (line, True, False),
        (line, True, True),
        (numpyro.handlers.scope(line, prefix="s"), True, False),
        # it does not say what its arguments are called
        (any_line, False, False),
        (any_line, True, True),
    ],
)
def test_new_data_take_the_place_of_the_old_by_position_or_by_name(model, fitted_by_name, new_by_name):
    args, kwargs = ((), {"X": X, "y": X}) if fitted_by_name else ((X, X), {})
    target = Target.from_numpyro(model, *args, **kwargs)
    new = np.array([1.0, 10.0, 100.0])
    draws = target.constrain(np.ones((2, 1)))
    args, kwargs = ((), {"X": new}) if new_by_name else ((new,), {})
    (predicted,) = target.predictive(draws, 0, args, kwargs).values()
    np.testing.assert_allclose(predicted, [new, new], atol=0.1)


@pytest.mark.parametrize(
    ("args", "kwargs", "words"),
    [
        ((), {"Z": X}, r"line\(X, y=None\).*unexpected keyword argument 'Z'"),
        ((X, X, X), {}, "too many positional"),
        ((X,), {"X": X}, "multiple values for argument 'X'"),
    ],
)
def test_new_data_that_a_model_does_not_take_are_an_error(args, kwargs, words):
    target = Target.from_numpyro(line, X, X)
    with pytest.raises(DataError, match=words):
        target.predictive(target.constrain(np.zeros((1, 1))), 0, args, kwargs)


def test_observed_data_dims_and_coords():
    counts = np.array([[1, 0], [3, 2], [0, 5]])
    target = Target.from_numpyro(grid, counts)
    np.testing.assert_array_equal(target.observed_data()["y"], counts)
    assert target.dims()["y"] == ("row", "column")
    coords = target.coords()
    np.testing.assert_array_equal(coords["row"], np.arange(3))
    np.testing.assert_array_equal(coords["column"], np.arange(2))


def test_dims_of_a_plate(schools):
    dims = schools.dims()
    assert dims["z"] == dims["theta"] == dims["y"] == ("school",)
    assert "mu" not in dims


def several_axes(y):
    with numpyro.plate("column", 2, dim=-1), numpyro.plate("row", 3, dim=-2):
        x = numpyro.sample("x", dist.Normal(0, 1).expand([4]).to_event(1))
        numpyro.deterministic("twice", 2 * x)
        numpyro.deterministic("sum", x.sum(-1))
        numpyro.deterministic("of_columns", x.sum(-1).sum(0))
        numpyro.deterministic("total", x.sum())
    with numpyro.plate("row", 3, dim=-1):
        numpyro.sample("y", dist.MultivariateNormal(x[:, 0], jnp.eye(4)), obs=y)
    with numpyro.plate("column", 2, dim=-1):
        numpyro.sample("stack", dist.Normal(jnp.zeros((5, 2)), 1))


def test_dims_of_sites_with_axes_that_are_no_plates():
    target = Target.from_numpyro(several_axes, np.zeros((3, 4)))
    dims = target.dims()
    assert dims["x"] == ("row", "column", "x_dim_2")
    assert dims["twice"] == ("row", "column", "twice_dim_2")
    assert dims["sum"] == ("row", "column")
    assert dims["of_columns"] == ("column",)
    assert dims["total"] == ()
    assert dims["y"] == ("row", "y_dim_1")
    assert dims["stack"] == ("stack_dim_0", "column")
    draws = target.constrain(np.zeros((5, target.dim)))
    tree = to_datatree(draws, {}, record(target, draws), {})
    assert tree["posterior"]["x"].dims == ("chain", "draw", "row", "column", "x_dim_2")
    assert tree["observed_data"]["y"].dims == ("row", "y_dim_1")
    assert tree["log_likelihood"]["y"].shape == (1, 5, 3)


def test_improper_priors_are_named():
    assert TARGETS["improper"]().improper == ("mu", "s")
    assert Target.from_numpyro(triangle).improper == ()


def test_static_arguments_stay_what_they_are():
    def model(n, kind, flag, y):
        assert isinstance(n, int)
        assert kind == "wide"
        assert flag is None
        with numpyro.plate("i", n):
            mu = numpyro.sample("mu", dist.Normal(0, 10 if kind == "wide" else 1))
        numpyro.sample("y", dist.Normal(mu, y["sd"]), obs=y["y"])

    target = Target.from_numpyro(model, 3, "wide", None, {"y": np.zeros(3), "sd": 2.0})
    assert target.dim == 3
    assert len(jax.tree.leaves(target)) == 2


def observed_only(y):
    numpyro.sample("y", dist.Normal(0, 1), obs=y)


def discrete_without_end(y):
    k = numpyro.sample("k", dist.Poisson(3.0), infer={"enumerate": "parallel"})
    numpyro.sample("y", dist.Normal(k, 1), obs=y)


def discrete_latent(y):
    k = numpyro.sample("k", dist.Poisson(3.0))
    numpyro.sample("y", dist.Normal(k, 1), obs=y)


def subsampled(y):
    mu = numpyro.sample("mu", dist.Normal(0, 1))
    with numpyro.plate("rows", len(y), subsample_size=2) as index:
        numpyro.sample("y", dist.Normal(mu, 1), obs=jnp.asarray(y)[index])


def with_param(y):
    mu = numpyro.param("mu", 0.0)
    numpyro.sample("x", dist.Normal(mu, 1))
    numpyro.sample("y", dist.Normal(mu, 1), obs=y)


BAD = {
    "no parameters": (observed_only, Y, ModelError, "observed_only has no parameters"),
    "a discrete latent": (
        discrete_latent,
        Y,
        ModelError,
        "'k' in discrete_latent is discrete.*Poisson.*mark it.*enumerate.*sum it out",
    ),
    "a discrete latent of too many values": (
        discrete_without_end,
        Y,
        ModelError,
        "'k' in discrete_without_end is discrete.*Poisson.*finitely many",
    ),
    "a subsampling plate": (subsampled, Y, ModelError, "'rows' in subsampled subsamples 2 of 8.*Remove"),
    "numpyro.param": (with_param, Y, ModelError, "'mu' in with_param.*no prior.*numpyro.sample"),
    "data of objects": (observed_only, np.array([1, "a"], object), DataError, "type object.*numeric"),
    "data of text": (observed_only, np.array(["a", "b"]), DataError, "numeric. Encode categories"),
}


@pytest.mark.parametrize(("model", "data", "error", "words"), BAD.values(), ids=BAD)
def test_bad_models_are_typed_errors(model, data, error, words):
    with pytest.raises(error, match=f"(?s){words}"):
        Target.from_numpyro(model, data)


@pytest.mark.parametrize(
    ("data", "words"), [((), "missing .*'y'"), ((Y, Y), "too many")], ids=["none", "too many"]
)
def test_data_that_a_model_does_not_take_are_named(data, words):
    with pytest.raises(ModelError, match=rf"subsampled\(y\) cannot be called.*{words}.*example="):
        Target.from_numpyro(subsampled, *data)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("p", np.array([0.5, 0.4, 0.3])),
        ("L", 2 * np.eye(3)),
        ("cut", np.array([0.0, 2.0, 1.0])),
        ("u", np.array([0.5, 1.5])),
        ("s", -1.0),
        ("loc", 2.5),
    ],
)
def test_a_value_outside_its_support_is_named(name, value):
    target = TARGETS["shapes"]()
    values = {name: values[0] for name, values in target.constrain(np.zeros((1, target.dim))).items()}
    target.unconstrain(values)
    with pytest.raises(SupportError, match=f"'{name}.*outside"):
        target.unconstrain({**values, name: value})


def test_values_outside_a_dependent_support():
    target = Target.from_numpyro(triangle)
    target.unconstrain({"alpha": 0.3, "beta": 0.6})
    with pytest.raises(SupportError, match=r"'beta.*outside"):
        target.unconstrain({"alpha": 0.5, "beta": 0.6})


@pytest.mark.parametrize(
    ("y", "words"),
    [
        ([0.2, np.nan, 0.4], r"the observation y\[1\] = nan\. Look"),
        ([0.2, 0.3, 1.5], r"is -inf for the observation y\[2\] = 1\.5\. Look"),
        ([np.nan, 0.3, 1.5], r"y\[0\] = nan \(and 1 more of 3\)"),
    ],
)
def test_an_observation_that_cannot_be_is_named(y, words):
    def model(y):
        a = numpyro.sample("a", dist.HalfNormal(1))
        numpyro.deterministic("double", 2 * a)
        numpyro.sample("y", dist.Beta(a, 2), obs=y)

    with pytest.raises(DensityError, match=rf"at a = [\d.]+[.,] .*{words}"):
        flowvi.fit(model, np.array(y), progress=False)
