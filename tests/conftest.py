import jaxtyping
import pytest


@pytest.fixture
def as_users_run_it():
    """Without the type checks of the tests, which would speak before flowvi's own errors."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
