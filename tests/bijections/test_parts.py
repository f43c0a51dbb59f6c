"""What the table does not see: masks, clamps, tails, and the errors of maps put together wrongly."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowvi.bijections import (
    MLP,
    AdditiveTransformer,
    Chain,
    Constant,
    Coupling,
    Identity,
    LocationScale,
    LowRankAffine,
    MaskedMLP,
    Permutation,
    RationalQuadraticSpline,
    Scan,
    TriangularAffine,
    support,
    trainable,
)
from flowvi.errors import FlowError
from table import AFFINE, affine, coupling

KEY = jax.random.key(0)


def ones_like_floats(tree):
    return jax.tree.map(lambda a: jnp.asarray(np.ones_like(a)) if eqx.is_inexact_array(a) else a, tree)


def test_coupling_moves_the_first_coordinates_alone():
    layer = ones_like_floats(coupling(0, 5))
    x = jnp.linspace(-2.0, 2.0, 5)
    y, _ = layer.forward_and_log_det(x)
    np.testing.assert_array_equal(np.asarray(y == x), [False, False, False, True, True])


@pytest.mark.parametrize("condition_dim", [None, 2])
def test_masked_network_sees_only_what_comes_before(condition_dim):
    network = ones_like_floats(MaskedMLP(4, 2, key=KEY, condition_dim=condition_dim, width=7))
    sees = np.asarray(jax.jacobian(network)(jnp.ones(4 + (condition_dim or 0)))) != 0
    np.testing.assert_array_equal(sees[:, :4], np.tile(np.tril(np.ones((4, 4), bool), -1), (2, 1)))
    assert np.all(sees[:, 4:])


def test_log_scales_are_clamped_however_large_the_parameter():
    log_scale = AFFINE.forward_and_log_det(jnp.zeros(2), jnp.array([[0.0, 0.0], [1e6, -1e6]]))[1]
    np.testing.assert_allclose(log_scale, [2.0, -2.0])
    extreme = eqx.tree_at(
        lambda b: b.log_scale, LocationScale(jnp.zeros(2), jnp.ones(2)), jnp.array([1e30, -1e30])
    )
    y, log_det = extreme.forward_and_log_det(jnp.ones(2))
    assert np.all(y > 0)
    assert np.all(np.isfinite([*y, log_det]))


def test_spline_is_the_identity_outside_its_box():
    spline = RationalQuadraticSpline(bins=4, bound=2.0)
    x = jnp.array([-1e4, -2.0, 2.0, 3.0])
    y, log_det = spline.forward_and_log_det(x, jnp.linspace(-3.0, 3.0, 44).reshape(11, 4))
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(log_det, 0)


def test_spline_is_smooth_across_its_knots():
    spline = RationalQuadraticSpline(bins=4, bound=2.0)
    with jax.enable_x64(True):
        parameters = jnp.tile(jnp.linspace(-1.0, 1.5, 11)[:, None], (1, 4001))
        _, log_det = spline.forward_and_log_det(jnp.linspace(-2.5, 2.5, 4001), parameters)
    assert np.max(np.abs(np.diff(log_det))) < 0.05
    assert np.ptp(np.asarray(log_det)) > 0.5


def test_spline_comes_back_in_single_precision_from_extreme_parameters():
    rng = np.random.default_rng(0)
    spline = RationalQuadraticSpline(bins=8, bound=5.0)
    parameters = jnp.asarray(5 * rng.normal(size=(23, 5000)), jnp.float32)
    x = jnp.asarray(rng.uniform(-5, 5, 5000), jnp.float32)
    y, log_det = spline.forward_and_log_det(x, parameters)
    back, _ = spline.inverse_and_log_det(y, parameters)
    assert np.all(np.abs(back - x) < 1e-5 * (1 + np.exp(-log_det)))


def test_low_rank_map_has_the_covariance_asked_for():
    rng = np.random.default_rng(0)
    variance, factor = np.exp(rng.normal(size=4)), rng.normal(size=(4, 2))
    with jax.enable_x64(True):
        bijection = LowRankAffine.from_covariance(jnp.zeros(4), jnp.asarray(variance), jnp.asarray(factor))
        matrix = jax.jacobian(lambda x: bijection.forward_and_log_det(x)[0])(jnp.zeros(4))
        np.testing.assert_allclose(matrix @ matrix.T, np.diag(variance) + factor @ factor.T, rtol=1e-12)


def test_triangular_map_is_the_matrix_given():
    matrix = np.array([[2.0, 0, 0], [1.0, 0.5, 0], [-3.0, 1.0, 4.0]])
    with jax.enable_x64(True):
        y, _ = TriangularAffine(jnp.ones(3), jnp.asarray(matrix)).forward_and_log_det(
            jnp.array([1.0, 2.0, 3.0])
        )
        np.testing.assert_allclose(y, 1 + matrix @ [1.0, 2.0, 3.0], rtol=1e-14)


def test_scan_applies_layers_in_the_order_of_a_chain():
    layers = [affine(seed, 3) for seed in range(3)]
    x = jnp.array([0.3, -1.0, 2.0])
    scanned, chained = Scan.stack(layers).forward_and_log_det(x), Chain(layers).forward_and_log_det(x)
    np.testing.assert_allclose(scanned[0], chained[0], rtol=1e-5)
    np.testing.assert_allclose(scanned[1], chained[1], atol=1e-6)


def test_scan_keeps_what_is_no_array():
    layer = Coupling(2, 1, jnp.sin, AdditiveTransformer())
    layers = [Chain([layer, affine(seed, 2)]) for seed in range(3)]
    y, expected = (b.forward_and_log_det(jnp.ones(2))[0] for b in (Scan.stack(layers), Chain(layers)))
    np.testing.assert_allclose(y, expected, rtol=1e-5)


def test_trainable_leaves_out_constants_masks_and_permutations():
    tree = {"a": Constant(jnp.ones(2)), "b": jnp.ones(2), "c": jnp.arange(2), "d": jnp.array([True])}
    assert jax.tree.leaves(trainable(tree)) == [False, True, False, False]


def mlp(out_size):
    return MLP(2, out_size, key=KEY, width=4)


BAD = {
    "no_bijections": (lambda: Chain([]), "no bijections"),
    "neighbours": (
        lambda: Chain([Identity((2,)), Identity((3,))]),
        r"gives shape \(2,\) but bijection 1 takes",
    ),
    "conditions": (
        lambda: Chain([coupling(0, 2, condition_dim=1), coupling(0, 2, condition_dim=3)]),
        r"lengths \[1, 3\]",
    ),
    "scan_changes_shape": (lambda: Scan(support("simplex", (3,))), "keep the shape"),
    "stack_nothing": (lambda: Scan.stack([]), "no layers"),
    "stack_unequal": (lambda: Scan.stack([Identity((2,)), Identity((3,))]), "layer 1 differs"),
    "stack_functions": (
        lambda: Scan.stack([Coupling(2, 1, f, AdditiveTransformer()) for f in (jnp.sin, jnp.cos)]),
        "layer 1 differs",
    ),
    "not_a_permutation": (lambda: Permutation(jnp.array([0, 0])), "does not hold each of"),
    "negative_scale": (lambda: LocationScale(jnp.zeros(2), jnp.array([1.0, -1.0])), "A scale of -1.0"),
    "lengths": (lambda: LocationScale(jnp.zeros(2), jnp.ones(3)), "same length"),
    "triangle_shape": (lambda: TriangularAffine(jnp.zeros(2), jnp.eye(3)), "square matrix of that size"),
    "factor_shape": (lambda: LowRankAffine(jnp.zeros(2), jnp.ones(2), jnp.ones((3, 1))), r"\(dim, rank\)"),
    "conditioner_size": (
        lambda: Coupling(4, 2, mlp(3), AFFINE).forward_and_log_det(jnp.zeros(4)),
        "Build the conditioner with 4 outputs",
    ),
    "no_condition": (
        lambda: coupling(0, 2, condition_dim=3).forward_and_log_det(jnp.zeros(2)),
        r"needs a condition of shape \(3,\) but was given none",
    ),
    "moves_nothing": (lambda: Coupling(2, 0, mlp(3), AFFINE), "Move at least one"),
    "moves_too_many": (lambda: Coupling(2, 3, mlp(3), AFFINE), "moved=3 of dim=2"),
    "no_bins": (lambda: RationalQuadraticSpline(bins=0), "at least one bin"),
}


@pytest.mark.parametrize("name", list(BAD))
def test_errors_say_what_is_wrong(name):
    make, message = BAD[name]
    with pytest.raises(FlowError, match=message):
        make()
