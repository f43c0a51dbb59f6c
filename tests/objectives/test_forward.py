"""Forward KL: on rows, with their weights; and on draws of q, weighted."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from estimates import differences, estimates, moved, normal, z_scores

from flowvi import flows, objectives
from flowvi.errors import ArgumentError, DataError, FlowError

NUMBERS = np.random.default_rng(3)
ROWS, CONDITIONS = NUMBERS.normal(size=(50, 2)), NUMBERS.normal(size=(50, 3))
LOG_WEIGHTS = np.where(np.arange(50) % 5 == 0, -np.inf, NUMBERS.normal(size=50))


@pytest.mark.parametrize("log_weights", [None, LOG_WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("condition", [None, CONDITIONS, CONDITIONS[0]], ids=["none", "rows", "one"])
def test_the_loss_is_the_weighted_cross_entropy(log_weights, condition):
    condition_dim = None if condition is None else 3
    flow = moved(flows.real_nvp(2, key=0, layers=2, width=4, condition_dim=condition_dim))
    objective = objectives.forward_kl(ROWS, log_weights, condition=condition, batch=16)
    weights = np.ones(50) if log_weights is None else np.exp(log_weights)
    exact = -(weights / weights.sum()) @ flow.log_prob(ROWS, condition)
    losses, _ = estimates(objective, flow, 2048)
    assert abs(z_scores(losses, exact)) < 4


def test_the_gradient_is_the_derivative_of_the_value():
    flow = moved(flows.maf(2, key=0, layers=2, width=4))
    gradient, numeric = differences(objectives.log_likelihood(ROWS, batch=8), flow)
    np.testing.assert_allclose(gradient, numeric, atol=1e-6)


def test_rows_of_no_weight_are_never_drawn():
    objective = objectives.forward_kl(ROWS, LOG_WEIGHTS)
    rows = objective.draw(flows.gaussian(2), np.random.default_rng(0), 100).rows
    counts = np.bincount(rows.ravel(), minlength=50)
    shares = np.exp(LOG_WEIGHTS) / np.exp(LOG_WEIGHTS).sum()
    np.testing.assert_allclose(counts / rows.size, shares, atol=5 * np.sqrt(0.1 * 0.9 / rows.size))
    assert counts[::5].sum() == 0


@pytest.mark.slow
def test_estimated_log_dets_leave_value_and_gradient_unbiased():
    flow = moved(flows.residual(2, key=0, length=2, width=8), 0.5)
    exact = objectives.log_likelihood(ROWS, batch=4)
    estimated = objectives.log_likelihood(ROWS, batch=4, log_det="estimated")
    (loss, gradient), (loss_, gradient_) = (estimates(o, flow, 1024) for o in (exact, estimated))
    assert np.std(loss_ - loss) > 0
    assert abs(z_scores(loss_ - loss)) < 4
    assert np.max(np.abs(z_scores(gradient_ - gradient))) < 5


def test_reweighted_draws_of_q_give_the_gradient_of_draws_of_p():
    flow, _ = normal(0.3, 1.3)
    _, log_p = normal(-0.2, 1.0)
    reweighted = objectives.reweighted_forward_kl(log_p, importance_samples=4096)
    direct = objectives.forward_kl(np.random.default_rng(0).normal(-0.2, 1.0, size=(10**6, 1)), batch=4096)
    losses, gradients = estimates(reweighted, flow, 128)
    _, expected = estimates(direct, flow, 128)
    exact = np.log(1.3) + (1.0 + 0.5**2) / (2 * 1.3**2) - 0.5
    assert abs(z_scores(losses, exact)) < 4
    error = np.sqrt(gradients.var(0) + expected.var(0)) / np.sqrt(128)
    assert np.max(np.abs(gradients.mean(0) - expected.mean(0)) / error) < 4
    # the mean is there to be found: the scale of q is too large, its location too high
    assert np.min(np.abs(expected.mean(0)) / error) > 10


def test_reweighted_draws_at_fault_are_left_out():
    flow = moved(flows.real_nvp(2, key=0, layers=2, width=4))
    objective = objectives.reweighted_forward_kl(lambda z: jnp.where(z[0] > 1, jnp.nan, -0.5 * z @ z))
    draws = jax.tree.map(lambda a: a[0], objective.draw(flow, np.random.default_rng(0), 1))
    estimated = objective.estimate(flow, draws, jnp.asarray(0))
    z = jax.vmap(flow.bijection.forward_and_log_det)(jnp.asarray(draws.base))[0]
    assert estimated.nonfinite == np.sum(z[:, 0] > 1) > 0
    assert np.all(np.isfinite(estimates(objective, flow, 2)[1]))


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: objectives.forward_kl([[1.0], [np.nan]]), DataError, r"draws.*\(1, 0\)"),
        (lambda: objectives.forward_kl([1.0, 2.0]), DataError, r"\(2,\)"),
        (lambda: objectives.forward_kl([["a"]]), DataError, "numbers"),
        (lambda: objectives.forward_kl(np.zeros((0, 2))), DataError, "nothing"),
        (lambda: objectives.forward_kl(ROWS, np.zeros(3)), DataError, "log_weights"),
        (lambda: objectives.forward_kl(ROWS, np.full(50, -np.inf)), DataError, "log_weights"),
        (lambda: objectives.forward_kl(ROWS, condition=CONDITIONS[:3]), DataError, "3 conditions"),
        (lambda: objectives.log_likelihood(ROWS, batch=0), ArgumentError, "batch"),
        (lambda: objectives.log_likelihood(ROWS, log_det="rough"), ArgumentError, "log_det"),
        (lambda: objectives.log_likelihood(ROWS).check(flows.gaussian(3)), FlowError, "dim 2"),
    ],
)
def test_wrong_arguments_are_named(build, error, message, as_users_run_it):
    with pytest.raises(error, match=message):
        build()
