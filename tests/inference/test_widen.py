"""A mixture over places outside q has the weights of their mass."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from stages import density_of

from flowvi.flows import MultivariateT, Normal
from flowvi.inference.gaussian import Gaussian
from flowvi.inference.proposal import MixtureProposal, gaussian_proposal
from flowvi.inference.uncovered import Uncovered
from flowvi.inference.widen import broad_gaussian, weighted_by_evidence, widened

pytestmark = pytest.mark.usefixtures("x64")


def at(x, sd=1.0):
    return Gaussian(np.array([x, 0.0]), sd * np.eye(2))


def mixture(shares, gaussians):
    """Log density of a mixture of isotropic normals, of evidence e^2."""

    def log_density(x):
        parts = [
            np.log(share) + jax.scipy.stats.norm.logpdf(x, one.location, one.scale_tril[0, 0]).sum()
            for share, one in zip(shares, gaussians, strict=True)
        ]
        return 2.0 + jax.nn.logsumexp(jnp.stack(parts))

    return log_density


def place(gaussian, share):
    return Uncovered(gaussian.location, 0.0, share, gaussian)


SEVERAL = [at(0.0), at(9.0, 0.5), at(-12.0, 2.0)]


SHARES = np.array([0.5, 0.2, 0.3])
GUESSES = {
    "right": (0.2 / 0.7, 0.3 / 0.8),
    "off": (0.5, 0.1),
    "one too little": (0.9, 0.001),
    "q itself too little": (0.999, 0.999),
}


@pytest.mark.parametrize("guessed", GUESSES.values(), ids=GUESSES)
def test_weights_are_those_of_the_evidence_however_wrong_the_shares_were(guessed):
    density = density_of(mixture(SHARES, SEVERAL), 2)
    places = [place(one, share) for one, share in zip(SEVERAL[1:], guessed, strict=True)]
    q = widened(density, gaussian_proposal(SEVERAL[0]), places, np.random.default_rng(0))
    # a share is of the evidence of q and of its place
    begun = np.array([1.0, *(share / (1 - share) for share in guessed)])
    begun = np.maximum(begun / begun.sum(), 0.002)
    # parts do not overlap, and weights are constant within one: what is not known is how many of 4,096 draws
    # are of which part, a Poisson number
    relative = 1 / np.sqrt(4096 * begun)
    variance = [
        SHARES[k] ** 2 * (((1.0 * (np.arange(3) == k) - SHARES) * relative) ** 2).sum() for k in range(3)
    ]
    assert np.all(np.abs(q.part_weights() - SHARES) < 4.5 * np.sqrt(variance))
    assert q.part_weights().sum() == pytest.approx(1)


def test_weights_of_parts_that_overlap_are_those_of_maximum_likelihood():
    # the target has other shapes than the parts, and a third of its mass lies between them
    parts = [at(-1.0), at(1.0), at(0.5, 2.0)]
    density = density_of(mixture([0.45, 0.2, 0.35], [at(-1.2, 0.8), at(1.3, 0.9), at(0.0, 2.2)]), 2)
    proposals = tuple(gaussian_proposal(part) for part in parts)
    q = weighted_by_evidence(density, proposals, np.array([0.1, 0.1, 0.8]), np.random.default_rng(0))
    rng = np.random.default_rng(1)
    k = rng.choice(3, 200_000, p=[0.45, 0.2, 0.35])
    exact = np.array([-1.2, 1.3, 0.0])[k, None] * [1.0, 0.0]
    exact = exact + np.array([0.8, 0.9, 2.2])[k, None] * rng.standard_normal((200_000, 2))
    log_parts = np.stack([one.log_prob(exact) for one in proposals], axis=1)

    def loss(weights):
        return -np.log(np.exp(log_parts) @ weights).mean()

    best = scipy.optimize.minimize(
        loss,
        np.full(3, 1 / 3),
        bounds=[(1e-3, 1)] * 3,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
    )
    # what is lost by 20 steps from 4,096 draws, against what the first weights lose
    first, found = loss(np.array([0.1, 0.1, 0.8])) - best.fun, loss(q.part_weights()) - best.fun
    assert first > 0.1
    assert 0 <= found < 0.004
    np.testing.assert_allclose(q.part_weights(), best.x, atol=0.08)


def test_a_part_with_no_evidence_keeps_a_little_weight():
    density = density_of(mixture([1.0], [at(0.0)]), 2)
    q = widened(density, gaussian_proposal(at(0.0)), [place(at(40.0), 0.5)], np.random.default_rng(0))
    assert q.part_weights()[1] == pytest.approx(0.002, rel=0.01)


def test_a_mixture_is_widened_part_by_part_and_from_a_normal_base():
    density = density_of(mixture([0.5, 0.2, 0.3], SEVERAL), 2)
    first = widened(
        density,
        gaussian_proposal(SEVERAL[0]).with_base(MultivariateT(2, 5.0)),
        [place(SEVERAL[1], 0.3)],
        np.random.default_rng(0),
    )
    assert len(first.parts()) == 2
    second = widened(
        density, first.with_base(MultivariateT(2, 5.0)), [place(SEVERAL[2], 0.3)], np.random.default_rng(1)
    )
    assert len(second.parts()) == 3
    assert all(isinstance(part.base, Normal) for part in (second, *second.parts()))
    np.testing.assert_allclose(second.part_weights(), [0.5, 0.2, 0.3], atol=0.05)
    z = np.random.default_rng(2).normal(size=(50, 2)) * 8
    # the density of the mixture is the sum of those of the parts
    expected = sum(
        w * scipy.stats.multivariate_normal(one.location, one.scale_tril @ one.scale_tril.T).pdf(z)
        for w, one in zip(second.part_weights(), SEVERAL, strict=True)
    )
    np.testing.assert_allclose(second.log_prob(z), np.log(expected), rtol=1e-9)
    np.testing.assert_allclose(second.flow().log_prob(z), np.log(expected), rtol=1e-9)


def test_a_broad_gaussian_around_all_parts_whatever_their_weights():
    parts = tuple(gaussian_proposal(one) for one in SEVERAL)
    q = MixtureProposal(Normal(2), parts, np.array([0.98, 0.01, 0.01]))
    broad = broad_gaussian(q, np.random.default_rng(0))
    locations, sds = np.stack([one.location for one in SEVERAL]), np.array([1.0, 0.5, 2.0])
    covariance = np.cov(locations.T, bias=True) + np.eye(2) * (sds**2).mean()
    # a thousand draws of each: their means scatter by 0.02 sd, their variances by 3%
    np.testing.assert_allclose(broad.location, locations.mean(axis=0), atol=0.2)
    found = broad.scale_tril @ broad.scale_tril.T / 9
    np.testing.assert_allclose(np.diag(found), np.diag(covariance), rtol=0.1)
    np.testing.assert_array_equal(np.triu(broad.scale_tril, 1), 0)
