"""Short chains: exact draws stay, shifted ones are seen, and chains that cannot move say so."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from stages import density_of

from flowvi.inference.correct import Weighted
from flowvi.inference.drift import drift
from flowvi.inference.gaussian import Gaussian
from flowvi.inference.proposal import MixtureProposal, gaussian_proposal

pytestmark = pytest.mark.usefixtures("x64")

PLANE = Gaussian(np.array([1.0, -2.0]), np.array([[2.0, 0.0], [1.0, 0.5]]))


def evenly(z):
    n = len(z)
    return Weighted(z, np.zeros(n), np.full(n, 1 / n), -1.0, 0)


def normal_log_density(gaussian):
    inverse = np.linalg.inv(gaussian.scale_tril)
    return lambda x: -0.5 * jnp.sum((inverse @ (x - gaussian.location)) ** 2)


def exact(gaussian, n, seed=0):
    noise = np.random.default_rng(seed).standard_normal((n, len(gaussian.location)))
    return gaussian.location + noise @ gaussian.scale_tril.T


def curved(x):
    """A normal first coordinate, and a second one around its square."""
    x, y = x
    return -0.5 * x**2 - 0.5 * (y - x**2) ** 2


def curved_draws(n):
    x, noise = np.random.default_rng(0).standard_normal((2, n))
    return np.stack([x, x**2 + noise], axis=1)


@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_a_shift_is_seen_where_it_is_and_as_large_as_it_is(shift):
    z = exact(PLANE, 20_000)
    sd = np.linalg.norm(PLANE.scale_tril, axis=1)
    z[:, 1] += shift * sd[1]
    density = density_of(normal_log_density(PLANE), 2)
    seen = drift(density, gaussian_proposal(PLANE), evenly(z), np.random.default_rng(1))
    assert seen.resolved
    assert seen.found.tolist() == [False, shift > 0]
    assert np.all(np.abs(seen.off[1] - shift) < 4 * seen.error[1])
    assert np.all(seen.error < 0.05)


def test_chains_leave_a_target_that_is_not_q_as_it_is():
    wide = Gaussian(np.array([0.5, 1.0]), np.diag([1.5, 3.0]))
    density = density_of(curved, 2)
    seen = drift(density, gaussian_proposal(wide), evenly(curved_draws(20_000)), np.random.default_rng(1))
    assert not seen.found.any()
    assert np.all(np.abs(seen.off) < 4 * seen.error)


def test_weights_are_taken_into_account():
    aside = Gaussian(PLANE.location + np.array([1.0, 0.0]), PLANE.scale_tril)
    z = exact(aside, 20_000)
    q = gaussian_proposal(aside)
    log_density = normal_log_density(PLANE)
    log_w = np.asarray(jax.vmap(log_density)(z)) - q.log_prob(z)
    weights = np.exp(log_w - log_w.max())
    weighted = Weighted(z, log_w, weights / weights.sum(), 0.0, 0)
    density = density_of(log_density, 2)
    assert not drift(density, q, weighted, np.random.default_rng(1)).found.any()
    assert drift(density, q, evenly(z), np.random.default_rng(1)).found[0]


def test_chains_that_hardly_move_resolve_nothing():
    narrow = Gaussian(np.zeros(20), 0.3 * np.eye(20))
    density = density_of(normal_log_density(narrow), 20)
    wide = gaussian_proposal(Gaussian(np.zeros(20), np.eye(20)))
    seen = drift(density, wide, evenly(exact(narrow, 5000) + 0.1), np.random.default_rng(1))
    assert not seen.resolved
    assert not seen.found.any()


@pytest.mark.parametrize("shift", [0.0, 10.0])
def test_in_each_part_of_a_mixture(shift):
    places = (PLANE, Gaussian(PLANE.location + 30, np.diag([1.0, 10.0])))
    parts = tuple(gaussian_proposal(place) for place in places)
    q = MixtureProposal(parts[0].base, parts, np.array([0.7, 0.3]))
    z = np.concatenate([exact(places[0], 7000), exact(places[1], 3000) + np.array([0.0, shift])])
    of_parts = [normal_log_density(place) for place in places]
    log_norms = [np.log(w / np.linalg.det(g.scale_tril)) for w, g in zip(q.weights, places, strict=True)]

    def log_density(x):
        return jax.nn.logsumexp(jnp.stack([c + f(x) for c, f in zip(log_norms, of_parts, strict=True)]))

    seen = drift(density_of(log_density, 2), q, evenly(z), np.random.default_rng(1))
    assert seen.resolved
    assert seen.found.tolist() == [False, shift > 0]
