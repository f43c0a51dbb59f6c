"""q is trained further or widened where it lacks mass, and stays together with its weighted draws."""

import jax.numpy as jnp
import numpy as np
import pytest
from stages import density_of

from flowvi.inference import cover
from flowvi.inference.correct import MOST_PROPOSALS, Weighted
from flowvi.inference.gaussian import Gaussian
from flowvi.inference.proposal import MixtureProposal, gaussian_proposal
from flowvi.inference.search import Search
from flowvi.inference.uncovered import Uncovered

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


PLACE = Uncovered(NEAR.location, log_density=0.0, share=0.5, gaussian=NEAR)


@pytest.fixture
def steps(begun, monkeypatch):
    """What `cover` does to a q whose weights never carry, by shares of the evidence that audits find outside
    it, one after the other, and by what particles find."""
    search, weighted = begun
    uneven = weighted._replace(khat=2.0, log_weights=np.linspace(0.0, 9.0, len(weighted.z)))
    part = gaussian_proposal(NEAR)

    def taken(shares, particles):
        shares, done = list(shares), []

        def audit(search, weighted):
            share = shares.pop(0)
            search.uncovered = [PLACE._replace(share=share)] if share else []

        def train_on(search):
            done.append("training")
            search.use(part)
            return True

        def tempered_particles(density, start, rng):
            done.append("particles")
            return np.zeros((4, 2))

        def widen(search, places):
            done.append("wider")
            search.use(MixtureProposal(part.base, (part, part), np.array([0.5, 0.5])))
            return uneven

        monkeypatch.setattr(cover, "audit", audit)
        monkeypatch.setattr(cover, "train_on", train_on)
        monkeypatch.setattr(cover, "tempered_particles", tempered_particles)
        monkeypatch.setattr(cover, "uncovered", lambda *_: particles)
        monkeypatch.setattr(cover, "_widen", widen)
        monkeypatch.setattr(cover, "_evened", lambda search, weighted: None)
        cover.cover(search, weighted)
        return done

    search.trained = True
    return taken


def test_particles_go_out_again_after_some_that_found_a_place(steps):
    assert steps([0.5, 0, 0, 0, 0, 0, 0], [PLACE]) == ["particles", "wider"] * 6


def test_particles_do_not_go_out_again_after_some_that_found_none(steps):
    assert steps([0.5, 0], []) == ["particles", "wider"]


def test_particles_go_out_again_for_another_place(steps):
    assert steps([0.5, 0.5, 0], []) == ["particles", "wider"] * 2


def test_a_tail_that_training_shortens_is_trained_away(steps):
    assert steps([0.2, 0.1, 0.05, 0], []) == ["training"] * 3


def test_what_training_does_not_shorten_is_a_mode(steps):
    assert steps([0.2, 0.2, 0], []) == ["training", "particles", "wider"]


def test_too_much_for_a_tail_is_a_mode(steps):
    assert steps([0.3, 0], []) == ["particles", "wider"]


@pytest.mark.parametrize(("slope", "done"), [(True, []), (False, ["particles", "wider"])])
def test_what_is_around_its_own_place_is_left_to_chains(steps, monkeypatch, slope, done):
    monkeypatch.setattr(cover, "covers", lambda *_: slope)
    monkeypatch.setattr(Weighted, "carry", lambda *_: False)
    assert steps([0.3, 0], []) == done
