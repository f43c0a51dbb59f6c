"""What puts the axis of a batch last changes no value and no derivative."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowvi.bijections import MLP
from flowvi.bijections.batch_last import batch_last, broadcast_like, rows, unstacked
from flowvi.bijections.partials_ahead import partials_ahead
from flowvi.bijections.silu import silu

RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.normal(size=(5, 6)), jnp.float32)
V = jnp.asarray(RNG.normal(size=(5, 3)), jnp.float32)

PAIRS = {
    "batch_last": (batch_last, lambda x: x),
    "rows": (lambda x: rows(x, 2), lambda x: x.reshape(2, 3)),
    "unstacked": (lambda x: unstacked(rows(x, 2))[1], lambda x: x.reshape(2, 3)[1]),
    "number": (lambda x: x * broadcast_like(2.0, x), lambda x: 2 * x),
    "sum": (lambda x: rows(x, 2) * broadcast_like(x[:3], rows(x, 2)), lambda x: x.reshape(2, 3) * x[:3]),
    "column": (
        lambda x: broadcast_like(rows(x[:2], 2), rows(x, 2)),
        lambda x: jnp.broadcast_to(x[:2].reshape(2, 1), (2, 3)),
    ),
    "outside": (lambda x: broadcast_like(V[0], rows(x, 2)) * rows(x, 2), lambda x: V[0] * x.reshape(2, 3)),
    "like_outside": (lambda x: broadcast_like(x[:3], jnp.zeros((2, 3))), lambda x: jnp.tile(x[:3], (2, 1))),
    "silu": (silu, jax.nn.silu),
    "partials_ahead": (
        lambda x: partials_ahead(_two, x[:3], x[3:])[0] + partials_ahead(_two, x[3:], x[:3])[1],
        lambda x: _two(x[:3], x[3:])[0] + _two(x[3:], x[:3])[1],
    ),
}


def _two(x, y):
    return jnp.sin(x) * y, jnp.exp(x) + y**3


@pytest.mark.parametrize("name", PAIRS)
def test_values_and_derivatives_are_those_of_the_plain_function(name):
    ours, plain = PAIRS[name]
    each = partial(np.testing.assert_allclose, rtol=2e-5, atol=1e-5)
    for transform in (
        lambda f: f,
        jax.jacfwd,
        jax.jacrev,
        lambda f: jax.hessian(lambda x: jnp.sum(f(x) ** 3)),
    ):
        each(transform(ours)(X[0]), transform(plain)(X[0]))
        each(jax.vmap(transform(ours))(X), jax.vmap(transform(plain))(X))
        each(jax.jit(jax.vmap(transform(ours)))(X), jax.vmap(transform(plain))(X))

    def loss(f, x):
        return jnp.sum(jnp.cos(jax.vmap(f)(x)))

    # the derivative of a batch, and a batch of batches
    each(jax.grad(partial(loss, ours))(X), jax.grad(partial(loss, plain))(X))
    each(jax.vmap(jax.vmap(ours))(X[None]), jax.vmap(jax.vmap(plain))(X[None]))


def test_a_batch_stays_last_within_a_network():
    network = MLP(6, 2, key=0, width=7, depth=2)
    program = jax.make_jaxpr(jax.vmap(network))(X)
    shapes = [e.outvars[0].aval.shape for e in program.eqns if e.primitive.name == "dot_general"]
    assert shapes == [(7, 5), (7, 5), (2, 5)]
