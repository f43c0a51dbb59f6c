"""Reverse KL, importance-weighted and Renyi bounds: values in closed form, gradients without bias."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from estimates import differences, estimates, moved, normal, z_scores

import flowvi
from flowvi import flows, objectives
from flowvi.bijections import Identity
from flowvi.errors import ArgumentError, DataError
from flowvi.flows.flow import log_prob
from flowvi.training.adam import with_parameters


def bent(z):
    return -jnp.sum(z**2) - 0.5 * (z[1] - z[0] ** 2) ** 2


def _mixture_of_flows(dim):
    parts = [flows.gaussian(dim), flows.real_nvp(dim, key=0, layers=2, width=4)]
    return flows.Flow(flows.FlowMixture(parts, [0.3, 0.7]), Identity((dim,)))


FLOWS = {
    "real_nvp": lambda dim: flows.real_nvp(dim, key=0, layers=2, width=4),
    "neural_spline": lambda dim: flows.neural_spline(dim, key=0, layers=2, width=4, bins=4),
    "iaf": lambda dim: flows.iaf(dim, key=0, layers=2, width=4),
    "maf": lambda dim: flows.maf(dim, key=0, layers=2, width=4),
    # draws move with the parameters of the base
    "mixture of flows": _mixture_of_flows,
}


@pytest.mark.parametrize("build", FLOWS.values(), ids=FLOWS)
@pytest.mark.slow
def test_path_gradients_vanish_draw_by_draw_where_q_is_p_and_total_ones_do_not(build):
    flow = moved(build(2))
    path = objectives.reverse_kl(lambda z: log_prob(flow, z), samples=1)
    total = objectives.reverse_kl(lambda z: log_prob(flow, z), samples=1, gradient="total")
    losses, gradients = estimates(path, flow, 16)
    assert np.max(np.abs(losses)) < 1e-10
    assert np.max(np.abs(gradients)) < 1e-10
    assert np.max(np.abs(estimates(total, flow, 16)[1])) > 0.1


@pytest.mark.parametrize("alpha", [0.0, 0.5, 2.0])
def test_doubly_reparameterized_gradients_vanish_where_q_is_p(alpha):
    flow = moved(FLOWS["real_nvp"](2))
    objective = objectives.renyi(lambda z: log_prob(flow, z), alpha, importance_samples=4, samples=1)
    assert np.max(np.abs(estimates(objective, flow, 16)[1])) < 1e-10


@pytest.mark.parametrize("gradient", ["doubly_reparameterized", "total"])
@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0, 2.0])
def test_training_leaves_q_where_it_is_p_and_brings_it_back(alpha, gradient):
    flow = flows.gaussian(1, kind="diagonal")
    objective = objectives.renyi(
        lambda z: -0.5 * jnp.sum((z - 1) ** 2), alpha, importance_samples=8, samples=16, gradient=gradient
    )
    for start, steps in ((np.array([1.0, 0.0]), 100), (np.array([0.8, 0.2]), 400)):
        trained = flowvi.train(
            with_parameters(flow, start), objective, key=0, steps=steps, step_size=0.01, chunk=100
        ).flow
        location, scale = trained.sample(1, (4000,)).mean(), trained.sample(1, (4000,)).std()
        # beside the error of the draws, that of some fifty averaged steps of Adam
        assert abs(location - 1) < 0.08, (location, scale)
        assert abs(scale - 1) < 0.08, (location, scale)


def test_alpha_may_be_a_number_of_numpy():
    for alpha in (0.5, np.float32(0.5), np.float64(0.5)):
        assert objectives.renyi(bent, alpha).alpha == 0.5
    assert objectives.renyi(bent, np.int64(0)).alpha == 0


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.slow
def test_both_gradients_have_the_same_mean(alpha):
    flow = moved(FLOWS["real_nvp"](2), 0.2)
    settings = {"importance_samples": 3, "samples": 4}
    along = objectives.renyi(bent, alpha, **settings)
    total = objectives.renyi(bent, alpha, gradient="total", **settings)
    values, of_path = estimates(along, flow, 4096)
    same_values, of_all = estimates(total, flow, 4096)
    np.testing.assert_allclose(values, same_values, rtol=1e-12)
    # over all parameters the largest of some hundred standard normals
    assert np.max(np.abs(z_scores(of_path - of_all))) < 5
    assert np.max(np.abs(of_path - of_all)) > 0.1
    # and a mean to find it by
    assert np.max(np.abs(z_scores(of_path))) > 10


@pytest.mark.parametrize(
    "objective",
    [
        objectives.reverse_kl(bent, samples=4, gradient="total"),
        objectives.importance_weighted(bent, importance_samples=3, samples=2, gradient="total"),
        objectives.renyi(bent, 0.5, importance_samples=3, samples=2, gradient="total"),
        objectives.renyi(bent, 2.0, importance_samples=3, samples=2, gradient="total"),
    ],
    ids=["reverse_kl", "importance_weighted", "renyi", "alpha above one"],
)
def test_the_total_gradient_is_the_derivative_of_the_value(objective):
    gradient, numeric = differences(objective, moved(FLOWS["real_nvp"](2)))
    np.testing.assert_allclose(gradient, numeric, atol=1e-6)


def test_the_signal_of_the_doubly_reparameterized_gradient_grows_with_k_where_that_of_the_total_one_falls():
    flow, _ = normal(0.3, 1.0)
    # narrower than q, which bounds the weights
    _, log_p = normal(0.0, 0.9)

    def noise(gradient, size):
        objective = objectives.importance_weighted(
            log_p, importance_samples=size, samples=1, gradient=gradient
        )
        of_location = estimates(objective, flow, 4096)[1][:, 0]
        return np.std(of_location), np.std(of_location) / np.abs(np.mean(of_location))

    doubly = {size: noise("doubly_reparameterized", size) for size in (4, 64)}
    total = {size: noise("total", size) for size in (4, 64)}
    # its mean falls as K^-1, its standard deviation as K^-1.5
    assert doubly[64][0] < doubly[4][0] / 16
    assert doubly[64][1] < doubly[4][1] / 2
    assert total[64][1] > 2 * total[4][1]


def test_reverse_kl_has_its_closed_form():
    flow, _ = normal(0.5, 2.0)
    _, log_p = normal(-0.5, 1.5)
    exact = np.log(1.5 / 2.0) + (2.0**2 + 1.0**2) / (2 * 1.5**2) - 0.5
    losses, _ = estimates(objectives.reverse_kl(log_p, samples=16), flow, 2048)
    assert abs(z_scores(losses, exact)) < 4


@pytest.mark.parametrize("alpha", [0.5, 2.0])
def test_with_many_draws_the_bound_is_off_by_the_renyi_divergence(alpha):
    (m, s), (m_p, s_p) = (0.3, 1.0), (0.0, 1.2)
    flow, _ = normal(m, s)
    _, log_p = normal(m_p, s_p)
    between = alpha * s_p**2 + (1 - alpha) * s**2
    divergence = (
        np.log(s_p / s)
        + np.log(s_p**2 / between) / (2 * (alpha - 1))
        + alpha * (m - m_p) ** 2 / (2 * between)
    )
    objective = objectives.renyi(log_p, alpha, importance_samples=2**12, samples=1)
    losses, _ = estimates(objective, flow, 256)
    # the bias is the variance of the mean of weights, of order 1e-5
    assert losses.mean() == pytest.approx(divergence, abs=4 * losses.std() / 16 + 1e-4)
    assert divergence > 0.01


def test_alpha_of_one_is_reverse_kl_and_its_neighbours_are_close():
    flow = moved(FLOWS["real_nvp"](2))
    kl, of_kl = estimates(objectives.reverse_kl(bent, samples=128), flow, 4)
    for alpha, tolerance in ((1.0, 1e-12), (1 - 1e-6, 1e-3), (1 + 1e-6, 1e-3)):
        # the same base draws, in groups
        loss, gradient = estimates(objectives.renyi(bent, alpha), flow, 4)
        np.testing.assert_allclose(loss, kl, rtol=tolerance)
        np.testing.assert_allclose(gradient, of_kl, atol=tolerance * np.max(np.abs(of_kl)))


def test_the_importance_weighted_bound_of_two_draws_agrees_with_quadrature():
    flow, log_q = normal(0.3, 1.0)
    _, log_p = normal(0.0, 1.5)
    x, weight = np.polynomial.hermite_e.hermegauss(60)
    weight = weight / weight.sum()
    z = 0.3 + x
    log_w = np.array([log_p([v]) - log_q([v]) for v in z])
    exact = weight @ (np.logaddexp(log_w[:, None], log_w) - np.log(2)) @ weight
    losses, _ = estimates(objectives.importance_weighted(log_p, importance_samples=2, samples=8), flow, 4096)
    assert abs(z_scores(-losses, exact)) < 4
    assert abs(z_scores(-losses, weight @ log_w)) > 10


def test_where_the_density_is_zero_weights_are_zero():
    flow, _ = normal(0.0, 1.0)
    _, log_q = normal(0.0, 1.0)
    halved = objectives.importance_weighted(
        lambda z: jnp.where(z[0] > 0, log_q(z), -jnp.inf), importance_samples=2**14, samples=1
    )
    losses, gradients = estimates(halved, flow, 64)
    assert abs(z_scores(-losses, np.log(0.5))) < 4
    assert np.all(np.isfinite(gradients))


def estimate_once(objective, flow):
    draws = jax.tree.map(lambda a: a[0], objective.draw(flow, np.random.default_rng(0), 1))
    return objective.estimate(flow, draws, jnp.asarray(0)), draws


@pytest.mark.parametrize("gradient", ["path", "total"])
@pytest.mark.slow
def test_draws_without_a_finite_value_or_gradient_are_left_out_and_counted(gradient):
    def faulty(z):
        # NaN in value far right, in gradient alone far left
        return jnp.where(z[0] > 1, jnp.nan, jnp.sqrt(jnp.maximum(z[0] + 1.5, 0)) - 0.5 * z @ z)

    flow = moved(FLOWS["real_nvp"](2))
    objective = objectives.reverse_kl(faulty, samples=256, gradient=gradient)
    estimated, draws = estimate_once(objective, flow)
    z, log_det = jax.vmap(flow.bijection.forward_and_log_det)(jnp.asarray(draws.base))
    log_q = jax.vmap(flow.base.log_prob)(jnp.asarray(draws.base)) - log_det
    fine = (z[:, 0] <= 1) & (z[:, 0] >= -1.5)
    log_p = jax.vmap(faulty)(z)
    expected = float(np.mean((log_q - log_p)[fine]))
    assert estimated.nonfinite == np.sum(~fine)
    assert 0 < estimated.nonfinite < 128
    assert estimated.loss == pytest.approx(expected, rel=1e-10)
    assert np.all(np.isfinite(estimates(objective, flow, 2)[1]))


def test_a_step_most_of_whose_draws_are_at_fault_is_not_to_be_taken():
    objective = objectives.reverse_kl(lambda z: jnp.where(z[0] > -0.5, jnp.nan, -0.5 * z @ z))
    estimated, _ = estimate_once(objective, flows.gaussian(2))
    assert np.isnan(estimated.loss)


@pytest.mark.parametrize("condition", [[1.0, 2.0, 3.0], np.random.default_rng(1).normal(size=(50, 3))])
def test_flow_and_target_get_the_same_condition(condition):
    flow = moved(flows.real_nvp(2, key=0, layers=2, width=4, condition_dim=3))
    condition = np.asarray(condition)
    objective = objectives.importance_weighted(
        lambda z, c: log_prob(flow, z, c) + c[0], importance_samples=2, samples=64, condition=condition
    )
    estimated, draws = estimate_once(objective, flow)
    expected = condition[0] if draws.rows is None else condition[draws.rows, 0].mean()
    assert estimated.loss == pytest.approx(-expected, abs=1e-10)
    if draws.rows is not None:
        assert len(np.unique(draws.rows)) > 10


def test_the_target_is_tempered_step_by_step():
    schedule = objectives.linear_schedule(0.01, 10_000)
    flow = moved(FLOWS["real_nvp"](2))
    at = {
        step: estimates(objectives.reverse_kl(objectives.annealed(bent, schedule)), flow, 2, step=step)[0]
        for step in (0, 5000, 20_000)
    }
    entropy = at[0] - 0.01 / 0.99 * (at[20_000] - at[0])
    np.testing.assert_allclose(at[5000], entropy + 0.51 * (at[20_000] - entropy), rtol=1e-6)
    np.testing.assert_allclose(at[20_000], estimates(objectives.reverse_kl(bent), flow, 2)[0], rtol=1e-12)
    assert np.all(np.abs(at[0] - at[20_000]) > 0.1)


@pytest.mark.slow
def test_estimated_log_dets_leave_value_and_gradient_unbiased():
    flow = moved(flows.residual(2, key=0, length=2, width=8), 0.5)
    exact = objectives.reverse_kl(bent, samples=4, gradient="total")
    estimated = objectives.reverse_kl(bent, samples=4, gradient="total", log_det="estimated")
    (loss, gradient), (loss_, gradient_) = (estimates(o, flow, 2048) for o in (exact, estimated))
    # the same base draws
    assert np.std(loss_ - loss) > 0
    assert abs(z_scores(loss_ - loss)) < 4
    assert np.max(np.abs(z_scores(gradient_ - gradient))) < 5


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: objectives.reverse_kl(1.0), "log_density"),
        (lambda: objectives.reverse_kl(bent, samples=0), "samples"),
        (lambda: objectives.reverse_kl(bent, gradient="score"), "gradient"),
        (lambda: objectives.reverse_kl(bent, log_det="estimated"), "estimated"),
        (lambda: objectives.renyi(bent, float("nan")), "alpha"),
        (lambda: objectives.renyi(bent, -1.0), "alpha.*drives q away"),
        (lambda: objectives.renyi(bent, True), "alpha"),
        (lambda: objectives.reverse_kl(objectives.annealed("x")), "log_density"),
        (lambda: objectives.annealed(bent, 0.5), "schedule"),
        (lambda: objectives.importance_weighted(bent, importance_samples=2.5), "importance_samples"),
        (lambda: objectives.linear_schedule(start=0.0), "start"),
        (lambda: objectives.linear_schedule(steps=0), "steps"),
    ],
)
def test_wrong_arguments_are_named(build, message, as_users_run_it):
    with pytest.raises(ArgumentError, match=message):
        build()


def test_conditions_that_are_not_finite_are_found():
    with pytest.raises(DataError, match=r"condition.*\(1, 0\)"):
        objectives.reverse_kl(bent, condition=np.array([[0.0], [np.nan]]))
