import jax
import pytest


@pytest.fixture
def x64():
    """As inside `fit`, where every stage runs."""
    with jax.enable_x64(True):
        yield
