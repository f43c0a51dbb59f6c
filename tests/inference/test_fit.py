"""`flowvi.fit` from end to end: known answers, repetition, interruption, budgets, flows by name."""

import threading

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from known_posteriors import POSTERIORS
from stages import quiet_fit

import flowvi
from flowvi import Budget, flows
from flowvi.errors import FlowError
from flowvi.inference.budget import Ledger
from flowvi.targets.jax import JaxTarget

Y = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
SIGMA = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])


@pytest.fixture(scope="module", params=POSTERIORS)
def known_and_fit(request):
    known = POSTERIORS[request.param]
    return known, quiet_fit(known.log_density, example=known.example, supports=known.supports)


def test_moments_of_known_posteriors(known_and_fit):
    known, posterior = known_and_fit
    assert posterior.verdict.level == "good", str(posterior.verdict)
    for name, (mean, sd) in known.moments.items():
        x = posterior.draws[name]
        assert x.shape == (4000, *np.shape(known.example[name]))
        # five standard errors of the mean of 4000 independent draws; of the sd, more where tails are heavy
        np.testing.assert_allclose((x.mean(0) - mean) / sd, 0, atol=5 / np.sqrt(4000))
        kurtosis = (((x - x.mean(0)) / x.std(0)) ** 4).mean(0)
        np.testing.assert_array_less(np.abs(np.log(x.std(0) / sd)), 5 * np.sqrt(kurtosis / 4 / 4000))


def test_log_evidence_of_known_posteriors(known_and_fit):
    known, posterior = known_and_fit
    value, error = posterior.log_evidence
    assert abs(value - known.log_evidence) < max(0.02, 3 * error)
    assert error < 0.05
    # the ELBO is a lower bound
    assert posterior.elbo.value < value + 4 * posterior.elbo.standard_error + 1e-9


def test_draws_of_known_posteriors_are_different_from_each_other(known_and_fit):
    _, posterior = known_and_fit
    assert len(np.unique(posterior.z, axis=0)) == 4000
    assert all(values.dtype == np.float64 for values in posterior.draws.values())


def test_what_is_nearly_gaussian_takes_few_gradients(known_and_fit):
    known, posterior = known_and_fit
    if known.gaussian:
        assert posterior.gradient_evaluations <= 20_000
        assert "flow" not in posterior.stages
    assert posterior.gradient_evaluations == sum(posterior.stages.values())


def eight_schools(y, sigma):
    mu = numpyro.sample("mu", dist.Normal(0, 5))
    tau = numpyro.sample("tau", dist.HalfCauchy(5))
    with numpyro.plate("school", len(y)):
        z = numpyro.sample("z", dist.Normal(0, 1))
        theta = numpyro.deterministic("theta", mu + tau * z)
        numpyro.sample("y", dist.Normal(theta, sigma), obs=y)


@pytest.fixture(scope="module")
def schools():
    return quiet_fit(eight_schools, Y, SIGMA)


def test_eight_schools(schools):
    assert schools.verdict.level == "good"
    assert schools.verdict.ess_ratio >= 0.99
    assert schools.log_evidence.value == pytest.approx(-31.31, abs=0.01)
    assert schools.gradient_evaluations <= 100_000
    assert schools.gradient_evaluations == sum(schools.stages.values())
    assert schools.stages["flow"] > 0
    # of the reference draws of posteriordb
    mean = {"mu": 4.4, "tau": 3.6}
    sd = {"mu": 3.3, "tau": 3.2}
    for name in mean:
        assert schools.draws[name].mean() == pytest.approx(mean[name], abs=0.1 * sd[name])
        assert schools.draws[name].std() == pytest.approx(sd[name], rel=0.1)


class Compilations:
    """How many programs XLA compiles while it is open."""

    def __enter__(self):
        self.count = 0
        self._listening = True
        jax.monitoring.register_event_duration_secs_listener(self._listen)
        return self

    def _listen(self, event, duration, **_):
        if self._listening and event == "/jax/core/compile/backend_compile_duration":
            self.count += 1

    def __exit__(self, *_):
        # a listener cannot be taken off by a public name
        self._listening = False


def test_new_data_of_the_same_shape_compile_nothing(schools):
    with Compilations() as compilations:
        other = quiet_fit(eight_schools, Y[::-1] + 1.0, SIGMA + 1.0)
    assert compilations.count == 0
    assert other.log_evidence.value != schools.log_evidence.value
    with Compilations() as compilations:
        jax.jit(lambda x: x + 1)(1.0)
    assert compilations.count > 0


def test_the_seed_decides_everything(schools):
    again = quiet_fit(eight_schools, Y, SIGMA)
    np.testing.assert_array_equal(again.z, schools.z)
    assert again.log_evidence == schools.log_evidence
    other = quiet_fit(eight_schools, Y, SIGMA, seed=1, budget=Budget(gradients=3000))
    assert not np.isin(other.z, schools.z).any()


def skewed(p):
    """A Gamma(3, 1) variable and a normal one."""
    return 2 * jnp.log(p["s"]) - p["s"] - 0.5 * p["x"] ** 2


SKEWED = {"example": {"s": 1.0, "x": 0.0}, "supports": {"s": "positive"}}
SKEWED_EVIDENCE = np.log(2) + 0.5 * np.log(2 * np.pi)


@pytest.fixture(scope="module")
def plain():
    return quiet_fit(skewed, **SKEWED)


@pytest.mark.parametrize("flag", [False, True])
def test_precision_is_double_whatever_the_flag_and_the_flag_stays(flag, plain):
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", flag)
    try:
        posterior = quiet_fit(skewed, **SKEWED)
        assert jax.config.jax_enable_x64 is flag
        assert jnp.zeros(1).dtype == (jnp.float64 if flag else jnp.float32)
    finally:
        jax.config.update("jax_enable_x64", before)
    np.testing.assert_allclose(posterior.z, plain.z, rtol=1e-9, atol=1e-9)


def test_in_a_second_thread(plain):
    found = []
    thread = threading.Thread(target=lambda: found.append(quiet_fit(skewed, **SKEWED)))
    thread.start()
    thread.join()
    np.testing.assert_allclose(found[0].z, plain.z, rtol=1e-9, atol=1e-9)


def test_after_importing_pymc_and_its_jax_dispatch(plain):
    before = jax.config.jax_enable_x64
    pytest.importorskip("pymc")
    try:
        import pytensor.link.jax.dispatch  # noqa: F401

        posterior = quiet_fit(skewed, **SKEWED)
    finally:
        # the dispatch sets the global flag
        jax.config.update("jax_enable_x64", before)
    np.testing.assert_allclose(posterior.z, plain.z, rtol=1e-9, atol=1e-9)


STAGES = ["preflight", "explore", "gaussian", "flow", "correct", "judge"]


@pytest.mark.parametrize("stage", STAGES)
def test_an_interrupt_returns_the_best_so_far_and_says_so(monkeypatch, stage):
    show = Ledger.show
    interrupted = []

    def interrupt(ledger, *args, **kwargs):
        if ledger.stage == stage and not interrupted:
            # once, as from the keyboard
            interrupted.append(True)
            raise KeyboardInterrupt
        show(ledger, *args, **kwargs)

    monkeypatch.setattr(Ledger, "show", interrupt)
    flow = flows.real_nvp(2, key=0, layers=2, width=8)
    posterior = quiet_fit(skewed, **SKEWED, flow=flow if stage == "flow" else "gaussian")
    assert interrupted
    assert posterior.draws["s"].shape == (4000,)
    assert any(f"Interrupted in stage '{stage}'" in reason for reason in posterior.verdict.reasons)


def test_an_interrupt_of_the_last_steps_loses_nothing(monkeypatch):
    constrain = JaxTarget.constrain
    interrupted = []

    def interrupt(target, z, seed=0):
        if len(z) == 4000 and not interrupted:
            interrupted.append(True)
            raise KeyboardInterrupt
        return constrain(target, z, seed)

    monkeypatch.setattr(JaxTarget, "constrain", interrupt)
    posterior = quiet_fit(skewed, **SKEWED, flow="gaussian")
    assert interrupted
    assert posterior.draws["s"].shape == (4000,)
    assert any("Interrupted in stage 'judge'" in reason for reason in posterior.verdict.reasons)


def test_an_interrupt_after_a_round_keeps_its_flow(monkeypatch):
    show = Ledger.show

    def interrupt(ledger, *args, **kwargs):
        if ledger.stages["flow"] > 0 and ledger.stage == "flow":
            raise KeyboardInterrupt
        show(ledger, *args, **kwargs)

    monkeypatch.setattr(Ledger, "show", interrupt)
    flow = flows.real_nvp(2, key=0, layers=2, width=8)
    posterior = quiet_fit(skewed, **SKEWED, flow=flow)
    assert posterior.stages["flow"] > 0
    # a Gaussian has 0.45: the bijection is the flow's
    assert posterior.verdict.sd_log_weights < 0.3
    assert posterior.log_evidence.value == pytest.approx(SKEWED_EVIDENCE, abs=0.02)


def test_a_budget_of_gradients_is_kept_and_told():
    posterior = quiet_fit(eight_schools, Y, SIGMA, budget=Budget(gradients=1500))
    # a stage ends after the batch that spends the rest
    assert posterior.gradient_evaluations < 1500 + 1000
    assert "flow" not in posterior.stages
    assert any("budget was spent in stage 'gaussian'" in reason for reason in posterior.verdict.reasons)
    assert len(posterior.draws["mu"]) == 4000


def test_a_budget_of_seconds_is_kept_and_told():
    posterior = quiet_fit(eight_schools, Y, SIGMA, budget=Budget(seconds=1e-6))
    assert posterior.gradient_evaluations < 2000
    assert any("budget was spent" in reason for reason in posterior.verdict.reasons)


@pytest.mark.parametrize("n", [1, 100])
def test_few_draws_are_judged_like_many(n):
    posterior = quiet_fit(lambda p: -0.5 * jnp.sum(p["x"] ** 2), example={"x": np.zeros(2)}, draws=n)
    assert posterior.draws["x"].shape == (n, 2)
    assert posterior.verdict.level == "good"
    assert "flow" not in posterior.stages


@pytest.mark.parametrize(
    "flow", ["gaussian", "real_nvp", lambda: flows.neural_spline(2, key=3, layers=2, width=8, bins=4)]
)
def test_a_flow_by_name_or_as_given(flow):
    posterior = quiet_fit(skewed, **SKEWED, flow=flow if isinstance(flow, str) else flow())
    assert ("flow" in posterior.stages) == (flow != "gaussian")
    if flow != "gaussian":
        assert posterior.verdict.level == "good"
        assert posterior.log_evidence.value == pytest.approx(SKEWED_EVIDENCE, abs=0.02)
        # a Gaussian has 0.45
        assert posterior.verdict.sd_log_weights < 0.2
    # q is a density of the draws it gives, and the weights are its own
    z = posterior.z[:64]
    with jax.enable_x64(True):
        log_p = np.asarray(jax.vmap(posterior.target.log_density)(jnp.asarray(z)))
    np.testing.assert_allclose(posterior.log_weights[:64], log_p - posterior.q.log_prob(z), atol=1e-8)


def test_both_of_two_modes_that_lie_far_apart():
    def log_density(p):
        x = p["x"]
        return jnp.logaddexp(
            jnp.log(0.7) - 0.5 * jnp.sum((x - 9) ** 2), jnp.log(0.3) - 0.5 * jnp.sum((x + 9) ** 2)
        )

    posterior = quiet_fit(log_density, example={"x": np.zeros(2)}, flow="gaussian")
    assert posterior.verdict.level == "good", str(posterior.verdict)
    # 4,000 unique draws, whose share has a standard error of 0.007
    x = posterior.draws["x"]
    assert (x[:, 0] > 0).mean() == pytest.approx(0.7, abs=0.03)
    np.testing.assert_allclose(x[x[:, 0] > 0].mean(axis=0), 9, atol=0.09)
    np.testing.assert_allclose(x[x[:, 0] < 0].mean(axis=0), -9, atol=0.13)
    value, error = posterior.log_evidence
    assert value == pytest.approx(np.log(2 * np.pi), abs=4 * error)
    assert error < 0.02
    # q itself has both
    assert (
        np.ptp(
            np.exp(posterior.q.log_prob(np.array([[9.0, 9.0], [-9.0, -9.0]])) - [np.log(0.7), np.log(0.3)])
        )
        < 0.02
    )


@pytest.mark.parametrize(
    ("flow", "words"),
    [
        ("realnvp", "'realnvp'.*'real_nvp'"),
        (lambda: flows.gaussian(3), "dim 3.*dim 2"),
        (lambda: flows.real_nvp(2, key=0, condition_dim=1), "condition_dim 1"),
    ],
)
def test_a_flow_that_does_not_fit(flow, words):
    with pytest.raises(FlowError, match=words):
        quiet_fit(skewed, **SKEWED, flow=flow if isinstance(flow, str) else flow())


def test_progress_is_silent_on_request(capfd):
    flowvi.fit(skewed, **SKEWED, progress=False)
    printed = capfd.readouterr()
    assert printed.out == printed.err == ""
    flowvi.fit(skewed, **SKEWED, flow="gaussian")
    assert "gaussian" in capfd.readouterr().err
