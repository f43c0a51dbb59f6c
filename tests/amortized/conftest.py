"""A linear Gaussian model, amortized once."""

import numpy as np
import pytest
from amortized_cases import ELEMENTS, model, small

import flowvi


@pytest.fixture(scope="session")
def linear():
    return flowvi.amortize(
        model, np.zeros((ELEMENTS, 2)), simulations=6000, flow=small, max_steps=1200, progress=False
    )
