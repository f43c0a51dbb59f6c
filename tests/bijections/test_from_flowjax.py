"""Wrapped FlowJAX bijections against FlowJAX itself."""

import sys

import equinox as eqx
import flowjax.bijections
import flowjax.flows
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flowjax.distributions import Normal, Transformed
from paramax import non_trainable

import flowvi
from flowvi import flows
from flowvi.bijections import Chain, FromFlowJAX, Identity, LocationScale, Scan, trainable
from flowvi.errors import DependencyError, FlowError, SaveError
from flowvi.flows.flow import log_prob
from flowvi.serialise import save_module

pytestmark = pytest.mark.slow


KEY = jax.random.key(0)
CONDITION = jnp.array([0.3, -1.0, 2.0])


def coupling_flow(condition_dim=None):
    return flowjax.flows.coupling_flow(
        KEY, base_dist=Normal(jnp.zeros(2)), cond_dim=condition_dim, flow_layers=2, nn_width=8
    )


def autoregressive_flow(condition_dim=None):
    return flowjax.flows.masked_autoregressive_flow(
        KEY, base_dist=Normal(jnp.zeros(2)), cond_dim=condition_dim, flow_layers=2, nn_width=8
    )


BIJECTIONS = {
    "affine": lambda: flowjax.bijections.Affine(jnp.ones(2), jnp.array([0.5, 2.0])),
    "triangular": lambda: flowjax.bijections.TriangularAffine(
        jnp.ones(2), jnp.array([[1.0, 0.0], [3.0, 0.5]])
    ),
    "leaky_tanh": lambda: flowjax.bijections.LeakyTanh(2.0, (2,)),
    "chain": lambda: flowjax.bijections.Chain(
        [flowjax.bijections.Flip((2,)), flowjax.bijections.Affine(jnp.zeros(2), jnp.array([1.0, 3.0]))]
    ),
    "coupling": lambda: coupling_flow().bijection,
    "coupling_conditional": lambda: coupling_flow(3).bijection,
    "autoregressive_conditional": lambda: autoregressive_flow(3).bijection,
}


@pytest.mark.parametrize(
    ("name", "precision"), [*((name, np.float64) for name in BIJECTIONS), ("coupling", np.float32)]
)
def test_both_directions_and_log_dets(name, precision):
    with jax.enable_x64(precision == np.float64):
        theirs = BIJECTIONS[name]()
        ours = FromFlowJAX(theirs)
        x = jnp.array([0.7, -1.3], precision)
        condition = None if theirs.cond_shape is None else CONDITION.astype(precision)
        y, log_det = ours.forward_and_log_det(x, condition)
        expected = theirs.transform_and_log_det(x, condition)
        np.testing.assert_array_equal(y, expected[0])
        np.testing.assert_array_equal(log_det, expected[1])
        back, log_det_back = ours.inverse_and_log_det(y, condition)
        np.testing.assert_allclose(back, x, atol=1e-5)
        np.testing.assert_allclose(log_det_back, -log_det, atol=1e-5)
        jacobian = jax.jacobian(lambda x: ours.forward_and_log_det(x, condition)[0])(x)
    np.testing.assert_allclose(log_det, np.linalg.slogdet(jacobian)[1], atol=1e-5)
    assert {a.dtype for a in (y, log_det, back, log_det_back)} == {np.dtype(precision)}
    assert ours.shape == ours.out_shape == (2,)


def test_precision_of_x_is_kept_whatever_that_of_the_parameters():
    narrow = FromFlowJAX(BIJECTIONS["affine"]())
    with jax.enable_x64(True):
        wide = FromFlowJAX(BIJECTIONS["affine"]())
        for layer in (narrow, wide):
            for precision in (np.float32, np.float64):
                y, log_det = layer.forward_and_log_det(jnp.ones(2, precision))
                assert y.dtype == log_det.dtype == precision


def test_a_flow_of_flowjax_has_its_density():
    theirs = autoregressive_flow(3)
    ours = flows.Flow(flows.Normal(2), FromFlowJAX(theirs.bijection))
    x = np.random.default_rng(0).normal(size=(16, 2))
    np.testing.assert_allclose(
        ours.log_prob(x, CONDITION), theirs.log_prob(jnp.asarray(x), CONDITION), rtol=1e-4, atol=1e-4
    )
    assert ours.condition_dim == 3
    z, of_draws = ours.sample_and_log_prob(1, (16,), CONDITION)
    np.testing.assert_allclose(ours.log_prob(z, CONDITION), of_draws, rtol=1e-4, atol=1e-4)


def test_every_parameter_gets_a_gradient():
    flow = flows.Flow(flows.Normal(2), FromFlowJAX(coupling_flow().bijection))
    # the last layer of a conditioner starts where those before it get no gradient
    parameters, rest = eqx.partition(flow, trainable(flow))
    parameters = jax.tree.map(lambda a: a + 0.1, parameters)

    def loss(parameters, x):
        return jnp.sum(jax.vmap(lambda x: log_prob(eqx.combine(parameters, rest), x))(x))

    gradients = jax.jit(jax.grad(loss))(parameters, jax.random.normal(KEY, (32, 2)))
    sizes = [np.max(np.abs(g)) for g in jax.tree.leaves(gradients)]
    assert len(sizes) > 3
    assert np.all(np.isfinite(sizes))
    assert np.all(np.array(sizes) > 0)


def test_what_flowjax_does_not_train_is_not_trained():
    affine = BIJECTIONS["affine"]()
    some = eqx.tree_at(lambda b: b.loc, affine, non_trainable(affine.loc))
    for bijection, expected in ((affine, 2), (some, 1), (non_trainable(affine), 0)):
        layer = FromFlowJAX(bijection)
        parameters = eqx.filter(layer, trainable(layer))
        assert len(jax.tree.leaves(parameters)) == expected
        y, _ = layer.forward_and_log_det(jnp.ones(2))
        np.testing.assert_allclose(y, affine.transform(jnp.ones(2)))


def test_among_layers_of_flowvi():
    chain = Chain([FromFlowJAX(BIJECTIONS["coupling_conditional"]()), LocationScale(np.ones(2), np.ones(2))])
    alone = FromFlowJAX(BIJECTIONS["affine"]())
    assert chain.condition_dim == 3
    y, _ = chain.forward_and_log_det(jnp.zeros(2), CONDITION)
    np.testing.assert_allclose(chain.inverse_and_log_det(y, CONDITION)[0], np.zeros(2), atol=1e-5)
    # a condition meant for others is passed over
    np.testing.assert_array_equal(
        alone.forward_and_log_det(jnp.ones(2), CONDITION)[0], alone.forward_and_log_det(jnp.ones(2))[0]
    )


def test_equal_layers_stack():
    layers = [FromFlowJAX(flowjax.bijections.Affine(jnp.ones(2) * k, 2 * jnp.ones(2))) for k in range(3)]
    scanned, chained = Scan.stack(layers), Chain(layers)
    for got, expected in zip(
        scanned.forward_and_log_det(jnp.ones(2)), chained.forward_and_log_det(jnp.ones(2)), strict=True
    ):
        np.testing.assert_allclose(got, expected, rtol=1e-6)


@pytest.mark.parametrize(("invert", "gradient"), [(False, "path"), (True, "total")])
def test_a_flow_with_a_numerical_inverse_trains_in_single_precision(invert, gradient):
    theirs = flowjax.flows.block_neural_autoregressive_flow(
        KEY, base_dist=Normal(jnp.zeros(2)), invert=invert, nn_block_dim=4
    )
    flow = flows.Flow(flows.Normal(2), FromFlowJAX(theirs.bijection))
    objective = flowvi.objectives.reverse_kl(
        lambda z: -0.5 * jnp.sum((z - 1) ** 2), gradient=gradient, samples=16
    )
    trained = flowvi.train(flow, objective, key=0, steps=5)
    assert np.all(np.isfinite(trained.curve))
    assert trained.skipped == 0


def test_a_direction_that_flowjax_lacks_is_named():
    theirs = flowjax.flows.planar_flow(KEY, base_dist=Normal(jnp.zeros(2)), flow_layers=1)
    flow = flows.Flow(flows.Normal(2), FromFlowJAX(theirs.bijection))
    with pytest.raises(FlowError, match=r"no transform_and_log_det of this map.*invert="):
        flow.sample(0, (3,))


def test_saving_is_refused_by_name(tmp_path):
    flow = flows.Flow(flows.Normal(2), FromFlowJAX(BIJECTIONS["affine"]()))
    with pytest.raises(SaveError, match=r"bijection.marked is a flowjax.*Affine"):
        save_module(flow, tmp_path / "flow.npz")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FromFlowJAX(Transformed(Normal(jnp.zeros(2)), BIJECTIONS["affine"]())), "its `bijection`"),
        (lambda: FromFlowJAX(Identity((2,))), "Identity was given"),
        (
            lambda: FromFlowJAX(flowjax.bijections.EmbedCondition(BIJECTIONS["affine"](), jnp.sum, (2, 2))),
            r"condition of shape \(2, 2\)",
        ),
        (
            lambda: FromFlowJAX(BIJECTIONS["coupling_conditional"]()).forward_and_log_det(jnp.zeros(2)),
            r"needs a condition of shape \(3,\) but was given none",
        ),
    ],
)
def test_errors_say_what_is_wrong(make, message, as_users_run_it):
    with pytest.raises(FlowError, match=message):
        make()


def test_without_flowjax(monkeypatch):
    monkeypatch.setitem(sys.modules, "flowjax.bijections", None)
    with pytest.raises(DependencyError, match="pip install flowjax"):
        FromFlowJAX(Identity((2,)))
