import jax
import pytest


@pytest.fixture(autouse=True)
def compile_quickly():
    """These tests compile many programs and run each for a moment."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)
