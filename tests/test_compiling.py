"""Programs compiled ahead are the ones that calls run, and are compiled once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowvi import compiling
from flowvi.compiling import Compiled


@pytest.fixture
def compiled_programs():
    """Names of the functions compiled from here on."""
    names = []

    def listen(event, duration, **details):
        if event.endswith("backend_compile_duration"):
            names.append(details.get("fun_name"))

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield names
    jax.monitoring.unregister_event_duration_listener(listen)


def test_a_call_runs_what_was_compiled_ahead(compiled_programs):
    @Compiled
    def cubed_and_summed(x):
        return jnp.sum(x**3)

    cubed_and_summed.ahead(np.zeros(3))
    assert cubed_and_summed(np.arange(3.0)) == 9
    assert cubed_and_summed(np.arange(1.0, 4.0)) == 36
    assert compiled_programs.count("jit(cubed_and_summed)") == 1


def test_an_error_while_compiling_ahead_is_that_of_the_call(monkeypatch):
    def broken():
        raise RuntimeError("no memory")

    double = Compiled(lambda x: 2 * x)
    double._ahead.append(compiling._worker().submit(broken))
    assert double(np.ones(())) == 2


def test_an_option_that_this_compiler_does_not_know_is_left_out(monkeypatch):
    monkeypatch.setattr(compiling, "_QUICK", {"xla_cpu_no_such_option": True})
    compiling._options.cache_clear()
    try:
        assert compiling._options() is None
        assert Compiled(lambda x: x + 1)(np.ones(())) == 2
    finally:
        compiling._options.cache_clear()
