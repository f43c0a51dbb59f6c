"""Amortized posteriors: against a closed form, and what is refused."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
import scipy.stats
from amortized_cases import ELEMENTS, briefly, exact, model, normal, small

import flowvi
from flowvi.amortized import train as train_module
from flowvi.errors import (
    ArgumentError,
    DataError,
    NoModelError,
)

pytestmark = pytest.mark.slow


Y = np.array([[0.7, -1.2], [1.1, -0.4], [0.4, -0.9]])


def test_draws_are_those_of_the_exact_posterior(linear):
    mean, sd, _ = exact(Y)
    draws = linear.sample(Y, 4000)["mu"]
    # q itself may be off by a twentieth of an sd, and a few per cent in scale
    assert np.all(np.abs(draws.mean(axis=0) - mean) < (0.1 + 4 / np.sqrt(4000)) * sd)
    assert np.all(np.abs(draws.std(axis=0) / sd - 1) < 0.1)


def test_the_corrected_posterior_is_exact(linear):
    mean, sd, evidence = exact(Y)
    posterior = linear.posterior(Y)
    assert posterior.verdict.level == "good"
    draws = posterior.draws["mu"]
    assert np.all(np.abs(draws.mean(axis=0) - mean) < 4 * sd / np.sqrt(posterior.effective_draws))
    assert np.all(np.abs(draws.std(axis=0) / sd - 1) < 0.05)
    assert abs(posterior.log_evidence.value - evidence) < 4 * posterior.log_evidence.standard_error + 1e-3
    # what depends on the data is that of these data
    np.testing.assert_allclose(posterior.draws["residual"], Y - draws[:, None], atol=1e-12)
    assert posterior.sample(2000, seed=3)["mu"].shape == (2000, 2)
    assert posterior.predictive(draws=5)["y"].shape == (5, ELEMENTS, 2)


@pytest.mark.slow
def test_a_wrong_q_is_corrected_or_said_to_be_wrong():
    poor = briefly(model=model, y=np.zeros((ELEMENTS, 2)), max_steps=1)
    far = 10 * np.ones((ELEMENTS, 2))
    with pytest.warns(UserWarning, match="The data lie outside what was simulated"):
        posterior = poor.posterior(far)
    mean, sd, _ = exact(far)
    right = np.abs(posterior.draws["mu"].mean(axis=0) - mean).max() < 0.15 * sd
    assert right or posterior.verdict.level in ("inconclusive", "unreliable")
    assert any("outside what was simulated" in reason for reason in posterior.verdict.reasons)


def test_the_log_density_is_that_of_the_draws(linear):
    mean, sd, _ = exact(Y)
    points = mean + sd * np.random.default_rng(0).normal(size=(200, 2))
    log_q = linear.log_prob({"mu": points}, Y)
    log_p = scipy.stats.norm(mean, sd).logpdf(points).sum(axis=1)
    assert np.mean(np.abs(log_q - log_p)) < 0.15
    both = linear.log_prob({"mu": np.stack([points, points])}, np.stack([Y, Y]))
    np.testing.assert_allclose(both, np.stack([log_q, log_q]), rtol=1e-6)
    assert linear.log_prob({"mu": points[0]}, Y).shape == ()


def test_many_data_sets_go_in_one_batch(linear):
    x = np.random.default_rng(0).normal(size=(10_000, ELEMENTS, 2))
    # of a larger spread than the model's
    with pytest.warns(UserWarning, match="of 10,000 data sets, first x"):
        draws = linear.sample(x, 3)
    assert draws["mu"].shape == (10_000, 3, 2)
    assert draws["sum"].shape == (10_000, 3)
    np.testing.assert_allclose(draws["sum"], draws["mu"].sum(axis=-1))
    # those that depend on the data are not the same for all
    assert "residual" not in draws
    one = linear.sample(x[0], 3)
    assert one["mu"].shape == (3, 2)
    np.testing.assert_allclose(one["mu"], draws["mu"][0], rtol=1e-4, atol=1e-5)


def test_q_of_many_data_sets_follows_each_of_them(linear):
    rng = np.random.default_rng(1)
    mu = rng.normal(size=(300, 1, 2))
    x = mu + 0.5 * rng.normal(size=(300, ELEMENTS, 2))
    means = linear.sample(x, 200)["mu"].mean(axis=1)
    wanted = np.stack([exact(y)[0] for y in x])
    sd = exact(x[0])[1]
    assert np.sqrt(np.mean((means - wanted) ** 2)) < 0.2 * sd


def test_the_same_seed_gives_the_same():
    one, two, other = (briefly(normal, seed=seed) for seed in (0, 0, 1))
    x = np.zeros(4)
    assert np.array_equal(one.sample(x, 5, seed=2)["mu"], two.sample(x, 5, seed=2)["mu"])
    assert not np.array_equal(one.sample(x, 5)["mu"], other.sample(x, 5)["mu"])
    assert not np.array_equal(one.sample(x, 5, seed=2)["mu"], one.sample(x, 5, seed=3)["mu"])


@pytest.mark.slow
def test_a_density_on_the_models_scale_integrates_to_one():
    def simulate(rng):
        tau = rng.gamma(2.0)
        return {"tau": tau, "p": rng.beta(2, 2)}, rng.normal(0, tau, size=4)

    amortized = briefly(simulate, supports={"tau": "positive", "p": "unit_interval"}, max_steps=50)
    tau = np.exp(np.linspace(-9, 6, 401))
    p = 1 / (1 + np.exp(-np.linspace(-9, 9, 301)))
    grid = {"tau": np.repeat(tau[:, None], 301, 1), "p": np.repeat(p[None], 401, 0)}
    density = np.exp(amortized.log_prob(grid, np.array([1.0, -2.0, 0.5, 0.3])))
    assert abs(np.trapezoid(np.trapezoid(density, p, axis=1), tau) - 1) < 0.01
    assert amortized.log_prob({"tau": -1.0, "p": 0.5}, np.zeros(4)) == -np.inf
    draws = amortized.sample(np.zeros(4), 100)
    assert np.all(draws["tau"] > 0)
    assert np.all((draws["p"] > 0) & (draws["p"] < 1))


@pytest.mark.slow
def test_the_log_density_of_a_models_constrained_parameters_agrees_with_its_draws():
    def positive(y):
        tau = numpyro.sample("tau", dist.HalfNormal(2.0))
        low = numpyro.sample("low", dist.Uniform(0, tau))
        numpyro.sample("y", dist.Normal(low, tau), obs=y)

    amortized = briefly(model=positive, y=np.zeros(3))
    x = np.array([0.5, 1.0, 2.0])
    z = amortized.flow_given(x).sample(0, (4,))
    draws = amortized._parameters.constrain(z)
    jacobian = draws["tau"] * draws["low"] * (1 - draws["low"] / draws["tau"])
    wanted = amortized.flow_given(x).log_prob(z) - np.log(jacobian)
    np.testing.assert_allclose(amortized.log_prob(draws, x), wanted, rtol=1e-6)


def test_a_simulator_without_likelihood_gives_no_claim():
    posterior = briefly(normal).posterior(np.ones(4), draws=500)
    assert posterior.verdict.level == "inconclusive"
    assert "no likelihood" in posterior.verdict.reasons[0]
    assert posterior.log_evidence is None
    assert posterior.draws["mu"].shape == (500,)
    assert "mu" in str(posterior.summary())


def test_a_simulator_beside_a_model_brings_its_likelihood():
    def log_density(p, y):
        return -0.5 * p["mu"] ** 2 - 0.5 * jnp.sum((y - p["mu"]) ** 2) - 2.5 * jnp.log(2 * jnp.pi)

    amortized = flowvi.amortize(
        log_density, example={"mu": 0.0}, simulate=normal, simulations=2000, flow=small, max_steps=300,
        progress=False, y=np.zeros(4),
    )  # fmt: skip
    x = np.array([0.2, 1.0, -0.4, 0.6])
    posterior = amortized.posterior(x)
    evidence = scipy.stats.multivariate_normal(np.zeros(4), np.ones((4, 4)) + np.eye(4)).logpdf(x)
    assert posterior.verdict.level == "good"
    assert abs(posterior.log_evidence.value - evidence) < 4 * posterior.log_evidence.standard_error + 1e-3
    assert abs(posterior.draws["mu"].mean() - x.sum() / 5) < 0.05


def test_a_prior_and_a_simulator_of_its_parameters():
    amortized = briefly(
        lambda parameters, rng: {"data": rng.normal(parameters["mu"], 1.0, size=4)},
        prior=lambda rng: {"mu": rng.normal()},
        observed="data",
    )
    assert amortized.sample(np.zeros(4), 5)["mu"].shape == (5,)


def test_stored_simulations():
    rng = np.random.default_rng(0)
    mu = rng.normal(size=(400, 2))
    x = mu + rng.normal(size=(400, 2))
    amortized = briefly(simulations=({"mu": mu}, x))
    assert amortized.simulations == 400
    checks = amortized.check()
    # of those that were held out
    assert checks.simulations == 40


@pytest.mark.slow
def test_fresh_simulations_are_met_once():
    drawn = []

    def counted(rng):
        pair = normal(rng)
        drawn.append(pair[0]["mu"])
        return pair

    amortized = briefly(counted, fresh=True, simulations=15_000, max_steps=50)
    assert len(drawn) == amortized.simulations <= 15_000
    assert len(set(drawn)) == len(drawn)
    assert len(amortized.curve.steps) >= 1


def test_simulations_that_fail_are_counted_and_dropped():
    def faulty(rng):
        kind = rng.integers(4)
        if kind == 0:
            raise RuntimeError("the solver diverged")
        mu, x = normal(rng)
        return mu, np.where(kind == 1, np.nan, x)

    with pytest.warns(UserWarning, match="Of 600 simulations .* The prior that q knows"):
        amortized = briefly(faulty, simulations=600)
    why = "RuntimeError: the solver diverged"
    assert set(amortized.failed) == {why, "data with NaN or infinite values"}
    assert 100 < amortized.failed[why] < 200
    assert amortized.simulations + sum(amortized.failed.values()) == 600
    assert "simulations dropped (RuntimeError: the solver diverged)" in repr(amortized)
    assert np.isfinite(amortized.held_out.value)
    # which the verdict of each posterior tells too
    assert "The prior that q knows" in str(amortized.posterior(np.zeros(4), 200).verdict)


def test_data_outside_what_was_simulated_are_warned_of(linear):
    assert linear.outlying(Y) > 0.05
    far = Y + 20
    assert linear.outlying(far) < 0.01
    assert linear.outlying(np.stack([Y, far])).shape == (2,)
    # of the usual size on the whole, but of a spread that the model does not give
    spread = np.array([[6.0, -6.0], [-6.0, 6.0], [0.0, 0.0]])
    assert linear.outlying(spread) < 0.01
    rng = np.random.default_rng(5)
    usual = rng.normal(size=(500, 1, 2)) + 0.5 * rng.normal(size=(500, ELEMENTS, 2))
    assert np.mean(linear.outlying(usual) < 0.01) < 0.03


class Constant(eqx.Module):
    weight: jax.Array

    def __call__(self, x):
        return 0 * self.weight * jnp.sum(x)


@pytest.mark.slow
def test_a_summary_that_collapses_is_warned_of():
    with pytest.warns(UserWarning, match="collapsed"):
        amortized = briefly(normal, summary=Constant(jnp.ones(2)))
    assert "collapsed" in amortized.notes[0]
    assert any("collapsed" in reason for reason in amortized.posterior(np.zeros(4), 100).verdict.reasons)
    assert len(amortized.curve.steps)


@pytest.mark.parametrize("after", [0, 1])
def test_ctrl_c_keeps_the_best(monkeypatch, after):
    rounds = train_module.rounds

    def interrupted(*args):
        for _, round_ in zip(range(after), rounds(*args), strict=False):
            yield round_
        raise KeyboardInterrupt

    monkeypatch.setattr(train_module, "rounds", interrupted)
    amortized = briefly(normal, max_steps=200)
    assert amortized.interrupted
    assert "interrupted" in repr(amortized)
    assert len(amortized.curve.steps) == after
    assert amortized.sample(np.zeros(4), 3)["mu"].shape == (3,)


def test_progress_goes_to_stderr(capsys):
    briefly(normal, progress=True)
    printed = capsys.readouterr()
    assert "amortize  step 25  validation" in printed.err
    assert not printed.out


@pytest.fixture(scope="module")
def of_normal():
    return briefly(normal)


NO_SETS = {
    "another shape": (np.zeros(5), r"shape \(5,\), but the simulated data sets have \(4,\)"),
    "nan": (np.array([0.0, np.nan, 0.0, 0.0]), r"x is nan at \[1\]"),
    "nan among several": (np.array([[0.0] * 4, [0, 0, np.inf, 0]]), r"x\[1\] is inf at \[2\]"),
    "words": (["a", "b", "c", "d"], "not an array of numbers"),
    "none": (np.zeros((0, 4)), "no data set"),
}


@pytest.mark.parametrize(("x", "match"), NO_SETS.values(), ids=NO_SETS)
def test_data_that_do_not_fit_are_refused(of_normal, x, match):
    for method in (lambda x: of_normal.sample(x, 3), of_normal.posterior, of_normal.outlying):
        with pytest.raises(DataError, match=match):
            method(x)


def test_what_else_is_refused_of_a_result(of_normal):
    x = np.zeros(4)
    with pytest.raises(ArgumentError, match="n=0"):
        of_normal.sample(x, 0)
    with pytest.raises(ArgumentError, match="draws=0"):
        of_normal.posterior(x, 0)
    with pytest.raises(DataError, match="one data set"):
        of_normal.posterior(np.zeros((2, 4)))
    with pytest.raises(DataError, match="mu"):
        of_normal.log_prob({"nu": 1.0}, x)
    with pytest.raises(ArgumentError, match="simulations=0"):
        of_normal.check(0)


@pytest.mark.slow
def test_by_the_evidence_lower_bound():
    amortized = briefly(
        model=model, y=np.zeros((ELEMENTS, 2)), objective="elbo", simulations=2000, max_steps=600
    )
    mean, sd, _ = exact(Y)
    draws = amortized.sample(Y, 4000)["mu"]
    assert np.all(np.abs(draws.mean(axis=0) - mean) < (0.15 + 4 / np.sqrt(4000)) * sd)
    assert np.all(np.abs(draws.std(axis=0) / sd - 1) < 0.15)
    # the mean of a bound that is all but tight is the mean log evidence: minus the entropy of the data
    covariance = np.ones((ELEMENTS, ELEMENTS)) + 0.25 * np.eye(ELEMENTS)
    entropy = 2 * scipy.stats.multivariate_normal(np.zeros(ELEMENTS), covariance).entropy()
    assert amortized.held_out.value + entropy + 4 * amortized.held_out.standard_error > -0.1
    assert amortized.held_out.value + entropy < 4 * amortized.held_out.standard_error
    with pytest.raises(ArgumentError, match="needs a model with a likelihood"):
        briefly(normal, objective="elbo")


@pytest.mark.slow
def test_a_pymc_model_simulates_itself():
    pm = pytest.importorskip("pymc")
    with pm.Model() as poisson:
        rate = pm.Gamma("rate", 2.0, 1.0)
        pm.Deterministic("twice", 2 * rate)
        pm.Poisson("y", rate, observed=np.zeros(3, int))
    amortized = briefly(model=poisson, simulations=400, max_steps=50)
    x = np.array([2, 1, 4])
    draws = amortized.sample(x, 50)
    np.testing.assert_allclose(draws["twice"], 2 * draws["rate"])
    # the density on the model's scale has the Jacobian of the logarithm
    rates = np.exp(np.linspace(-7, 5, 2001))
    density = np.exp(amortized.log_prob({"rate": rates}, x))
    assert abs(np.trapezoid(density, rates) - 1) < 0.01
    posterior = amortized.posterior(x, 1000)
    if posterior.verdict.level == "good":
        assert abs(posterior.draws["rate"].mean() - 9 / 4) < 0.15


@pytest.mark.slow
def test_counts_keep_their_type():
    def counts(y):
        rate = numpyro.sample("rate", dist.Gamma(2.0, 1.0))
        kind = dist.Categorical(probs=jnp.stack([jnp.exp(-rate), 1 - jnp.exp(-rate)]))
        with numpyro.plate("n", 6):
            numpyro.sample("y", kind, obs=y)

    # a category indexes probabilities, which a float cannot
    posterior = briefly(model=counts, y=np.zeros(6, int)).posterior([0, 1, 1, 0, 1, 1], 500)
    assert posterior.draws["rate"].shape == (500,)


def test_a_posterior_of_a_simulator_is_saved_and_loaded(of_normal, tmp_path):
    posterior = of_normal.posterior(np.ones(4), 200)
    posterior.save(tmp_path / "run")
    loaded = flowvi.load(tmp_path / "run")
    np.testing.assert_array_equal(loaded.draws["mu"], posterior.draws["mu"])
    np.testing.assert_allclose(loaded.q.log_prob(loaded.z), posterior.q.log_prob(posterior.z), rtol=1e-12)
    with pytest.raises(NoModelError, match="simulator"):
        posterior.sample(10)
