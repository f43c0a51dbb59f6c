"""Modes that q covers together: found under its largest weights."""

import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.special import logsumexp
from stages import density_of, quiet_fit

from flowvi.inference.correct import weigh
from flowvi.inference.gaussian import Gaussian
from flowvi.inference.heavy import under_large_weights
from flowvi.inference.proposal import gaussian_proposal

pytestmark = pytest.mark.usefixtures("x64")

SD = 0.3
CENTRES = np.array([[-3.0, 0.0], [3.0, 0.0], [0.0, 4.0]])


def log_density(z, centres=CENTRES, sd=SD):
    """Of equal Gaussians."""
    squares = jnp.sum((z - centres) ** 2, axis=1)
    return logsumexp(-0.5 * squares / sd**2) - jnp.log(2 * jnp.pi * sd**2 * len(centres))


def test_every_mode_under_a_wide_gaussian_gets_one_of_its_own():
    density, rng = density_of(log_density, 2), np.random.default_rng(0)
    q = gaussian_proposal(Gaussian(np.zeros(2), 3 * np.eye(2)))
    places = under_large_weights(density, weigh(density, q, rng, 4096), rng)
    assert len(places) == len(CENTRES)
    for place in places:
        distances = np.linalg.norm(place.gaussian.location - CENTRES, axis=1)
        assert distances.min() < 0.01
        np.testing.assert_allclose(place.gaussian.scale_tril, SD * np.eye(2), atol=0.01)
    assert sum(place.share for place in places) <= 1


def test_even_weights_lead_nowhere():
    density, rng = density_of(lambda z: -0.5 * jnp.sum(z**2), 2), np.random.default_rng(0)
    q = gaussian_proposal(Gaussian(np.zeros(2), np.eye(2)))
    spent = density.ledger.gradients
    assert under_large_weights(density, weigh(density, q, rng, 4096), rng) == []
    assert density.ledger.gradients == spent


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_many_modes_need_no_chains(seed):
    centres = np.random.default_rng(0).uniform(-40, 40, (40, 2))
    posterior = quiet_fit(lambda p: log_density(p["z"], centres, 1.0), example={"z": np.zeros(2)}, seed=seed)
    assert posterior.verdict.level == "good"
    value, error = posterior.log_evidence
    assert abs(value) < 4 * error
