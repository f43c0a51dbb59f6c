"""Double precision: entered without changing the caller's flag, refused where it is too late."""

import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flowvi
from flowvi.errors import PrecisionError
from flowvi.precision import double_precision, is_traced


@double_precision
def third(x):
    return jnp.asarray(x, float) / 3


TRANSFORMATIONS = {
    "jit": lambda f: jax.jit(f)(1.0),
    "grad": lambda f: jax.grad(f)(1.0),
    "vmap": lambda f: jax.vmap(f)(jnp.ones(2)),
}
each = pytest.mark.parametrize("transform", TRANSFORMATIONS.values(), ids=TRANSFORMATIONS)


def test_an_eager_call_is_in_double_precision_and_leaves_the_flag_alone():
    before = jax.config.jax_enable_x64
    assert third(1.0).dtype == jnp.float64
    assert float(third(1.0)) == 1 / 3
    assert jax.config.jax_enable_x64 == before


def test_the_flag_is_left_alone_after_an_error():
    @double_precision
    def fails():
        return 1 / 0

    before = jax.config.jax_enable_x64
    with pytest.raises(ZeroDivisionError):
        fails()
    assert jax.config.jax_enable_x64 == before


def test_in_a_second_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(third(1.0)))
    thread.start()
    thread.join()
    assert found[0].dtype == jnp.float64


@each
def test_a_trace_in_single_precision_is_refused(transform):
    with (
        jax.enable_x64(False),
        pytest.raises(PrecisionError, match=r"third was called inside.*enable_x64\(True\)"),
    ):
        transform(third)


@each
def test_a_trace_in_double_precision_is_not(transform):
    with jax.enable_x64(True):
        assert transform(third).dtype == jnp.float64


def test_keyword_arguments_are_looked_at():
    with jax.enable_x64(False), pytest.raises(PrecisionError):
        jax.jit(lambda x: third(x=x))(1.0)


def test_fit_and_posterior_refuse_a_trace():
    posterior = flowvi.fit(lambda p: -0.5 * p["x"] ** 2, example={"x": 0.0}, progress=False)

    def fit_to(data):
        return flowvi.fit(lambda p, d: -0.5 * (p["x"] - d) ** 2, data, example={"x": 0.0}, progress=False).z

    calls = [
        (fit_to, jnp.zeros(())),
        (posterior.constrain, jnp.zeros((1, 1))),
        (posterior.q.log_prob, jnp.zeros((1, 1))),
    ]
    with jax.enable_x64(False):
        for call, argument in calls:
            with pytest.raises(PrecisionError):
                jax.jit(lambda x, call=call: call(x))(argument)


def test_is_traced():
    assert not is_traced(1.0, np.ones(2), {"a": jnp.ones(2)}, "text", None)
    seen = []
    jax.jit(lambda x: seen.append(is_traced({"a": [x]})) or x)(1.0)
    assert seen == [True]
