"""More training in the middle of the audit: q and its weighted draws stay together."""

import jax.numpy as jnp
import numpy as np
import pytest
from stages import density_of

from flowvi.inference import cover
from flowvi.inference.correct import MOST_PROPOSALS
from flowvi.inference.gaussian import Gaussian
from flowvi.inference.proposal import gaussian_proposal
from flowvi.inference.search import Search

pytestmark = pytest.mark.usefixtures("x64")

FAR = Gaussian(np.full(2, 6.0), np.eye(2))
NEAR = Gaussian(np.full(2, 0.1), np.eye(2))


@pytest.fixture
def begun():
    """A search whose q is the target, a standard normal, with its weighted draws."""
    search = Search(density_of(lambda x: -0.5 * jnp.sum(x**2), 2), np.random.default_rng(0), draws=1000)
    return search, search.q.weigh_for_draws(MOST_PROPOSALS)


def train_to(gaussian, ends=True):
    def train_on(search):
        search.use(gaussian_proposal(gaussian))
        if isinstance(ends, type):
            raise ends
        return ends

    return train_on


def test_a_better_q_comes_with_draws_of_its_own(begun, monkeypatch):
    search, weighted = begun
    before = search.q
    monkeypatch.setattr(cover, "train_on", train_to(NEAR))
    more = cover.trained_further(search, weighted)
    assert search.q is not before
    assert more is search.q.weighted
    log_q = search.q.proposal.log_prob(more.z)
    np.testing.assert_allclose(more.log_weights, -0.5 * (more.z**2).sum(axis=1) - log_q, atol=1e-12)


@pytest.mark.parametrize("ends", [True, False], ids=["worse", "no round left"])
def test_training_that_brings_nothing_leaves_q_as_it_was(begun, monkeypatch, ends):
    search, weighted = begun
    before = search.q
    monkeypatch.setattr(cover, "train_on", train_to(FAR, ends))
    assert cover.trained_further(search, weighted) is None
    assert search.q is before


@pytest.mark.parametrize("error", [KeyboardInterrupt, ArithmeticError])
def test_training_cut_short_leaves_q_as_it_was(begun, monkeypatch, error):
    search, weighted = begun
    before = search.q
    monkeypatch.setattr(cover, "train_on", train_to(FAR, error))
    with pytest.raises(error):
        cover.trained_further(search, weighted)
    assert search.q is before
