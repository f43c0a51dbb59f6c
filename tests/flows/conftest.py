import pytest


@pytest.fixture(autouse=True)
def all_compile_quickly(compile_quickly):
    """Without a line in every file here."""
