"""Programs are kept between processes: the second one compiles next to nothing."""

import os
import subprocess
import sys

import jax
import pytest

from flowvi.cache import kept_programs

SCRIPT = """
import jax, jax.numpy as jnp
events = []
jax.monitoring.register_event_listener(lambda event, **_: events.append(event.rpartition("/")[2]))
import flowvi

def show():
    print(events.count("cache_misses"), events.count("cache_hits"))
    events.clear()

density = lambda p: -0.5 * jnp.sum((p["x"] - 3.0) ** 2)
posterior = flowvi.fit(density, example={"x": 0.0}, draws=100, progress=False)
show()
posterior.sample(1500)
show()
assert jax.config.jax_compilation_cache_dir is None
"""


def misses_and_hits(directory):
    """What JAX says of its cache in a new process: in `fit`, and in `sample` after it."""
    environment = {**os.environ, "FLOWVI_CACHE_DIR": os.fspath(directory)}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    answer = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    in_fit, in_sample = (tuple(map(int, line.split())) for line in answer.stdout.splitlines())
    return in_fit, in_sample


def test_a_second_process_compiles_nothing(tmp_path):
    for misses, hits in misses_and_hits(tmp_path):
        assert misses > 0
        assert hits <= misses
    for misses, hits in misses_and_hits(tmp_path):
        assert misses == 0
        assert hits > 0


@pytest.mark.parametrize("directory", ["", "file/below"])
def test_no_directory_keeps_nothing_and_is_no_error(tmp_path, directory):
    (tmp_path / "file").write_text("")
    directory = directory and tmp_path / directory
    assert misses_and_hits(directory) == ((0, 0), (0, 0))


@pytest.mark.parametrize("before", [None, "of the user"])
def test_settings_of_jax_are_as_before(tmp_path, monkeypatch, before):
    monkeypatch.setenv("FLOWVI_CACHE_DIR", os.fspath(tmp_path))
    original = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", before)
    try:
        with kept_programs():
            assert jax.config.jax_compilation_cache_dir == (before or os.fspath(tmp_path / "xla"))
        assert jax.config.jax_compilation_cache_dir == before
    finally:
        jax.config.update("jax_compilation_cache_dir", original)
