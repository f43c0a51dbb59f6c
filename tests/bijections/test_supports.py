"""Supports against NumPyro's, their traced bounds, and their errors."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.distributions import biject_to, constraints

from flowvi.bijections import Identity, LowerBounded, SupportTree, UpperBounded, support, trainable
from flowvi.errors import SupportError

PEERS = {
    "positive": ("positive", (2, 3), constraints.positive),
    "unit_interval": ("unit_interval", (3,), constraints.unit_interval),
    "lower": (("interval", 2.0, None), (3,), constraints.greater_than(2.0)),
    "upper": (("interval", None, 2.0), (3,), constraints.less_than(2.0)),
    "interval": (("interval", -1.0, 4.0), (3,), constraints.interval(-1.0, 4.0)),
    "simplex": ("simplex", (2, 4), constraints.simplex),
    "ordered": ("ordered", (2, 3), constraints.ordered_vector),
    "cholesky_corr": ("cholesky_corr", (2, 4, 4), constraints.corr_cholesky),
    "cholesky_cov": ("cholesky_cov", (2, 3, 3), constraints.lower_cholesky),
}


@pytest.mark.parametrize("name", list(PEERS))
def test_agrees_with_numpyro(name):
    spec, shape, constraint = PEERS[name]
    with jax.enable_x64(True):
        ours, theirs = support(spec, shape), biject_to(constraint)
        x = jnp.asarray(np.random.default_rng(0).normal(size=ours.shape))
        y, log_det = ours.forward_and_log_det(x)
        expected = theirs(x)
        np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-14)
        expected_log_det = jnp.sum(theirs.log_abs_det_jacobian(x, expected))
        np.testing.assert_allclose(log_det, expected_log_det, rtol=1e-12)


def test_positive_ordered_is_stans():
    y, log_det = support("positive_ordered", (3,)).forward_and_log_det(jnp.array([0.5, -1.0, 2.0]))
    np.testing.assert_allclose(y, np.cumsum(np.exp([0.5, -1.0, 2.0])), rtol=1e-6)
    np.testing.assert_allclose(log_det, 1.5, rtol=1e-6)


@pytest.mark.parametrize(
    "spec", ["positive", "unit_interval", ("interval", 1.0, None), ("interval", 1.0, 2.0)]
)
def test_values_stay_inside_in_single_precision(spec):
    x = jnp.array([-1e4, -200.0, -30.0, 30.0, 80.0])
    bijection = support(spec, x.shape)
    back, _ = bijection.inverse_and_log_det(bijection.forward_and_log_det(x)[0])
    assert np.all(np.isfinite(back))


def test_bounds_may_be_other_parameters():
    def upper_half(low):
        return jnp.sum(support(("interval", low, 3.0), (2,)).forward_and_log_det(jnp.zeros(2))[0])

    # y = (low + 3) / 2, twice
    np.testing.assert_allclose(jax.jit(jax.grad(upper_half))(1.0), 1.0)


def test_bounds_are_not_trained():
    assert not any(jax.tree.leaves(trainable(support(("interval", 0.0, jnp.ones(2)), (2,)))))


def test_open_sides():
    assert isinstance(support(("interval", None, np.inf), (2,)), Identity)
    assert isinstance(support(("interval", 0, None), (2,)), LowerBounded)
    assert isinstance(support(("interval", -np.inf, 0), (2,)), UpperBounded)


BAD = {
    "unknown": ("weird", (3,), "'weird' is not a support. Use one of 'real'"),
    "not_a_name": (3, (3,), "3 is not a support"),
    "simplex_of_a_number": ("simplex", (), "no last axis"),
    "ordered_number": ("ordered", (), "no last axis"),
    "positive_ordered_number": ("positive_ordered", (), "no last axis"),
    "corr_not_square": ("cholesky_corr", (2, 3), "not a square matrix"),
    "cov_of_a_vector": ("cholesky_cov", (3,), "not a square matrix"),
    "bounds_swapped": (("interval", 2.0, 1.0), (3,), "not below the upper bound"),
    "bound_does_not_fit": (("interval", jnp.zeros(2), 1.0), (3,), "does not fit a parameter of shape"),
    "bound_is_nan": (("interval", jnp.nan, None), (3,), "not finite"),
    "sides_mixed": (("interval", jnp.array([0.0, -jnp.inf]), None), (2,), "not finite"),
}


@pytest.mark.parametrize("name", list(BAD))
def test_bad_supports_say_what_is_wrong(name):
    spec, shape, message = BAD[name]
    with pytest.raises(SupportError, match=message):
        support(spec, shape)


def test_bad_trees_name_the_parameter():
    tree = SupportTree({"a": support("real", (2,)), "b": support("positive", ())})
    with pytest.raises(SupportError, match=r"\['a'\] has shape \(3,\)"):
        tree.inverse_and_log_det({"a": jnp.zeros(3), "b": jnp.ones(())})
    with pytest.raises(SupportError, match="structure"):
        tree.inverse_and_log_det({"a": jnp.zeros(2)})


def test_trees_of_values_have_the_structure_of_the_supports():
    tree = SupportTree(
        {"p": support("simplex", (3,)), "more": [support("positive", ()), support("real", (2,))]}
    )
    y, _ = tree.forward_and_log_det(jnp.zeros(tree.dim))
    assert jax.tree.map(jnp.shape, y, is_leaf=eqx.is_array) == {"p": (3,), "more": [(), (2,)]}
