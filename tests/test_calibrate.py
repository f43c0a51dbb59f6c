"""`flowvi.calibrate`: known answers, wrong posteriors, failing and interrupted fits, every kind of model."""

import os
import signal
import sys
import threading
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import numpyro
import numpyro.distributions as dist
import pymc as pm
import pytest
from numpyro import handlers
from numpyro.contrib.control_flow import scan

import flowvi
from flowvi import Calibration, Target
from flowvi.calibration import run
from flowvi.errors import (
    ArgumentError,
    CannotSimulateError,
    DataError,
    DensityError,
    DependencyError,
    FlowError,
    ModelError,
)

X = np.linspace(-1, 2, 10)
DATA = np.zeros(10)


def line(x, y):
    a = numpyro.sample("a", dist.Normal(0, 1))
    b = numpyro.sample("b", dist.Normal(0, 1))
    mean = numpyro.deterministic("mean", a + b * x)
    numpyro.sample("y", dist.Normal(mean, 0.5), obs=y)


def normal_density(p, y):
    """A normal mean with prior and errors of sd 1: the posterior is N(sum y / (n + 1), 1 / (n + 1))."""
    return -0.5 * p["mu"] ** 2 - 0.5 * jnp.sum((y - p["mu"]) ** 2)


def normal_pair(rng):
    mu = rng.normal()
    return {"mu": mu}, {"y": rng.normal(mu, size=5)}


def normal_posterior(target, seed, scale=1.0, level="good", effective=400.0):
    """Draws of it, wider by `scale`."""
    (y,), _ = target.given.join()
    mu = float(np.sum(y)) / 6 + scale / np.sqrt(6) * np.random.default_rng(seed).normal(size=400)
    verdict = SimpleNamespace(level=level)
    return SimpleNamespace(z=mu[:, None], draws={"mu": mu}, verdict=verdict, effective_draws=effective)


def calibrate_normal(simulations=40, **options):
    options = {"simulate": normal_pair, "progress": False} | options
    return flowvi.calibrate(normal_density, example={"mu": 0.0}, simulations=simulations, **options)


@pytest.fixture
def fit_by(monkeypatch):
    """Have data sets fitted by a function of the target, a seed and the number of the fit."""

    def use(function):
        fits = []

        def fit(target, seed, **_):
            fits.append(seed)
            return function(target, seed, len(fits) - 1)

        monkeypatch.setattr(run, "fit", fit)
        return fits

    return use


class Compilations:
    """How many programs XLA compiles while it is open."""

    def __enter__(self):
        self.count, self._listening = 0, True
        jax.monitoring.register_event_duration_secs_listener(self._listen)
        return self

    def _listen(self, event, duration, **_):
        self.count += self._listening and event == "/jax/core/compile/backend_compile_duration"

    def __exit__(self, *_):
        # a listener cannot be taken off by a public name
        self._listening = False


@pytest.fixture(scope="module")
def of_line():
    return flowvi.calibrate(line, X, y=DATA, simulations=20, progress=False)


def test_a_numpyro_model_simulates_its_own_data(of_line):
    assert {name: ranks.shape for name, ranks in of_line.ranks.items()} == {
        "a": (20,),
        "b": (20,),
        "mean": (20, 10),
        "log density": (20,),
    }
    assert of_line.draws == 199
    for ranks in of_line.ranks.values():
        assert ranks.min() >= 0
        assert ranks.max() <= 199
        # true values of twenty data sets, in the posteriors of these
        assert len(np.unique(ranks)) > 15
    assert of_line.levels == ("good",) * 20
    assert of_line.miscalibrated == ()
    assert of_line.claimed.simulations == 20
    assert not of_line.failures


def test_other_data_sets_compile_nothing(of_line):
    with Compilations() as compilations:
        flowvi.calibrate(line, X, y=DATA, simulations=2, seed=1, progress=False)
    assert compilations.count == 0


def test_seeds_repeat(of_line):
    again = flowvi.calibrate(line, X, y=DATA, simulations=2, progress=False)
    for name, ranks in again.ranks.items():
        np.testing.assert_array_equal(ranks, of_line.ranks[name][:2])
    other = flowvi.calibrate(line, X, y=DATA, simulations=2, seed=1, progress=False)
    assert any(np.any(other.ranks[name] != ranks) for name, ranks in again.ranks.items())


def test_a_pymc_model_simulates_its_own_data():
    with pm.Model(coords={"row": range(10)}) as model:
        a = pm.Normal("a", 0, 1)
        b = pm.HalfNormal("b", 1)
        mean = pm.Deterministic("mean", a + b * pm.Data("x", X), dims="row")
        pm.Normal("y", mean, 0.5, observed=DATA, dims="row")
        pm.Poisson("count", b, observed=[1, 2, 3])
    # of these data sets one needs a flow, and so its programs
    calibration = flowvi.calibrate(model, simulations=3, seed=1, progress=False)
    assert {name: ranks.shape for name, ranks in calibration.ranks.items()} == {
        "a": (3,),
        "b": (3,),
        "mean": (3, 10),
        "log density": (3,),
    }
    with Compilations() as compilations:
        other = flowvi.calibrate(model, simulations=2, progress=False)
    assert compilations.count == 0
    assert other.simulations == 2
    np.testing.assert_array_equal(model["x"].get_value(), X)
    observed = Target.from_pymc(model).observed_data()
    np.testing.assert_array_equal(observed["y"], DATA)


@pytest.mark.parametrize("kind", ["numpyro", "pymc"])
def test_parameters_and_data_come_from_the_prior_predictive(kind):
    def pairs_of(y):
        mu = numpyro.sample("mu", dist.Normal(1, 2).expand([50]).to_event(1))
        numpyro.sample("y", dist.Normal(mu, 1), obs=y)

    if kind == "numpyro":
        target = Target.from_numpyro(pairs_of, np.zeros((2, 50)))
    else:
        with pm.Model() as model:
            mu = pm.Normal("mu", 1, 2, shape=50)
            pm.Normal("y", mu, 1, observed=np.zeros((2, 50)))
        target = Target.from_pymc(model)
    drawn = [target.simulate(seed) for seed in range(8)]
    mu = np.stack([parameters["mu"] for parameters, _ in drawn])
    y = np.stack([of.observed_data()["y"] for _, of in drawn])
    assert len(np.unique(mu)) == 400
    assert mu.mean() == pytest.approx(1, abs=4 * 2 / np.sqrt(400))
    assert mu.std() == pytest.approx(2, rel=4 / np.sqrt(800))
    errors = y - mu[:, None]
    assert errors.mean() == pytest.approx(0, abs=4 / np.sqrt(800))
    assert errors.std() == pytest.approx(1, rel=4 / np.sqrt(1600))
    # what was drawn is what the density is given
    parameters, of = drawn[3]
    precision = 1 / 4 + 2
    mean = (1 / 4 + y[3].sum(axis=0)) / precision
    with jax.enable_x64(True):
        at_mean, beside = (float(of.log_density(jnp.asarray(z))) for z in (mean, mean + precision**-0.5))
    assert at_mean - beside == pytest.approx(50 * 0.5, rel=1e-9)
    assert of.coordinates == target.coordinates
    np.testing.assert_array_equal(of.unconstrain(parameters), mu[3])
    # a target that was simulated predicts, and simulates again
    assert of.predictive(of.constrain(mean[None]), 0, (), {})["y"].shape == (1, 2, 50)
    np.testing.assert_array_equal(of.simulate(3)[0]["mu"], mu[3])


def test_discrete_latents_and_data_that_a_model_inspects():
    def mixture(group, y):
        spread = jnp.ones(int(group.max()) + 1)
        mu = numpyro.sample("mu", dist.Normal(jnp.array([-2.0, 2.0]), 1.0).to_event(1))
        with numpyro.plate("row", len(y)):
            k = numpyro.sample("k", dist.Categorical(jnp.array([0.4, 0.6])), infer={"enumerate": "parallel"})
            numpyro.sample("y", dist.Normal(mu[k], spread[group]), obs=y)

    target = Target.from_numpyro(mixture, np.array([0, 1, 1, 0]), np.zeros(4))
    parameters, of = target.simulate(0)
    assert set(parameters["k"]) <= {0.0, 1.0}
    assert set(of.constrain(np.zeros((1, 2)))) == set(parameters)
    # data are leaves, and all else is the same: one program serves all data sets, though the groups are in it
    other = target.simulate(1)[1]
    assert [leaf.shape for leaf in jax.tree.leaves(of)] == [(4,)]
    assert jax.tree.structure(of) == jax.tree.structure(other)
    assert np.all(other.observed_data()["y"] != of.observed_data()["y"])


def test_a_posterior_that_is_right_passes(fit_by):
    fit_by(lambda target, seed, number: normal_posterior(target, seed))
    calibration = calibrate_normal(100)
    assert calibration.miscalibrated == ()
    assert "no ranks depart from uniform ones beyond chance" in str(calibration)


@pytest.mark.parametrize(("scale", "how"), [(0.6, "draws too narrow"), (1.7, "draws too wide")])
def test_a_posterior_of_the_wrong_width_is_found(fit_by, scale, how):
    fit_by(lambda target, seed, number: normal_posterior(target, seed, scale))
    calibration = calibrate_normal(100)
    assert "mu" in calibration.miscalibrated
    assert f"mu ({how})" in str(calibration)


def test_draws_that_ignore_the_data_are_found_by_the_log_density(fit_by):
    def prior(target, seed, number):
        posterior = normal_posterior(target, seed)
        mu = np.random.default_rng(seed).normal(size=400)
        posterior.z, posterior.draws = mu[:, None], {"mu": mu}
        return posterior

    fit_by(prior)
    calibration = calibrate_normal(100)
    assert calibration.scalars["mu"].p > 0.01
    assert calibration.miscalibrated == ("log density",)


def test_fits_have_seeds_of_their_own(fit_by):
    fits = fit_by(lambda target, seed, number: normal_posterior(target, seed))
    calibrate_normal(5)
    assert len(set(fits)) == 5


def test_fits_that_are_not_claimed_count_and_are_told_apart(fit_by):
    def fit(target, seed, number):
        if number % 4 == 0:
            return normal_posterior(target, seed, scale=0.05, level="unreliable")
        return normal_posterior(target, seed, level="corrected" if number % 4 == 1 else "good")

    fit_by(fit)
    calibration = calibrate_normal(80)
    assert calibration.simulations == 80
    assert calibration.claimed.simulations == 60
    assert calibration.levels.count("unreliable") == 20
    assert calibration.miscalibrated
    assert calibration.claimed.miscalibrated == ()
    np.testing.assert_array_equal(
        calibration.claimed.ranks["mu"], np.delete(calibration.ranks["mu"], np.s_[::4])
    )
    text = str(calibration)
    assert "verdicts: 40 good, 20 corrected, 20 unreliable" in text
    assert "all fits: MISCALIBRATED" in text
    assert "the 60 claimed fits: no ranks depart" in text
    assert "p, claimed" in text


def test_where_nothing_is_claimed(fit_by):
    fit_by(lambda target, seed, number: normal_posterior(target, seed, level="inconclusive"))
    calibration = calibrate_normal(3)
    assert "claimed fits: none" in str(calibration)
    with pytest.raises(DataError, match="nothing was claimed"):
        calibration.claimed  # noqa: B018


def test_a_fit_that_fails_is_counted_and_not_fatal(fit_by):
    def fit(target, seed, number):
        if number in (2, 5):
            raise DensityError(f"nothing is finite in fit {number}")
        return normal_posterior(target, seed)

    fit_by(fit)
    calibration = calibrate_normal(8)
    assert calibration.simulations == 6
    assert list(calibration.failures) == [2, 5]
    assert "2 data sets could not be fitted and are left out; number 2: nothing is finite in fit 2" in str(
        calibration
    )


def test_where_every_fit_fails_the_first_error_comes(fit_by):
    def fit(target, seed, number):
        raise DensityError(f"fit {number} is lost")

    fit_by(fit)
    with pytest.raises(DensityError, match=r"None of the simulated .* the first: fit 0 is lost"):
        calibrate_normal(3)


def test_what_every_fit_would_meet_is_raised_at_once(fit_by):
    with pytest.raises(FlowError, match="no_such_flow"):
        calibrate_normal(1000, flow="no_such_flow")


def test_data_without_density_are_a_failure_with_its_reason(fit_by):
    fit_by(lambda target, seed, number: normal_posterior(target, seed))

    def simulate(rng):
        parameters, data = normal_pair(rng)
        return parameters, {"y": data["y"] * (np.inf if parameters["mu"] > 0 else 1)}

    calibration = calibrate_normal(20, simulate=simulate)
    assert 0 < len(calibration.failures) < 20
    assert all("beyond the range" in reason for reason in calibration.failures.values())


def test_too_few_draws_to_rank_among(fit_by):
    fit_by(lambda target, seed, number: normal_posterior(target, seed, effective=150.0 + 100 * number))
    assert "In 1 of the fits, draws are worth fewer than 199" in str(calibrate_normal(3))

    def half(target, seed, number):
        posterior = normal_posterior(target, seed)
        return SimpleNamespace(**{**vars(posterior), "z": posterior.z[: 100 + 200 * number]})

    fit_by(half)
    assert "only 100 draws" in calibrate_normal(2).failures[0]


def test_fewer_draws_are_ranked_among_all(fit_by):
    fit_by(lambda target, seed, number: normal_posterior(target, seed))
    assert calibrate_normal(3, draws=50).draws == 50


@pytest.fixture
def ctrl_c():
    """Python's own handler of Ctrl-C, which a process that a shell put in the background begins without."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_between_fits_returns_what_has_been_done(fit_by):
    fit_by(lambda target, seed, number: normal_posterior(target, seed))
    numbers = iter(range(100))

    def simulate(rng):
        if next(numbers) == 4:
            os.kill(os.getpid(), signal.SIGINT)
        return normal_pair(rng)

    calibration = calibrate_normal(50, simulate=simulate)
    assert calibration.simulations == 4
    assert "Interrupted: 4 of the 50 data sets that were asked for were fitted." in str(calibration)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("ctrl_c")
def test_a_fit_that_ctrl_c_cut_short_is_left_out(fit_by):
    def fit(target, seed, number):
        if number == 3:
            try:
                os.kill(os.getpid(), signal.SIGINT)
                threading.Event().wait(5)
            except KeyboardInterrupt:
                # as `flowvi.fit` does, which returns what it has
                return normal_posterior(target, seed, scale=9.0)
        return normal_posterior(target, seed)

    fit_by(fit)
    assert calibrate_normal(50).simulations == 3


def test_ctrl_c_before_the_first_fit_is_an_interrupt(fit_by):
    def simulate(rng):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        calibrate_normal(5, simulate=simulate)


def test_on_another_thread(fit_by):
    fit_by(lambda target, seed, number: normal_posterior(target, seed))
    found = []
    thread = threading.Thread(target=lambda: found.append(calibrate_normal(2)))
    thread.start()
    thread.join()
    assert found[0].simulations == 2


def test_progress_is_told_on_stderr(fit_by, capsys):
    fit_by(lambda target, seed, number: normal_posterior(target, seed))
    calibrate_normal(3, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1].startswith("calibrate  3 of 3 data sets  good 3  elapsed")
    calibrate_normal(2)
    assert capsys.readouterr() == ("", "")


def improper(y):
    mu = numpyro.sample("mu", dist.ImproperUniform(dist.constraints.real, (), ()))
    numpyro.sample("y", dist.Normal(mu, 1), obs=y)


def with_factor(y):
    mu = numpyro.sample("mu", dist.Normal(0, 1))
    numpyro.factor("penalty", -jnp.abs(mu))
    numpyro.sample("y", dist.Normal(mu, 1), obs=y)


def scaled(y):
    mu = numpyro.sample("mu", dist.Normal(0, 1))
    with handlers.scale(scale=2.0):
        numpyro.sample("y", dist.Normal(mu, 1), obs=y)


def prior_only(y):
    numpyro.sample("mu", dist.Normal(0, 1))


def chain(y):
    rho = numpyro.sample("rho", dist.Uniform(-1, 1))

    def step(last, now):
        now = numpyro.sample("y", dist.Normal(rho * last, 1.0), obs=now)
        return now, now

    scan(step, jnp.zeros(()), y)


def pymc_model(kind):
    with pm.Model() as model:
        mu = pm.Flat("mu") if kind == "flat" else pm.Normal("mu", 0, 1)
        if kind == "potential":
            pm.Potential("penalty", -mu)
        if kind != "prior":
            pm.Normal("y", mu, 1, observed=DATA)
    return model


CANNOT = {
    "improper": ((improper, DATA), "prior of 'mu' is improper"),
    "factor": ((with_factor, DATA), "'penalty' is a `numpyro.factor`.*Give `simulate=`"),
    "scale": ((scaled, DATA), "'y' is under `handlers.scale`"),
    "prior only": ((prior_only, DATA), "no observed sites"),
    "scan": ((chain, DATA), "'y' is observed within a `scan`"),
    "flat": ((pymc_model("flat"),), "prior of 'mu' is improper"),
    "potential": ((pymc_model("potential"),), "potentials 'penalty'"),
    "prior": ((pymc_model("prior"),), "no observed variables"),
}


@pytest.mark.parametrize("name", CANNOT)
def test_models_that_cannot_simulate_say_why(name):
    arguments, message = CANNOT[name]
    with pytest.raises(CannotSimulateError, match=message):
        flowvi.calibrate(*arguments, progress=False)


def test_a_density_cannot_simulate_and_names_the_way_out():
    with pytest.raises(CannotSimulateError, match="Give `simulate=`"):
        flowvi.calibrate(normal_density, DATA, example={"mu": 0.0})


def test_an_improper_prior_is_an_error_beside_a_function_too():
    with pytest.raises(CannotSimulateError, match="prior of 'mu' is improper"):
        flowvi.calibrate(improper, simulate=normal_pair, progress=False)


def test_a_function_that_draws_for_models_that_cannot():
    def simulate(rng):
        mu = rng.normal()
        return {"mu": mu}, {"y": rng.normal(mu, size=10)}

    for model in (with_factor, pymc_model("potential")):
        arguments = () if model is not with_factor else (DATA,)
        calibration = flowvi.calibrate(
            model, *arguments, simulate=simulate, simulations=2, progress=False, flow="gaussian"
        )
        assert calibration.ranks["mu"].shape == calibration.ranks["log density"].shape == (2,)


def test_nested_and_few_parameters(fit_by):
    def density(p, y):
        inner = p["inner"]
        return -0.5 * (inner["a"] ** 2 + p["b"] ** 2) - 0.5 * jnp.sum((y - inner["a"]) ** 2)

    def fit(target, seed, number):
        z = np.random.default_rng(seed).normal(size=(400, 2))
        posterior = normal_posterior(target, seed)
        return SimpleNamespace(**{**vars(posterior), "z": z, "draws": target.constrain(z)})

    fit_by(fit)
    both = {"inner": {"a": 0.0}, "b": 0.0}
    options = {"example": both, "simulations": 2, "progress": False}
    data = {"y": np.zeros(5)}
    calibration = flowvi.calibrate(density, simulate=lambda rng: (both, data), **options)
    assert set(calibration.ranks) == {"inner/a", "b", "log density"}
    calibration = flowvi.calibrate(density, simulate=lambda rng: ({"b": 0.1}, data), **options)
    assert set(calibration.ranks) == {"b"}
    assert "No ranks of the log density: No value for ['inner/a']" in str(calibration)


@pytest.mark.parametrize(
    ("drawn", "error", "message"),
    [
        (3.0, ArgumentError, "returned float; it has to return two dicts"),
        (({"nu": 1.0}, {"y": DATA}), ArgumentError, "parameter 'nu', but the posterior's are mu"),
        (({"mu": np.ones(2)}, {"y": DATA}), ArgumentError, r"'mu' in the shape \(2,\)"),
        (({"mu": 1.0}, {"x": DATA}), DataError, "None of the simulated.*unexpected keyword argument 'x'"),
    ],
)
def test_what_a_function_must_return(fit_by, drawn, error, message):
    fit_by(lambda target, seed, number: normal_posterior(target, seed))
    with pytest.raises(error, match=message):
        calibrate_normal(2, simulate=lambda rng: drawn)


@pytest.mark.parametrize("simulations", [0, 2.5, True])
def test_how_many_simulations(simulations):
    with pytest.raises(ArgumentError, match="simulations="):
        calibrate_normal(simulations)


def test_arguments_that_do_not_go_together():
    with pytest.raises(ArgumentError, match="simulate=3: give a function"):
        calibrate_normal(simulate=3)
    with pytest.raises(ModelError, match="has its data already"):
        flowvi.calibrate(Target.from_numpyro(line, X, DATA), simulate=normal_pair)
    with pytest.raises(ModelError, match=r"'simulations' is also an argument of flowvi\.calibrate"):
        flowvi.calibrate(lambda simulations: None, 3)


@pytest.fixture
def calibration():
    rng = np.random.default_rng(0)
    ranks = {
        "mu": rng.integers(0, 200, 200),
        "theta": rng.integers(0, 200, (200, 2, 15)),
        "L": rng.integers(0, 200, (200, 2)),
        "narrow": rng.choice([*range(20), *range(180, 200)], 200),
    }
    return Calibration(
        ranks, draws=199, levels=("good",) * 200, constant={"L": np.array([True, False])}, notes=("A note.",)
    )


def test_scalars_and_their_names(calibration):
    assert len(calibration.scalars) == 33
    assert {"mu", "theta[1,14]", "L[1]", "narrow"} < set(calibration.scalars)
    assert "L[0]" not in calibration.scalars, "it never varies"
    np.testing.assert_array_equal(
        calibration.scalars["theta[1,14]"].ranks, calibration.ranks["theta"][:, 1, 14]
    )
    assert calibration.miscalibrated == ("narrow",)
    assert calibration.scalars["narrow"].spread > 1.5
    few = calibration.only("mu", "narrow")
    assert few.scalars["mu"].adjusted == pytest.approx(few.scalars["mu"].p)
    with pytest.raises(ArgumentError, match="no ranks of 'nu'; there are mu, theta"):
        calibration.only("mu", "nu")


def test_print(calibration):
    lines = str(calibration).splitlines()
    assert lines[0] == "200 simulated data sets, true values ranked among 199 draws"
    assert lines[1].split() == ["mean", "spread", "p", "adjusted"]
    assert lines[2].split() == ["if", "calibrated", "0.50", "1.00"]
    assert "... 13 more, with larger p" in lines
    assert lines[-3:-1] == [
        "verdicts: 200 good",
        "all fits: MISCALIBRATED: the ranks of narrow (draws too narrow) are not uniform "
        "(adjusted p < 0.001)",
    ]
    assert lines[-1] == "A note."
    assert repr(calibration) == "Calibration(simulations=200, draws=199, verdicts='200 good')"
    nothing = Calibration({"c": np.zeros(3, int)}, 9, ("good",) * 3, {"c": np.array(True)})
    assert "no scalar varies" in str(nothing)


def test_pictures(calibration):
    figure = calibration.plot_ecdf()
    titles = [axis.get_title() for axis in figure.axes]
    assert len(titles) == 12
    assert "narrow" in titles
    figure = calibration.plot_ranks(["theta", "mu"])
    assert [axis.get_title() for axis in figure.axes][-1] == "mu"
    assert len(figure.axes) == 31
    red = [patch.get_facecolor()[0] > 0.6 for patch in calibration.plot_ranks("narrow").axes[0].patches[-20:]]
    assert sum(red) >= 12
    with pytest.raises(ArgumentError, match="no ranks of 'L\\[0\\]' that vary"):
        calibration.plot_ranks(["L[0]"])
    plt.close("all")


@pytest.mark.parametrize(("simulations", "draws"), [(3, 1), (25, 100), (1000, 199), (5, 400)])
def test_pictures_of_any_numbers(simulations, draws):
    ranks = {"mu": np.random.default_rng(0).integers(0, draws + 1, simulations)}
    calibration = Calibration(ranks, draws, ("good",) * simulations)
    axis = calibration.plot_ranks().axes[0]
    assert sum(patch.get_height() for patch in axis.patches if hasattr(patch, "get_height")) == simulations
    calibration.plot_ecdf()
    plt.close("all")


def test_without_matplotlib(calibration, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    for plot in (calibration.plot_ranks, calibration.plot_ecdf):
        with pytest.raises(DependencyError, match=r"pip install 'flowvi\[plots\]'"):
            plot()
