import jax
import pytest


@pytest.fixture(autouse=True)
def as_in_training():
    """In double precision, and compiled quickly: many small programs, each run for a moment."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    with jax.enable_x64(True):
        yield
    jax.config.update("jax_disable_most_optimizations", before)
