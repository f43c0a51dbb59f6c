"""What a fit may spend, and its books."""

import math

import jax.numpy as jnp
import numpy as np
import pytest
from stages import density_of

from flowvi import Budget
from flowvi.display import display
from flowvi.inference.budget import Ledger
from flowvi.inference.density import BATCH, VALUES


@pytest.mark.parametrize("limits", [{"gradients": 0}, {"seconds": -1.0}, {"seconds": math.nan}])
def test_a_budget_is_positive(limits):
    with pytest.raises(ValueError, match=f"{next(iter(limits))}=.*must be positive"):
        Budget(**limits)


def test_the_ledger_books_by_stage_and_tells_when_the_budget_is_spent():
    ledger = Ledger(Budget(gradients=100), display(progress=False))
    ledger.enter("explore")
    ledger.spend(60)
    assert not ledger.exhausted()
    ledger.enter("gaussian")
    ledger.enter("flow")
    ledger.spend(40)
    assert ledger.exhausted()
    assert dict(ledger.stages) == {"explore": 60, "gaussian": 0, "flow": 40}
    assert ledger.gradients == 100


def test_a_limit_in_seconds():
    ledger = Ledger(Budget(seconds=1e-9), display(progress=False))
    assert ledger.exhausted()
    assert not Ledger(Budget(seconds=1e9), display(progress=False)).exhausted()


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("n", [1, BATCH, BATCH + 3])
def test_the_density_counts_points_asked_for_and_not_those_it_pads_with(n):
    def log_density(x):
        return jnp.where(x[0] > 100, jnp.nan, jnp.where(x[0] > 50, jnp.inf, -0.5 * x @ x))

    density = density_of(log_density, 2)
    z = np.random.default_rng(0).normal(size=(n, 2))
    # the last point is what batches are filled up with
    z[-1, 0] = 101.0
    value, grad = density.value_and_grad(z)
    np.testing.assert_allclose(value[:-1], -0.5 * (z[:-1] ** 2).sum(1))
    np.testing.assert_allclose(grad[:-1], -z[:-1])
    assert np.isnan(value[-1])
    assert density.ledger.gradients == n
    assert density.ledger.nonfinite == 1
    z[-1, 0] = 51.0
    assert np.isposinf(density.value(z)[-1])
    assert density.ledger.densities == n
    assert density.ledger.nonfinite == 2
    assert density.ledger.gradients == n
    assert np.isnan(density.ledger.first_nonfinite[1])
    assert density.ledger.first_nonfinite[0][0] == 101.0


@pytest.mark.usefixtures("x64")
def test_a_gradient_that_is_not_finite_is_a_fault_and_a_density_of_zero_is_none():
    def log_density(x):
        return jnp.where(x[0] > 100, -jnp.inf, 0 * jnp.sqrt(jnp.maximum(x[1], 0.0)) - 0.5 * x @ x)

    density = density_of(log_density, 2)
    density.value_and_grad(np.array([[101.0, 1.0], [3.0, 1.0], [4.0, 0.0]]))
    assert density.ledger.nonfinite == 1
    np.testing.assert_array_equal(density.ledger.first_nonfinite[0], [4.0, 0.0])


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("seconds", "values"), [(1e-9, VALUES), (1e9, 3 * VALUES + 1), (math.inf, 3 * VALUES + 1)]
)
def test_densities_in_time(seconds, values):
    density = density_of(lambda x: -0.5 * x @ x, 2, Budget(seconds=seconds))
    z = np.random.default_rng(0).normal(size=(3 * VALUES + 1, 2))
    np.testing.assert_allclose(density.value_in_time(z), -0.5 * (z[:values] ** 2).sum(1))
    assert density.ledger.densities == values
