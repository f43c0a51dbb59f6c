"""Simulations and steps that fail: dropped, counted, said; and what was trained before is kept."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from amortized_cases import briefly, normal

from flowvi.amortized.failures import count, count_all, listed
from flowvi.amortized.layout import layout_of
from flowvi.amortized.parameters import NamedParameters
from flowvi.amortized.simulators import FromFunctions, finite_pairs
from flowvi.amortized.supply import ExhaustedError, Supply
from flowvi.amortized.train import at_first, least_fresh
from flowvi.errors import ArgumentError, DataError, DensityError


def test_data_sets_without_elements_are_dropped():
    x = [np.ones(2), np.ones(0), np.array([np.nan]), np.ones(1)]
    pairs = finite_pairs({"mu": np.array([1.0, 2, 3, np.inf])}, x, {})
    assert pairs.parameters["mu"].tolist() == [1.0]
    assert dict(pairs.failed) == {
        "data without elements": 1,
        "data with NaN or infinite values": 1,
        "parameters with NaN or infinite values": 1,
    }
    assert len(finite_pairs({"mu": np.ones(3)}, [np.ones(0)] * 3, {}).x) == 0


@pytest.mark.slow
def test_an_empty_set_spoils_nothing():
    def simulate(rng):
        mu = rng.normal()
        return {"mu": mu}, rng.normal(mu, 1.0, size=rng.integers(0, 20))

    with pytest.warns(UserWarning, match="data without elements"):
        amortized = briefly(simulate, summary="set")
    assert 0 < amortized.failed["data without elements"] < 50
    assert amortized.skipped == 0
    assert np.isfinite(amortized.held_out.value)
    assert amortized.outlying(1e6 * np.ones(4)) < 0.01


def test_errors_of_one_type_are_counted_together():
    failed = {}
    for i in range(5):
        count(failed, f"ValueError: no root at {i}")
    count(failed, "RuntimeError: gone", 2)
    count_all(failed, {"ValueError: no root at 7": 3})
    assert failed == {"ValueError: no root at 0": 8, "RuntimeError: gone": 2}
    assert listed(failed) == "8 were dropped: ValueError: no root at 0; 2 were dropped: RuntimeError: gone"


def unreliable(rng):
    if rng.uniform() < 0.5:
        raise RuntimeError(f"no root at {rng.uniform()}")
    return normal(rng)


def test_a_simulator_has_few_reasons_to_fail():
    pairs = FromFunctions(unreliable, None, "y")(0, 200)
    (n,) = pairs.failed.values()
    assert n + len(pairs.x) == 200


@pytest.mark.slow
def test_a_check_tells_what_was_dropped():
    with pytest.warns(UserWarning, match="no root at"):
        amortized = briefly(unreliable, simulations=600)
    checks = amortized.check(100)
    assert len(amortized.failed) == 1
    (n,) = checks.failed.values()
    assert checks.simulations + n == 100
    assert f"{n} were dropped: RuntimeError: no root at" in str(checks)


class Nan(eqx.Module):
    weight: jax.Array
    limit: float = eqx.field(static=True)

    def __call__(self, x):
        return self.weight * jnp.log(self.limit - x)


@pytest.mark.slow
def test_training_without_a_finite_step_is_an_error():
    with pytest.raises(DensityError, match="summary network gives NaN or infinities for 300 of 300"):
        briefly(normal, summary=Nan(jnp.ones(4), -1e3))


@pytest.mark.slow
def test_a_held_out_score_that_is_not_finite_is_said():
    # far out in the standardised data, where some of those that were held out are and a few in training
    with pytest.warns(UserWarning, match="held-out score is not finite"):
        amortized = briefly(normal, summary=Nan(jnp.ones(4), 3.6), simulations=20_000, max_steps=200, seed=0)
    assert any("held-out score is not finite" in note for note in amortized.notes)
    assert not any("collapsed" in note for note in amortized.notes)
    assert 0 < amortized.skipped < 200


class Late:
    """A simulator that is another after so many calls."""

    def __init__(self, calls, then):
        self.calls, self.then = calls, then

    def __call__(self, rng):
        self.calls -= 1
        return self.then(rng) if self.calls < 0 else normal(rng)


def dead(rng):
    raise OSError("the licence has expired")


def another_shape(rng):
    mu, x = normal(rng)
    return mu, x[:3]


def not_a_pair(rng):
    return None


@pytest.mark.slow
@pytest.mark.parametrize("then", [dead, another_shape, not_a_pair])
def test_a_simulator_that_fails_late_costs_nothing_that_was_trained(then):
    with pytest.warns(UserWarning, match="Training ended after 25 steps"):
        amortized = briefly(Late(15_000, then), fresh=True, simulations=40_000, max_steps=1000)
    assert amortized.curve.steps.tolist() == [25]
    assert "the simulator gave no more" in amortized.notes[0]
    assert np.isfinite(amortized.held_out.value)
    assert any("gave no more" in reason for reason in amortized.posterior(np.zeros(4), 10).verdict.reasons)


def supply(simulate, total):
    simulator = FromFunctions(simulate, None, "y")
    first = simulator(0, 250)
    parameters = NamedParameters.of(first.parameters, None)
    return Supply(simulator, parameters, layout_of(first.x), first, total=total)


def test_data_of_another_shape_are_dropped_and_counted():
    calls = iter(range(10_000))
    two = supply(lambda rng: (another_shape if next(calls) > 400 else normal)(rng), 1000)
    rows = two.fresh(140, np.random.default_rng(0))
    assert rows.x.values.shape == (140, 4)
    with pytest.raises(ExhaustedError, match="data of another shape than the first"):
        two.fresh(140, np.random.default_rng(0))
    assert two.failed["data of another shape than the first"] > 100


def test_where_some_fail_as_many_are_drawn_as_were_asked_for():
    half = supply(unreliable, 1000)
    rng = np.random.default_rng(0)
    assert half.left == 750
    assert len(half.fresh(200, rng).u) == 200
    # what was left over is used first
    assert len(half.fresh(150, rng).u) == 150
    assert half.used + sum(half.failed.values()) <= 1000 - half.left
    with pytest.raises(ExhaustedError):
        half.fresh(400, rng)
    assert half.left == 0


def test_fresh_simulations_are_not_more_than_were_asked_for():
    with pytest.raises(ArgumentError, match="8,000 at least"):
        briefly(normal, fresh=True, simulations=500)
    for steps in (1, 3, 25, 20_000):
        n = least_fresh(steps)
        assert n - at_first(n) >= min(steps, 25) * 256 > (n - 2) - at_first(n - 2)


@pytest.mark.slow
def test_as_many_fresh_simulations_as_were_asked_for():
    drawn = []

    def counted(rng):
        drawn.append(1)
        return normal(rng)

    amortized = briefly(counted, fresh=True, simulations=8_000)
    assert len(drawn) == amortized.simulations == 8_000


@pytest.mark.slow
def test_a_simulator_that_fails_before_the_first_round_is_an_error():
    with pytest.raises(DataError, match="licence"):
        briefly(Late(2_000, dead), fresh=True, simulations=8_000)
