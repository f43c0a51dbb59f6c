import os

import jax
import jaxtyping
import pytest

# Read by XLA when it compiles its first program. The older emitters take two thirds of the time, most of it
# being spent on compiling here; programs of `fit` are compiled by them anyhow (docs/decisions/compiling.md).
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false")


@pytest.fixture
def as_users_run_it():
    """Without the type checks of the tests, which would speak before flowvi's own errors."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def compile_quickly():
    """For tests that compile many programs and run each for a moment."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture(autouse=True, scope="module")
def few_programs():
    """Compiled programs are let go after each file: some thousands of them use up the memory maps of a
    process, and XLA then ends it with a segmentation fault."""
    yield
    jax.clear_caches()
