"""What `fit` returns: more draws, predictions, ArviZ, and files, against models with known answers."""

import dataclasses
import errno
import functools
import json
import threading

import arviz_stats
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
import xarray as xr

import flowvi
from flowvi import datatree
from flowvi.datatree import ModelRecord, to_datatree
from flowvi.errors import CannotSimulateError, DataError, ModelError, NoModelError, SamplingError, SaveError
from flowvi.targets.jax import JaxTarget


def gamma(p):
    """Gamma(3, 1), whose logarithm is skew, and a standard normal pair."""
    return 2 * jnp.log(p["s"]) - p["s"] - 0.5 * jnp.sum(p["loc/x"] ** 2)


def line(x, y=None):
    """A regression with known noise: posterior and predictions are normal."""
    a = numpyro.sample("a", dist.Normal(0, 10))
    b = numpyro.sample("b", dist.Normal(0, 10))
    with numpyro.plate("row", len(x)):
        mean = numpyro.deterministic("mean", a + b * x)
        numpyro.sample("y", dist.Normal(mean, 0.5), obs=y)


def schools(y, sigma):
    mu = numpyro.sample("mu", dist.Normal(0, 5))
    tau = numpyro.sample("tau", dist.HalfCauchy(5))
    with numpyro.plate("school", 8):
        z = numpyro.sample("z", dist.Normal(0, 1))
        theta = numpyro.deterministic("theta", mu + tau * z)
        numpyro.sample("y", dist.Normal(theta, sigma), obs=y)


X = np.linspace(-1, 2, 12)
Y = 1.0 - 2.0 * X + 0.5 * np.sin(20 * X)
EFFECTS = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
ERRORS = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])


def line_truth():
    """Mean and covariance of (a, b)."""
    design = np.stack([np.ones_like(X), X], axis=1)
    covariance = np.linalg.inv(design.T @ design / 0.25 + np.eye(2) / 100)
    return covariance @ design.T @ Y / 0.25, covariance


@pytest.fixture(scope="module")
def of_density():
    example = {"s": 1.0, "loc/x": np.zeros(2)}
    return flowvi.fit(gamma, example=example, supports={"s": "positive"}, progress=False)


@pytest.fixture(scope="module")
def of_line():
    return flowvi.fit(line, X, y=Y, flow="gaussian", progress=False)


@pytest.fixture(scope="module")
def of_schools():
    return flowvi.fit(schools, EFFECTS, ERRORS, flow="gaussian", progress=False)


@pytest.fixture(scope="module")
def saved(of_line, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved")
    of_line.save(path)
    return path


def _with_level(posterior, level):
    return dataclasses.replace(posterior, verdict=dataclasses.replace(posterior.verdict, level=level))


def _with_q(posterior, location, scale):
    """The posterior with another Gaussian on the unconstrained scale: loc/x[0], loc/x[1], log s."""
    q = flowvi.flows.whiten(flowvi.flows.gaussian(3), np.array(location), scale * np.eye(3))
    return dataclasses.replace(posterior, q=q)


def test_what_fit_returns(of_line):
    assert of_line.verdict.level == "good"
    assert {name: x.shape for name, x in of_line.draws.items()} == {
        "a": (4000,),
        "b": (4000,),
        "mean": (4000, 12),
    }
    assert all(x.dtype == np.float64 for x in of_line.draws.values())
    assert of_line.gradient_evaluations == sum(of_line.stages.values()) > 0
    assert of_line.effective_draws == 4000
    text = repr(of_line)
    assert text.startswith("Posterior(dim=2, draws=4000, verdict='good', log_evidence=-")
    assert "log_evidence=None" in repr(dataclasses.replace(of_line, log_evidence=None))


def test_summary_has_the_truth_within_its_own_error(of_line, of_density):
    mean, covariance = line_truth()
    summary = of_line.summary()
    for name, m, v in zip("ab", mean, np.diag(covariance), strict=True):
        assert abs(summary[name].mean - m) < 4 * summary[name].mcse
        assert summary[name].sd == pytest.approx(np.sqrt(v), rel=0.05)
    summary = of_density.summary()
    assert abs(summary["s"].mean - 3) < 4 * summary["s"].mcse
    assert summary["s"].mcse == pytest.approx(np.sqrt(3 / 4000), rel=0.1)


def test_constrain_and_unconstrain_take_any_batch(of_density):
    z = np.random.default_rng(0).normal(size=(2, 3, 3))
    draws = of_density.constrain(z)
    assert draws["loc/x"].shape == (2, 3, 2)
    one = of_density.constrain(z[1, 2])
    assert one["s"].shape == ()
    back = of_density.unconstrain(one)
    np.testing.assert_allclose(back, z[1, 2], rtol=1e-12)
    assert back.dtype == one["s"].dtype == np.float64


def test_points_of_another_dimension_are_refused(of_density, as_users_run_it):
    for shape in [(4,), (), (2, 4)]:
        with pytest.raises(DataError, match="3 coordinates"):
            of_density.constrain(np.zeros(shape))


def test_more_draws_are_of_the_posterior(of_density):
    draws = of_density.sample(20_000, seed=3)
    s = draws["s"]
    assert draws["loc/x"].shape == (20_000, 2)
    assert len(np.unique(s)) == 20_000
    assert abs(s.mean() - 3) < 4 * np.sqrt(3 / 20_000)
    assert s.var() == pytest.approx(3, rel=0.08)
    assert np.mean(s > 3) == pytest.approx(0.4232, abs=0.015)
    np.testing.assert_array_equal(s, of_density.sample(20_000, seed=3)["s"])
    assert not np.array_equal(of_density.sample(10, seed=1)["s"], of_density.sample(10, seed=2)["s"])


def test_few_draws_are_no_closer_to_q_than_many(of_density):
    # q has s of mean 9
    shifted = _with_q(of_density, [0.0, 0.0, 1.9], [1.0, 1.0, 0.8])
    s = np.concatenate([shifted.sample(1, seed=seed)["s"] for seed in range(40)])
    assert s.mean() == pytest.approx(3, abs=4 * np.sqrt(3 / 40))


def test_more_draws_than_can_be_had(of_density):
    for n in (0, -3):
        with pytest.raises(ValueError, match="at least one draw"):
            of_density.sample(n)
    far = _with_level(_with_q(of_density, [8.0, 0.0, 1.0], 0.5), "good")
    with pytest.raises(SamplingError, match="do not carry 1,000 draws"):
        far.sample(1_000)
    # the verdict has said what these are
    assert _with_level(far, "unreliable").sample(1_000)["s"].shape == (1_000,)


def test_predictions_have_the_known_distribution(of_line):
    mean, covariance = line_truth()
    for x, draws in [
        (X, of_line.predictive(seed=1)),
        (new := np.array([5.0, -3.0]), of_line.predictive(new, seed=1)),
    ]:
        design = np.stack([np.ones_like(x), x], axis=1)
        variance = np.sum(design @ covariance * design, axis=1) + 0.25
        assert draws["y"].shape == (4000, len(x))
        assert draws["y"].dtype == np.float64
        np.testing.assert_array_less(abs(draws["y"].mean(0) - design @ mean), 4.5 * np.sqrt(variance / 4000))
        np.testing.assert_allclose(draws["y"].var(0), variance, rtol=0.15)
    assert not np.array_equal(of_line.predictive(seed=2, draws=10)["y"], draws["y"][:10])
    with pytest.raises(ValueError, match="has 4000"):
        of_line.predictive(draws=4001)


def test_a_density_cannot_predict(of_density):
    with pytest.raises(CannotSimulateError, match="NumPyro, PyMC or Stan"):
        of_density.predictive()


def test_arviz_groups_dims_and_coords(of_schools):
    tree = of_schools.to_arviz()
    assert isinstance(tree, xr.DataTree)
    assert set(tree.children) == {"posterior", "sample_stats", "observed_data", "log_likelihood"}
    posterior = tree["posterior"]
    assert posterior["z"].dims == ("chain", "draw", "school")
    assert posterior["mu"].shape == (1, 4000)
    assert posterior["theta"].shape == (1, 4000, 8)
    assert posterior["school"].values.tolist() == list(range(8))
    np.testing.assert_array_equal(posterior["tau"].values[0], of_schools.draws["tau"])
    np.testing.assert_array_equal(tree["sample_stats"]["log_weight"].values[0], of_schools.log_weights)
    np.testing.assert_array_equal(tree["observed_data"]["y"], EFFECTS)
    expected = jax.scipy.stats.norm.logpdf(EFFECTS, of_schools.draws["theta"], ERRORS)
    np.testing.assert_allclose(tree["log_likelihood"]["y"].values[0], expected, rtol=1e-5)
    assert tree["posterior"].attrs["verdict"] == of_schools.verdict.level


# pandas warns of what arviz-stats does
@pytest.mark.filterwarnings("ignore:The inplace keyword")
# whether k-hat of leaving a school out is just above or below 0.7 is chance
@pytest.mark.filterwarnings("ignore:Estimated shape parameter of Pareto")
def test_arviz_loo_and_compare(of_line, of_schools):
    loo = arviz_stats.loo(of_line.to_arviz(), pointwise=True)
    # leave one out in closed form
    design = np.stack([np.ones_like(X), X], axis=1)
    exact = 0.0
    for i in range(len(X)):
        others = np.arange(len(X)) != i
        covariance = np.linalg.inv(design[others].T @ design[others] / 0.25 + np.eye(2) / 100)
        mean = design[i] @ covariance @ design[others].T @ Y[others] / 0.25
        variance = design[i] @ covariance @ design[i] + 0.25
        exact += -0.5 * np.log(2 * np.pi * variance) - 0.5 * (Y[i] - mean) ** 2 / variance
    assert loo.elpd == pytest.approx(exact, abs=0.1)
    pooled = flowvi.fit(_pooled, EFFECTS, ERRORS, flow="gaussian", progress=False)
    table = arviz_stats.compare({"schools": of_schools.to_arviz(), "pooled": pooled.to_arviz()})
    assert set(table.index) == {"schools", "pooled"}


def _pooled(y, sigma):
    mu = numpyro.sample("mu", dist.Normal(0, 5))
    with numpyro.plate("school", 8):
        numpyro.sample("y", dist.Normal(mu, sigma), obs=y)


def test_arviz_of_a_density_has_draws_only(of_density):
    tree = of_density.to_arviz()
    assert set(tree.children) == {"posterior", "sample_stats"}
    assert tree["posterior"]["loc.x"].dims == ("chain", "draw", "loc.x_dim_0")


def test_awkward_names_of_dimensions():
    model = ModelRecord(
        observed_data={"y": np.zeros(3)},
        log_likelihood={"y": np.zeros((4, 3))},
        left_out="",
        dims={
            "y": ("y",),
            "cov": ("group", "group"),
            "wrong": ("group",),
            "short": ("draw",),
            "more": ("a", "b"),
        },
        coords={"group": np.array(["u", "v"]), "y": np.array([5, 6, 7])},
    )
    draws = {
        "a/b": np.zeros(4),
        "a.b": np.ones(4),
        "cov": np.zeros((4, 2, 2)),
        "wrong": np.zeros((4, 5)),
        "short": np.zeros((4, 3)),
        "more": np.zeros((4, 3)),
    }
    tree = to_datatree(draws, {}, model, {})
    assert tree["log_likelihood"]["y"].dims == ("chain", "draw", "y_dim")
    assert tree["observed_data"]["y_dim"].values.tolist() == [5, 6, 7]
    assert tree["posterior"]["cov"].dims == ("chain", "draw", "group", "cov_dim_1")
    assert tree["posterior"]["group"].values.tolist() == ["u", "v"]
    assert tree["posterior"]["wrong"].dims == ("chain", "draw", "wrong_dim_0")
    assert tree["posterior"]["short"].dims == ("chain", "draw", "draw_dim")
    assert tree["posterior"]["a.b"].values.max() == 0
    assert tree["posterior"]["a.b_"].values.min() == 1
    assert tree["posterior"]["more"].dims == ("chain", "draw", "more_dim_0")


def test_saved_and_loaded_is_the_same(of_line, saved):
    loaded = flowvi.load(saved)
    for name, draws in of_line.draws.items():
        assert loaded.draws[name].tobytes() == draws.tobytes()
    assert loaded.z.tobytes() == of_line.z.tobytes()
    assert loaded.log_weights.tobytes() == of_line.log_weights.tobytes()
    assert loaded.q.log_prob(of_line.z).tobytes() == of_line.q.log_prob(of_line.z).tobytes()
    for field in ("log_evidence", "elbo", "stages", "density_evaluations", "effective_draws", "coordinates"):
        assert getattr(loaded, field) == getattr(of_line, field)
    np.testing.assert_equal(dataclasses.asdict(loaded.verdict), dataclasses.asdict(of_line.verdict))
    assert str(loaded.summary()) == str(of_line.summary())
    assert repr(loaded) == repr(of_line)
    xr.testing.assert_identical(loaded.to_arviz(), of_line.to_arviz())


def test_numbers_that_are_not_finite_survive(of_density, tmp_path):
    verdict = dataclasses.replace(
        of_density.verdict, khat=np.nan, ess_ratio=np.float64(-np.inf), drift={"s": np.float64(0.1)}
    )
    odd = dataclasses.replace(of_density, verdict=verdict, log_evidence=None)
    odd.save(tmp_path)
    loaded = flowvi.load(tmp_path)
    assert np.isnan(loaded.verdict.khat)
    assert loaded.verdict.ess_ratio == -np.inf
    assert loaded.verdict.drift == {"s": 0.1}
    assert isinstance(loaded.verdict.reasons, tuple)
    assert loaded.log_evidence is None
    assert set(loaded.draws) == {"s", "loc/x"}
    assert set(loaded.to_arviz().children) == {"posterior", "sample_stats"}


def test_what_needs_the_model_says_so(saved):
    loaded = flowvi.load(saved)
    calls = {
        "sample": lambda: loaded.sample(3),
        "constrain": lambda: loaded.constrain(np.zeros(2)),
        "unconstrain": lambda: loaded.unconstrain({"a": 0.0, "b": 0.0}),
        "predictive": lambda: loaded.predictive(),
    }
    for name, call in calls.items():
        with pytest.raises(NoModelError, match=rf"`{name}` needs the model.*from_numpyro\(model, \*args\)"):
            call()


def test_loaded_with_its_model_it_does_everything(of_line, saved):
    loaded = flowvi.load(saved, target=flowvi.Target.from_numpyro(line, X, y=Y))
    np.testing.assert_array_equal(loaded.sample(50)["a"], of_line.sample(50)["a"])
    np.testing.assert_array_equal(loaded.predictive(seed=1)["y"], of_line.predictive(seed=1)["y"])
    assert loaded.constrain(of_line.z[:3])["a"].shape == (3,)


def test_loaded_with_another_model(saved):
    other = flowvi.Target.from_numpyro(_pooled, EFFECTS, ERRORS)
    with pytest.raises(ModelError, match="has the coordinates mu; the posterior was fitted to one with a, b"):
        flowvi.load(saved, target=other)
    with pytest.raises(ModelError, match="A model of type int"):
        flowvi.load(saved, target=3)


@pytest.mark.parametrize(("x", "y"), [(X, Y + 0.01), (np.append(X, 3.0), np.append(Y, -5.0))])
def test_loaded_with_other_data(saved, x, y):
    with pytest.raises(ModelError, match=r"log density .* at the posterior's first draw.*the same data"):
        flowvi.load(saved, target=flowvi.Target.from_numpyro(line, x, y))


def test_loaded_with_a_function_that_needs_arguments(saved):
    for model in (line, functools.partial(line, y=Y)):
        with pytest.raises(ModelError, match=r"required argument: 'x'.*from_numpyro\(model, \*args"):
            flowvi.load(saved, target=model)
    loaded = flowvi.load(saved, target=lambda: line(X, Y))
    assert loaded.sample(10)["a"].shape == (10,)


def test_a_loaded_posterior_can_be_saved_again(saved, tmp_path):
    flowvi.load(saved).save(tmp_path)
    with pytest.raises(ModelError, match="the same data"):
        flowvi.load(tmp_path, target=flowvi.Target.from_numpyro(line, X, Y + 1))
    xr.testing.assert_identical(flowvi.load(tmp_path).to_arviz(), flowvi.load(saved).to_arviz())


@pytest.mark.parametrize("why", ["too large", "the model fails"])
def test_a_log_likelihood_that_is_not_saved(of_line, tmp_path, monkeypatch, why):
    if why == "too large":
        monkeypatch.setattr(datatree, "_LARGEST_LOG_LIKELIHOOD", 100)
        said = "it takes 0.0 GiB"
    else:
        monkeypatch.setattr(type(of_line.target), "log_likelihood", lambda *_: {}["tau"])
        said = "the model raised KeyError: 'tau'"
    of_line.save(tmp_path)
    monkeypatch.undo()
    loaded = flowvi.load(tmp_path)
    with pytest.raises(NoModelError, match=rf"{said}.*log_likelihood=False"):
        loaded.to_arviz()
    assert set(loaded.to_arviz(log_likelihood=False).children) == {
        "posterior",
        "sample_stats",
        "observed_data",
    }
    whole = flowvi.load(tmp_path, target=flowvi.Target.from_numpyro(line, X, y=Y)).to_arviz()
    xr.testing.assert_identical(whole, of_line.to_arviz())


def test_a_full_disk_keeps_the_older_posterior(of_line, of_density, tmp_path, monkeypatch):
    of_line.save(tmp_path)

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("numpy.savez", full)
    with pytest.raises(SaveError, match=r"No space left on device\. What was there before is unchanged"):
        of_density.save(tmp_path)
    monkeypatch.undo()
    np.testing.assert_array_equal(flowvi.load(tmp_path).draws["a"], of_line.draws["a"])


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": {"level": "good"}},
        {"verdict": None},
        {"elbo": 3},
        {"coordinates": ["a"]},
        {"dims": []},
        {"stages": None, "effective_draws": {}},
    ],
)
def test_facts_that_do_not_fit_are_damage(of_density, tmp_path, change):
    of_density.save(tmp_path)
    facts = json.loads((tmp_path / "posterior.json").read_text())
    facts |= change
    if "effective_draws" in change:
        del facts["effective_draws"]
    (tmp_path / "posterior.json").write_text(json.dumps(facts))
    with pytest.raises(SaveError, match="missing or damaged"):
        flowvi.load(tmp_path)


@pytest.mark.parametrize("x64", [False, True])
def test_double_precision_whatever_the_flag_and_in_any_thread(of_line, of_density, saved, tmp_path, x64):
    results, errors = {}, []

    def use():
        try:
            with jax.enable_x64(x64):
                results["sample"] = of_line.sample(20, seed=1)["mean"]
                results["constrain"] = of_line.constrain(of_line.z[:5])["mean"]
                results["unconstrain"] = of_line.unconstrain({"a": 0.1, "b": 0.2})
                results["predictive"] = of_line.predictive(draws=5)["y"]
                results["arviz"] = of_line.to_arviz()["log_likelihood"]["y"].values
                results["q"] = flowvi.load(saved).q.log_prob(of_line.z[:5])
                results["positive"] = of_density.sample(5)["s"]
                of_line.save(tmp_path)
                assert jax.config.jax_enable_x64 == x64
        except Exception as error:
            errors.append(error)

    for run in (use, lambda: _in_thread(use)):
        run()
        assert not errors
        assert {name: value.dtype for name, value in results.items()} == dict.fromkeys(
            results, np.dtype(float)
        )
        np.testing.assert_array_equal(results["constrain"], of_line.draws["mean"][:5])
        np.testing.assert_array_equal(results["sample"], of_line.sample(20, seed=1)["mean"])


def _in_thread(function):
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


def test_target_without_arguments_is_taken_as_it_is(of_density, tmp_path):
    of_density.save(tmp_path)
    target = JaxTarget.build(gamma, {"s": 1.0, "loc/x": np.zeros(2)}, {"s": "positive"})
    loaded = flowvi.load(tmp_path, target=target)
    np.testing.assert_array_equal(loaded.sample(5)["s"], of_density.sample(5)["s"])
