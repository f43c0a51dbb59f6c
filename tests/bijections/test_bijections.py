"""Every bijection of the table against its own mathematics."""

import functools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flowvi
from flowvi.bijections import (
    Bijection,
    CholeskyCorr,
    CholeskyCov,
    HasEstimatedLogDet,
    Simplex,
    SupportTree,
    trainable,
)
from flowvi.serialise import load_module, save_module
from table import (
    ANGLES,
    CONDITION_DIM,
    FLOWS,
    IDENTITY_AT_START,
    NOT_SAVED,
    NUMERICAL,
    ORDER_MATTERS,
    SEVERAL_AT_ONE,
    SINGLE_WITHIN,
    SUPPORTS,
)

TABLE = FLOWS | SUPPORTS
DOUBLE, SINGLE = True, False
CASES = [(name, dim, precision) for name in TABLE for dim, precision in ((1, SINGLE), (2, DOUBLE))]
# most of the time of these tests is spent compiling
CASES += [(name, dim, precision) for name in ORDER_MATTERS for dim, precision in ((2, SINGLE), (5, DOUBLE))]
OTHERS = [(name, dim, precision) for name in TABLE for dim, precision in ((1, DOUBLE), (2, SINGLE))]
OTHERS = [case for case in OTHERS if case not in CASES]
"""The other precision of each: slow."""
NEAR = 5
"""How many of the points are drawn from a normal; the next are far."""
FAR = 3
NODES = np.linspace(-9, 9, 301)
"""The last points, where there is one coordinate: to integrate over."""
ROUND_TRIP = {DOUBLE: 1e-12, SINGLE: 1e-4}
"""Allowed error of x, times the local condition number, and of y."""
BY_SOLVER = {DOUBLE: 1e-8, SINGLE: 1e-4}
ROUNDED = {DOUBLE: 1e-6, SINGLE: 1e-4}
"""The same where an inverse is found by a solver."""
LOG_DET = {DOUBLE: 1e-9, SINGLE: 1e-3}


def forward(bijection, x, condition):
    if isinstance(bijection, SupportTree):
        return bijection.forward_and_log_det(x)
    return bijection.forward_and_log_det(x, condition)


def inverse(bijection, y, condition):
    if isinstance(bijection, SupportTree):
        return bijection.inverse_and_log_det(y)
    return bijection.inverse_and_log_det(y, condition)


def free_coordinates(bijection, y):
    """The entries of y that the log-det is about, as a vector."""
    match bijection:
        case SupportTree():
            parts = jax.tree.map(
                free_coordinates, bijection.supports, y, is_leaf=lambda b: hasattr(b, "shape")
            )
            return jnp.concatenate(jax.tree.leaves(parts))
        case Simplex():
            return y[..., :-1].ravel()
        case CholeskyCorr():
            return y[..., *np.tril_indices(y.shape[-1], -1)].ravel()
        case CholeskyCov():
            return y[..., *np.tril_indices(y.shape[-1])].ravel()
    return y.ravel()


def evaluate(bijection, points):
    """All that is tested, in one compiled function: y, log-dets, the way back, the Jacobian, gradients."""
    arrays, rest = eqx.partition(bijection, eqx.is_array)
    leaves, structure = jax.tree.flatten(rest)
    return jax.tree.map(np.asarray, _evaluate(arrays, tuple(leaves), structure, points))


# most of the time of these tests is spent compiling
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


@functools.partial(jax.jit, static_argnames=("leaves", "structure"), compiler_options=QUICK)
def _evaluate(arrays, leaves, structure, points):
    bijection = eqx.combine(arrays, jax.tree.unflatten(structure, leaves))
    needs = getattr(bijection, "condition_dim", None)
    condition = None if needs is None else jnp.linspace(-1, 1, CONDITION_DIM, dtype=points.dtype)
    parameters, rest = eqx.partition(bijection, trainable(bijection))

    def at(x):
        def free(x):
            return free_coordinates(bijection, forward(bijection, x, condition)[0]), None

        def loss(parameters, x, y):
            bijection = eqx.combine(parameters, rest)
            y_of_x, log_det = forward(bijection, x, condition)
            x_of_y, log_det_back = inverse(bijection, y, condition)
            return jnp.sum(free_coordinates(bijection, y_of_x)) + log_det + jnp.sum(x_of_y) + 2 * log_det_back

        y, log_det = forward(bijection, x, condition)
        back, log_det_back = inverse(bijection, y, condition)
        again, _ = forward(bijection, back, condition)
        jacobian, _ = jax.jacfwd(free, has_aux=True)(x)
        gradients = jax.grad(loss, argnums=(0, 1, 2))(parameters, x, y)
        finite = jnp.all(jnp.array([jnp.all(jnp.isfinite(g)) for g in jax.tree.leaves(gradients)]))
        return {
            "y": y,
            "log_det": log_det,
            "back": back,
            "log_det_back": log_det_back,
            "jacobian": jacobian.reshape(x.size, x.size),
            "finite": finite,
            "free": free_coordinates(bijection, y),
            "free_again": free_coordinates(bijection, again),
        }

    return jax.vmap(at)(points)


@functools.cache
def build(name, dim, precision):
    with jax.enable_x64(precision):
        return TABLE[name](0, dim)


def perturbed(bijection, scale=0.3):
    """The bijection at random values of its parameters."""
    rng = np.random.default_rng(1)

    def step(leaf):
        return jnp.asarray(np.asarray(leaf) + scale * rng.normal(size=leaf.shape).astype(leaf.dtype))

    parameters, rest = eqx.partition(bijection, trainable(bijection))
    return eqx.combine(jax.tree.map(step, parameters), rest)


def points_of(name, bijection):
    shape = (bijection.dim,) if isinstance(bijection, SupportTree) else bijection.shape
    near = np.random.default_rng(2).normal(size=(NEAR, *shape))
    far = np.stack([np.ones(shape), -np.ones(shape), np.sign(near[0])]) * (1e4 if name in FLOWS else 30.0)
    nodes = NODES.reshape(-1, *shape) if math.prod(shape) == 1 else near[:0]
    return jnp.asarray(np.concatenate([near, far, nodes]))


@functools.cache
def results(name, dim, precision):
    with jax.enable_x64(precision):
        bijection = perturbed(build(name, dim, precision))
        points = points_of(name, bijection)
        return bijection, points, evaluate(bijection, points)


HEAVY = ["sylvester_conditional", "sylvester_householder", "radial_conditional", "location_scale_conditional"]
HEAVY += ["residual_conditional", "block_autoregressive_conditional", "coupling_circular_conditional"]
HEAVY += ["continuous_conditional", "iaf_conditional", "scan_conditional", "glow"]
"""Those that differ from others of the table by a condition alone, or little more: slow."""


def cases(*columns):
    """Parameters, of which heavy ones are slow."""
    return [pytest.param(*c, marks=pytest.mark.slow if c[0] in HEAVY else ()) for c in columns]


every = pytest.mark.parametrize(
    ("name", "dim", "precision"),
    cases(*CASES) + [pytest.param(*case, marks=pytest.mark.slow) for case in OTHERS],
)


def differences(name, a, b):
    """|a - b|, of angles around the circle."""
    difference = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    return np.abs(np.remainder(difference + np.pi, 2 * np.pi) - np.pi if name in ANGLES else difference)


def round_trip_error(name, precision):
    tolerance = BY_SOLVER if name in NUMERICAL else ROUNDED if name in SINGLE_WITHIN else ROUND_TRIP
    return tolerance[precision]


def condition_numbers(points, r):
    """1 + |x| + |J^-1| |y|: by how much an error of one rounding may grow on the way back."""
    flat = [np.abs(np.reshape(a, (len(points), -1))).max(-1) for a in jax.tree.leaves(r["y"])]
    with np.errstate(all="ignore"):
        growth = []
        for j in r["jacobian"].astype(np.float64):
            singular = not np.all(np.isfinite(j)) or np.linalg.matrix_rank(j, tol=0) < len(j)
            growth.append(np.inf if singular else np.abs(np.linalg.inv(j)).sum(-1).max())
    size = np.abs(np.asarray(points)).reshape(len(points), -1).max(-1)
    return 1 + size + np.array(growth) * (1 + np.max(flat, axis=0))


@every
def test_round_trip_near_and_far(name, dim, precision):
    _, points, r = results(name, dim, precision)
    condition = condition_numbers(points, r)
    error = differences(name, r["back"], points).reshape(len(points), -1).max(-1)
    assert np.all(condition[:NEAR] < 1e5)
    assert np.all(error <= round_trip_error(name, precision) * condition), (error, condition)
    for array in jax.tree.leaves(r):
        assert np.all(np.isfinite(array))


@every
def test_round_trip_from_the_other_side(name, dim, precision):
    # far out, where tanh x is one, any x will do that has the same y
    _, points, r = results(name, dim, precision)
    y, again, jacobian = (r[key].astype(np.float64) for key in ("free", "free_again", "jacobian"))
    size = np.abs(np.asarray(points, np.float64)).reshape(len(points), 1, -1)
    allowed = 1 + np.abs(y).max(-1) + (np.abs(jacobian) * (1 + size)).sum(-1).max(-1)
    error = differences(name, again, y).max(-1)
    assert np.all(error <= round_trip_error(name, precision) * allowed), (error, allowed)


@every
def test_log_det_is_that_of_the_jacobian(name, dim, precision):
    _, _, r = results(name, dim, precision)
    expected = np.linalg.slogdet(r["jacobian"][:NEAR].astype(np.float64))[1]
    np.testing.assert_allclose(
        r["log_det"][:NEAR], expected, rtol=LOG_DET[precision], atol=LOG_DET[precision]
    )
    np.testing.assert_allclose(
        -r["log_det_back"][:NEAR], expected, rtol=LOG_DET[precision], atol=LOG_DET[precision]
    )


@every
def test_gradients_are_finite(name, dim, precision):
    _, _, r = results(name, dim, precision)
    assert np.all(r["finite"])


@every
def test_precision_and_shape_are_kept(name, dim, precision):
    bijection, points, r = results(name, dim, precision)
    dtype = np.float64 if precision == DOUBLE else np.float32
    for array in jax.tree.leaves((r["y"], r["log_det"], r["back"], r["log_det_back"])):
        assert array.dtype == dtype
    assert r["log_det"].shape == r["log_det_back"].shape == (len(points),)
    assert r["back"].shape == points.shape
    if not isinstance(bijection, SupportTree):
        assert r["y"].shape[1:] == bijection.out_shape


@pytest.mark.parametrize("name", cases(*((name,) for name in TABLE if name not in SEVERAL_AT_ONE + ANGLES)))
def test_mass_is_one_in_one_dimension(name):
    _, points, r = results(name, 1, SINGLE)
    assert points[0].size == 1
    back = r["back"].reshape(len(points), -1)[NEAR + FAR :, 0]
    density = np.exp(-0.5 * back**2 - 0.5 * np.log(2 * np.pi) + r["log_det_back"][NEAR + FAR :])
    # any nodes will do, and these, the images of an even grid, follow the mass
    mass = np.trapezoid(density, r["free"][NEAR + FAR :, 0])
    assert abs(abs(mass) - 1) < 1e-3


@pytest.mark.parametrize("name", cases(*((name,) for name in IDENTITY_AT_START)))
def test_identity_at_the_start(name):
    _, points, _ = results(name, 2, DOUBLE)
    with jax.enable_x64(DOUBLE):
        r = evaluate(build(name, 2, DOUBLE), points)
    np.testing.assert_allclose(r["y"], points, rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(r["log_det"], 0, atol=1e-14)


@pytest.mark.parametrize("name", cases(*((name,) for name in TABLE if name not in NOT_SAVED)))
def test_saved_and_loaded_unchanged(name, tmp_path):
    bijection, points, r = results(name, 2, DOUBLE)
    save_module(bijection, tmp_path / "bijection.npz")
    loaded = load_module(tmp_path / "bijection.npz")
    with jax.enable_x64(DOUBLE):
        again = evaluate(loaded, points)
    for before, after in zip(jax.tree.leaves(r), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(before, after)


def test_every_bijection_has_a_line():
    def kinds(kind):
        return {kind}.union(*(kinds(k) for k in kind.__subclasses__()))

    def parts(tree):
        for node in jax.tree.leaves(tree, is_leaf=lambda n: isinstance(n, Bijection) and n is not tree):
            if isinstance(node, Bijection):
                yield type(node)
                yield from parts(node)

    ours = {k for k in kinds(Bijection) if k.__module__.startswith(flowvi.__name__ + ".")}
    built = [build(name, 2, DOUBLE) for name in TABLE]
    seen = {type(b) for b in built}.union(*(parts(b) for b in built))
    names = {k.__name__ for k in ours - seen if not k.__name__.startswith("_")}
    assert names == {Bijection.__name__, HasEstimatedLogDet.__name__}
