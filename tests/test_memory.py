"""The batched map is `vmap`, whatever the size of its chunks."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from flowvi import memory
from flowvi.memory import batch_map
from flowvi.targets import numpyro as numpyro_front_end
from flowvi.targets.numpyro import NumpyroTarget

DATA = jnp.linspace(0.0, 1.0, 1000)


def function(x):
    """A loop, a tree of results, and data that are closed over."""
    total = jax.lax.fori_loop(0, 3, lambda _, c: jnp.sin(c) + x[0], x[1])
    return {"value": jnp.sum((DATA - x[0]) ** 2) + total, "gradient": jax.grad(lambda x: jnp.sum(x**3))(x)}


@pytest.mark.parametrize("limit", [1, 30_000, 2**30])
@pytest.mark.parametrize("n", [1, 7, 32])
def test_equals_vmap(monkeypatch, limit, n):
    monkeypatch.setattr(memory, "LIMIT", limit)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(n, 2)))
    found, expected = batch_map(function, x), jax.vmap(function)(x)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), found, expected)


def test_a_tree_of_arrays_with_keys(monkeypatch):
    monkeypatch.setattr(memory, "LIMIT", 1)
    tree = {"key": jax.random.split(jax.random.key(0), 5), "x": jnp.arange(5.0)}

    def noisy(one):
        return one["x"] + jax.random.normal(one["key"])

    np.testing.assert_allclose(batch_map(noisy, tree), jax.vmap(noisy)(tree), rtol=1e-6)


def largest(jaxpr):
    """Entries of the largest array computed anywhere in a program."""
    sizes = [1]
    for equation in jaxpr.eqns:
        sizes += [v.aval.size for v in equation.outvars if hasattr(v.aval, "size")]
        for value in jax.tree.leaves(
            equation.params, is_leaf=lambda leaf: hasattr(leaf, "eqns") or hasattr(leaf, "jaxpr")
        ):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                sizes.append(largest(inner))
    return max(sizes)


def test_points_are_taken_a_few_at_a_time_where_all_would_take_too_much(monkeypatch):
    x = jnp.zeros((64, 2))
    assert largest(jax.make_jaxpr(lambda x: batch_map(function, x))(x).jaxpr) == 64 * len(DATA)
    # intermediate arrays of one point: at least (DATA - x) and its square, of 4 bytes an entry
    monkeypatch.setattr(memory, "LIMIT", 4 * 2 * 4 * len(DATA))
    assert largest(jax.make_jaxpr(lambda x: batch_map(function, x))(x).jaxpr) <= 4 * len(DATA)


def wide(x):
    b = numpyro.sample("b", dist.Normal(0, 1))
    numpyro.deterministic("total", jnp.sum(jnp.sin(b * x)))


def wide_enumerated(x):
    wide(x)
    numpyro.sample("k", dist.Bernoulli(0.3), infer={"enumerate": "parallel"})


def numpyro_constrain(z):
    target = NumpyroTarget.build(wide, (np.array(DATA),))
    return numpyro_front_end._constrain(target, z)


def numpyro_constrain_and_draw(z):
    target = NumpyroTarget.build(wide_enumerated, (np.array(DATA),))
    assert target.enumeration
    keys = jax.random.split(jax.random.key(0), len(z))
    return numpyro_front_end._constrain_and_draw(target, target.enumeration, z, keys)


def pytensor_map_rows(z):
    pm = pytest.importorskip("pymc")
    from flowvi.targets import _pytensor

    with pm.Model() as model:
        b = pm.Normal("b", 0, 1)
        total = pm.math.sum(pm.math.sin(b * np.array(DATA, float)))
    return _pytensor._map_rows(*_pytensor.to_jax(model.free_RVs, [()], [total], {}), [z[:, 0]])


@pytest.mark.parametrize("constrain", [numpyro_constrain, numpyro_constrain_and_draw, pytensor_map_rows])
def test_draws_are_constrained_a_few_at_a_time_where_all_would_take_too_much(monkeypatch, constrain):
    # intermediate arrays of one draw: at least b x and its sine, of 8 bytes an entry
    monkeypatch.setattr(memory, "LIMIT", 4 * 2 * 8 * len(DATA))
    with jax.enable_x64(True):
        program = jax.make_jaxpr(constrain)(jnp.zeros((64, 1)))
    assert largest(program.jaxpr) <= 4 * len(DATA)
