"""The batched map is `vmap`, whatever the size of its chunks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowvi.inference import memory
from flowvi.inference.memory import batch_map

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
