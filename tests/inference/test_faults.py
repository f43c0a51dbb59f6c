"""Densities that fail, and users who lose patience: what was computed is kept, and nothing wrong is good."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from stages import quiet_fit

from flowvi import Budget, flows
from flowvi.errors import DensityError
from flowvi.inference import chains, elbo, fit
from flowvi.inference.budget import Ledger

SMALL = flows.real_nvp(2, key=0, layers=2, width=8)
PLANE = {"example": {"x": np.zeros(2)}}


def normal(p):
    return -0.5 * jnp.sum(p["x"] ** 2)


def skewed(p):
    """The log of a Gamma(3, 1) variable, and a normal one."""
    return 3 * p["x"][0] - jnp.exp(p["x"][0]) - 0.5 * p["x"][1] ** 2


def two_modes(p):
    return jnp.logaddexp(-0.5 * jnp.sum((p["x"] - 9) ** 2), -0.5 * jnp.sum((p["x"] + 9) ** 2))


def ring(p):
    return -0.5 * ((jnp.linalg.norm(p["x"]) - 10) / 0.1) ** 2


def sometimes_nan(log_density):
    """NaN at one point in a hundred, spread all over."""

    def noisy(p):
        z, _ = ravel_pytree(p)
        return jnp.where(jnp.sin(1e6 * jnp.sum(z)) > np.cos(0.01 * np.pi), jnp.nan, log_density(p))

    return noisy


def assert_accurate(posterior, mean, sd):
    x = posterior.draws["x"]
    # the levels' tolerances, and five standard errors of 4000 draws
    np.testing.assert_allclose((x.mean(0) - mean) / sd, 0, atol=0.1 + 5 / np.sqrt(4000))
    np.testing.assert_allclose(x.std(0) / sd, 1, atol=0.1 + 5 / np.sqrt(8000))


@pytest.mark.parametrize(
    ("log_density", "flow", "mean", "sd"),
    [
        (normal, "auto", np.zeros(2), np.ones(2)),
        (skewed, SMALL, [0.9228, 0.0], [0.6284, 1.0]),
        (two_modes, "gaussian", np.zeros(2), np.full(2, np.sqrt(82))),
    ],
    ids=["normal", "flow", "modes"],
)
def test_nan_in_a_hundredth_of_the_evaluations(log_density, flow, mean, sd):
    posterior = quiet_fit(sometimes_nan(log_density), **PLANE, flow=flow)
    assert posterior.draws["x"].shape == (4000, 2)
    # NaN might hide anything
    assert posterior.verdict.level in ("corrected", "inconclusive")
    assert_accurate(posterior, mean, sd)
    # those inside the trajectories of particles are not looked at one by one
    spent = posterior.density_evaluations + posterior.gradient_evaluations - posterior.stages.get("modes", 0)
    assert 0.003 * spent < posterior.verdict.nonfinite < 0.02 * spent
    assert "were not finite, for one nan at x = [" in str(posterior.verdict)


def test_walls_that_nobody_declared():
    def log_density(p):
        x = p["x"]
        return jnp.where((x[0] > 0) & (x[1] < 1), -0.5 * jnp.sum(x**2), -jnp.inf)

    posterior = quiet_fit(log_density, **PLANE, flow="gaussian")
    assert posterior.verdict.nonfinite == 0
    if posterior.verdict.level in ("good", "corrected"):
        assert_accurate(posterior, [np.sqrt(2 / np.pi), -0.2876], [np.sqrt(1 - 2 / np.pi), 0.7935])
        assert posterior.log_evidence.value == pytest.approx(np.log(np.pi * 0.841345), abs=0.1)


class Solver:
    """A log density in Python that raises an exception in its nth evaluation of so many points, or from
    then on."""

    def __init__(self, points, nth, once=False):
        self.points, self.nth, self.once = points, nth, once
        self.calls = 0

    def __call__(self, z):
        if np.shape(z)[:-1] == (self.points,) or not self.points or self.calls >= self.nth:
            self.calls += 1
        if self.calls == self.nth or (self.calls > self.nth and not self.once):
            raise RuntimeError("no convergence\n  in 50 steps")
        z = np.asarray(z)
        return 3 * z[..., 0] - np.exp(z[..., 0]) - 0.5 * z[..., 1] ** 2

    def log_density(self):
        @jax.custom_jvp
        def value(z):
            return jax.pure_callback(self, jax.ShapeDtypeStruct((), z.dtype), z, vmap_method="expand_dims")

        @value.defjvp
        def _(primals, tangents):
            (z,), (tangent,) = primals, tangents
            return value(z), (3 - jnp.exp(z[0])) * tangent[0] - z[1] * tangent[1]

        return lambda p: value(p["x"])


@pytest.fixture
def x64_everywhere():
    """XLA calls back from threads of its own, for which only the global flag counts."""
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


REASON = "ended because the log density raised RuntimeError: no convergence in 50 steps."


@pytest.mark.usefixtures("x64_everywhere")
@pytest.mark.parametrize("once", [True, False])
def test_an_exception_in_the_middle_of_training(once):
    # only a step of training evaluates so many points; the second round of training
    solver = Solver(elbo.BATCH, elbo.STEPS + 20, once)
    posterior = quiet_fit(solver.log_density(), **PLANE, flow=SMALL)
    assert posterior.draws["x"].shape[1:] == (2,)
    assert any(f"Stage 'flow' {REASON}" in reason for reason in posterior.verdict.reasons)
    # the flow of the first round
    assert posterior.stages["flow"] == elbo.STEPS * elbo.BATCH
    assert posterior.verdict.sd_log_weights < 0.35
    np.testing.assert_allclose(
        posterior.log_weights,
        np.asarray(jax.vmap(skewed)({"x": posterior.z})) - posterior.q.log_prob(posterior.z),
        atol=1e-8,
    )
    if not once:
        assert posterior.verdict.level in ("unreliable", "inconclusive")
    elif posterior.verdict.level == "good":
        assert_accurate(posterior, [0.9228, 0.0], [0.6284, 1.0])


@pytest.mark.usefixtures("x64_everywhere")
@pytest.mark.parametrize("nth", [1, 10, 30])
def test_an_exception_before_there_is_anything(nth, tmp_path):
    for checkpoint in (None, tmp_path):
        solver = Solver(0, nth)
        with pytest.raises(DensityError, match=r"RuntimeError: no convergence in 50 steps\. Let the log den"):
            quiet_fit(solver.log_density(), **PLANE, checkpoint=checkpoint)


def test_errors_of_tracing_are_the_users_own():
    def log_density(p):
        return jnp.dot(p["x"], jnp.zeros(3))

    with pytest.raises(TypeError, match="dot"):
        quiet_fit(log_density, **PLANE)


@pytest.fixture
def interrupted(monkeypatch):
    """Interrupt once, where the ledger is told of a stage for the nth time."""

    def at(stage, nth, name="enter"):
        happened = []
        method = getattr(Ledger, name)

        def interrupt(ledger, *args, **kwargs):
            method(ledger, *args, **kwargs)
            happened.append(ledger.stage)
            if happened.count(stage) == nth:
                happened.append(stage)
                raise KeyboardInterrupt

        monkeypatch.setattr(Ledger, name, interrupt)
        return happened

    return at


@pytest.mark.parametrize(
    ("stage", "nth", "name"),
    [("judge", 1, "enter"), ("modes", 1, "enter"), ("modes", 2, "spend"), ("modes", 3, "spend")],
)
def test_an_interrupt_while_modes_are_looked_for(interrupted, stage, nth, name):
    happened = interrupted(stage, nth, name)
    posterior = quiet_fit(two_modes, **PLANE, flow="gaussian", draws=1000)
    assert happened.count(stage) > nth
    assert posterior.draws["x"].shape == (1000, 2)
    assert f"Interrupted in stage '{stage}'" in str(posterior.verdict)
    log_p = np.asarray(jax.vmap(two_modes)({"x": posterior.z}))
    np.testing.assert_allclose(posterior.log_weights, log_p - posterior.q.log_prob(posterior.z), atol=1e-4)
    # one of the modes is missing
    assert posterior.verdict.level in ("unreliable", "inconclusive")


def test_an_interrupt_of_markov_chains_keeps_what_they_drew(monkeypatch):
    monkeypatch.setattr(fit, "cover", lambda search, weighted: weighted)
    monkeypatch.setattr(chains, "_ENOUGH_ESS", 1e9)
    mixing, looks = chains.mixing, []

    def interrupt(draws):
        looks.append(len(draws))
        if len(looks) == 2:
            raise KeyboardInterrupt
        return mixing(draws)

    monkeypatch.setattr(chains, "mixing", interrupt)
    posterior = quiet_fit(ring, **PLANE, flow="gaussian", budget=Budget(gradients=2_000_000))
    assert looks == [100, 150]
    assert "16 Markov chains of 100 iterations" in str(posterior.verdict)
    assert "Interrupted in stage 'correct': Markov chains were cut short." in posterior.verdict.reasons
    assert posterior.verdict.level in ("unreliable", "inconclusive")
    assert len(posterior.draws["x"]) == 1600
