"""Planar, radial and Sylvester maps: slopes as stated, each as a case of the other, extreme parameters."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowvi.bijections import Amortized, Nonlinearity, Permutation, Planar, Radial, Sylvester
from flowvi.bijections.nonlinearity import _NAMED, invertible_pair, named_nonlinearity
from flowvi.bijections.orthogonal import reflected
from flowvi.errors import FlowError, SaveError
from flowvi.serialise import load_module, save_module

DIM = 3
RNG = np.random.default_rng(0)


def dense_log_det(bijection, x):
    return jnp.linalg.slogdet(jax.jacfwd(lambda x: bijection.forward_and_log_det(x)[0])(x))[1]


def rescaled(layer, size, numbers):
    """The layer at random parameters of this size."""
    return jax.tree.map(lambda p: jnp.asarray(size * numbers.normal(size=p.shape)), layer)


@pytest.mark.parametrize("name", _NAMED)
def test_slopes_stay_within_their_bounds_and_reach_them(name):
    h = named_nonlinearity(name)
    with jax.enable_x64(True):
        a = jnp.linspace(-100, 100, 200_001)
        _, slope = h.value_and_slope(jnp.concatenate([a, jnp.array([-1e4, 1e4])]))
        assert np.all(slope >= h.lowest - 1e-12)
        assert np.all(slope <= h.steepest + 1e-12)
        # a bound that is not tight would take freedom away
        assert np.min(slope) - h.lowest < 2e-3
        assert h.steepest - np.max(slope) < 2e-3
        value = h.function(a)
        np.testing.assert_allclose(np.gradient(value, a)[1:-1], slope[1:-3], atol=1e-3)


@pytest.mark.parametrize("name", _NAMED)
def test_invertible_and_right_whatever_the_parameters(name):
    @jax.jit
    def evaluate(layer, x):
        y, log_det = jax.vmap(layer.forward_and_log_det)(x)
        dense = jax.vmap(lambda x: dense_log_det(layer, x))(x)
        return log_det, dense, *jax.vmap(layer.inverse_and_log_det)(y)

    with jax.enable_x64(True):
        for seed, size in enumerate((0.1, 1.0, 30.0) * 2):
            numbers = np.random.default_rng(seed)
            layer = rescaled(Planar(DIM, key=seed, nonlinearity=name), size, numbers)
            x = numbers.normal(size=(16, DIM))
            log_det, dense, back, log_det_back = evaluate(layer, jnp.asarray(x))
            np.testing.assert_allclose(log_det, dense, atol=1e-8)
            # the slope is at least 0.001, so that a rounding grows by 1000 at most
            np.testing.assert_allclose(back, x, atol=1e-12 * (1 + size) ** 2 * 1000)
            np.testing.assert_allclose(log_det_back, -log_det, atol=1e-6)


@pytest.mark.parametrize("name", ["sigmoid", "silu"])
@pytest.mark.parametrize("x64", [True, False])
def test_invertible_pairs(name, x64):
    h = named_nonlinearity(name)
    sizes = np.repeat([1e-30, 1e-3, 1.0, 1e4], 25)[:, None]
    with jax.enable_x64(x64):
        u, w = (
            jnp.asarray(1e3 * RNG.normal(size=(100, DIM))),
            jnp.asarray(sizes * RNG.normal(size=(100, DIM))),
        )
        moved, product = jax.jit(jax.vmap(lambda u, w: invertible_pair(u, w, h)))(u, w)
        eps = float(jnp.finfo(u.dtype).eps)
    u, w, moved, product = (np.asarray(a, np.float64) for a in (u, w, moved, product))
    for bound in (h.lowest, h.steepest):
        assert np.all(1 + product * bound > 9e-4)
    scale = np.sum(np.abs(u * w) + np.abs(moved * w), axis=-1)
    assert np.all(np.abs(np.sum(moved * w, axis=-1) - product) <= 16 * eps * scale)
    # moved along w alone
    across = np.linalg.norm(np.cross(moved - u, w / np.linalg.norm(w, axis=-1, keepdims=True)), axis=-1)
    assert np.all(across <= 16 * eps * np.linalg.norm(u, axis=-1))
    # and only where it has to
    harmless = (np.sum(u * w, axis=-1) > 0) & (h.lowest == 0)
    np.testing.assert_array_equal(moved[harmless], u[harmless])


@pytest.mark.parametrize("x64", [True, False])
def test_no_direction_is_safe(x64):
    with jax.enable_x64(x64):
        zero = eqx.tree_at(lambda p: p.w, Planar(DIM, key=0), jnp.zeros(DIM))
        x = jnp.ones(DIM)

        def loss(layer):
            y, log_det = layer.forward_and_log_det(x)
            back, log_det_back = layer.inverse_and_log_det(x)
            return jnp.sum(y) + log_det + jnp.sum(back**2) + log_det_back

        gradient = jax.jit(jax.grad(loss))(zero)
        assert all(np.all(np.isfinite(g)) for g in jax.tree.leaves(gradient))
        # so that training leaves the place
        assert np.all(np.asarray(gradient.w) != 0)
        shift, log_det = zero.forward_and_log_det(x)
        np.testing.assert_allclose(shift - x, zero.u * jnp.tanh(zero.b), atol=1e-6)
        assert log_det == 0


@pytest.mark.parametrize(
    "layer", [lambda: Planar(DIM, key=0), lambda: Radial(DIM, key=0)], ids=["planar", "radial"]
)
def test_far_out(layer):
    @jax.jit
    def there_and_back(layer, x):
        return jax.vmap(lambda x: layer.inverse_and_log_det(layer.forward_and_log_det(x)[0])[0])(x)

    with jax.enable_x64(True):
        numbers = np.random.default_rng(1)
        layer = rescaled(layer(), 3.0, numbers)
        for distance in (1e4, 1e8):
            x = distance * numbers.normal(size=(16, DIM))
            np.testing.assert_allclose(there_and_back(layer, jnp.asarray(x)), x, atol=1e-12 * distance)


def test_radial_at_its_centre():
    for x64 in (True, False):
        with jax.enable_x64(x64):
            layer = eqx.tree_at(lambda r: r.relative_beta, Radial(DIM, key=0), jnp.asarray(-30.0))
            centre = layer.centre
            for method in (layer.forward_and_log_det, layer.inverse_and_log_det):
                moved, log_det = method(centre)
                np.testing.assert_array_equal(moved, centre)
                gradient = jax.grad(lambda x, f=method: jnp.sum(f(x)[0]) + f(x)[1])(centre)
                assert np.all(np.isfinite([*gradient, log_det]))
            # y - c = (1 + beta / alpha) (x - c) there, with beta / alpha at its bound
            assert layer.forward_and_log_det(centre)[1] == pytest.approx(DIM * np.log(1e-3), rel=1e-3)


@pytest.mark.parametrize("x64", [True, False])
@pytest.mark.parametrize("ratio", [1e2, 1e4, 1e6])
def test_a_radial_map_that_pushes_hard_keeps_its_digits(ratio, x64):
    with jax.enable_x64(x64):
        layer = eqx.tree_at(lambda r: r.relative_beta, Radial(DIM, key=0), jnp.asarray(ratio))
        x = jnp.asarray(np.logspace(-3, 3, 32)[:, None] * np.random.default_rng(0).normal(size=(32, DIM)))

        @jax.jit
        @jax.vmap
        def both(x):
            y, log_det = layer.forward_and_log_det(x)
            return *layer.inverse_and_log_det(y), log_det

        back, log_det_back, log_det = (np.asarray(a, np.float64) for a in both(x))
        eps = float(jnp.finfo(x.dtype).eps)
        x, centre = np.asarray(x, np.float64), np.asarray(layer.centre, np.float64)
    # a rounding of y grows by (y / r) / (dy / dr), which is sqrt(beta / alpha) / 2 at most; alpha is 1
    r = np.linalg.norm(x - centre, axis=1)
    growth = 1 + (1 + ratio / (1 + r)) / (1 + ratio / (1 + r) ** 2)
    size = np.linalg.norm(x, axis=1) + np.linalg.norm(centre)
    assert np.all(np.linalg.norm(back - x, axis=1) <= 8 * eps * growth * size)
    np.testing.assert_allclose(log_det_back, -log_det, atol=32 * eps * growth.max())


def test_sylvester_of_rank_one_is_planar():
    with jax.enable_x64(True):
        sylvester = Sylvester(DIM, 1, key=3)
        sylvester = eqx.tree_at(lambda s: s.r_diagonal, sylvester, jnp.array([-4.0]))
        direction = reflected(sylvester.vectors, jnp.eye(DIM)[:, :1])[:, 0]
        planar = eqx.tree_at(
            lambda p: (p.u, p.w, p.b),
            Planar(DIM, key=0),
            (sylvester.r_diagonal * direction, sylvester.s_diagonal * direction, sylvester.b[0]),
        )
        x = jnp.asarray(RNG.normal(size=(16, DIM)))
        for method in ("forward_and_log_det", "inverse_and_log_det"):
            y, log_det = jax.jit(jax.vmap(getattr(sylvester, method)))(x)
            y_planar, log_det_planar = jax.jit(jax.vmap(getattr(planar, method)))(x)
            np.testing.assert_allclose(y, y_planar, atol=1e-12)
            np.testing.assert_allclose(log_det, log_det_planar, atol=1e-12)
            assert np.all(log_det != 0)


def test_sylvester_is_its_formula():
    with jax.enable_x64(True):
        layer = Sylvester(5, 3, key=0, nonlinearity="softplus")
        q = np.asarray(reflected(layer.vectors, jnp.eye(5))[:, :3])
        np.testing.assert_allclose(q.T @ q, np.eye(3), atol=1e-14)
        r, s = np.diag(np.asarray(layer.r_diagonal)), np.diag(np.asarray(layer.s_diagonal))
        # row by row above the diagonal of the transpose
        r.T[np.tril_indices(3, -1)], s.T[np.tril_indices(3, -1)] = layer.r_above, layer.s_above
        # so near to the identity that the diagonal is what it is only where r_ii s_ii is positive
        layer = eqx.tree_at(lambda m: m.r_diagonal, layer, jnp.abs(layer.r_diagonal) * np.sign(s.diagonal()))
        np.fill_diagonal(r, layer.r_diagonal)
        x = RNG.normal(size=5)
        expected = x + q @ r @ np.log1p(np.exp(s @ q.T @ x + layer.b))
        np.testing.assert_allclose(layer.forward_and_log_det(jnp.asarray(x))[0], expected, rtol=1e-12)


def test_a_nonlinearity_of_ones_own():
    # a bump, whose slope has both signs: sqrt(2 / e) at most
    bump = Nonlinearity(lambda a: jnp.exp(-(a**2)), -0.8578, 0.8578)
    with jax.enable_x64(True):
        layer = jax.tree.map(lambda p: 5 * p, Planar(DIM, key=0, nonlinearity=bump))
        x = jnp.asarray(RNG.normal(size=(16, DIM)))
        y, log_det = jax.jit(jax.vmap(layer.forward_and_log_det))(x)
        np.testing.assert_allclose(jax.jit(jax.vmap(layer.inverse_and_log_det))(y)[0], x, atol=1e-9)
        np.testing.assert_allclose(log_det, jax.vmap(lambda x: dense_log_det(layer, x))(x), atol=1e-12)


def test_saved_by_name(tmp_path):
    for name in _NAMED:
        save_module(Planar(2, key=0, nonlinearity=name), tmp_path / "layer.npz")
        assert load_module(tmp_path / "layer.npz").h == named_nonlinearity(name)
    own = Planar(2, key=0, nonlinearity=Nonlinearity(lambda a: a / 2, 0.5, 0.5))
    with pytest.raises(SaveError, match=r"h\.function"):
        save_module(own, tmp_path / "layer.npz")


def test_amortized_adds_to_every_number():
    with jax.enable_x64(True):
        layer = Amortized(Planar(2, key=0), 3, key=1, width=4)
        layer = jax.tree.map(lambda p: p + 0.1 * RNG.normal(size=p.shape), layer)
        condition, x = jnp.array([1.0, -2.0, 0.5]), jnp.array([0.3, -0.7])
        added = layer.network(condition)
        own = layer.bijection
        by_hand = eqx.tree_at(
            lambda p: (p.u, p.w, p.b), own, (own.u + added[:2], own.w + added[2:4], own.b + added[4])
        )
        for got, expected in zip(
            layer.forward_and_log_det(x, condition), by_hand.forward_and_log_det(x), strict=True
        ):
            np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Planar(2, key=0, nonlinearity="relu"), "'relu'"),
        (lambda: Nonlinearity(jnp.tanh, 1.0, 0.0), "slopes from 1.0 to 0.0"),
        (lambda: Nonlinearity(jnp.exp, 0.0, np.inf), "finite bounds"),
        (lambda: Sylvester(2, 3, key=0), "rank=3"),
        (lambda: Sylvester(2, 0, key=0), "rank=0"),
        (lambda: Sylvester(2, 1, key=0, reflections=-1), "reflections=-1"),
        (lambda: Amortized(Amortized(Planar(2, key=0), 1, key=0), 1, key=0), "length 1 itself"),
        (lambda: Amortized(Permutation(np.array([1, 0])), 1, key=0), "nothing that is trained"),
        (
            lambda: Amortized(Planar(2, key=0), 1, key=0).forward_and_log_det(jnp.zeros(2)),
            r"condition of shape \(1,\)",
        ),
    ],
)
def test_errors_name_what_is_wrong(call, message, as_users_run_it):
    with pytest.raises(FlowError, match=message):
        call()
