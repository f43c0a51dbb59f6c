"""From draws of q to draws of the posterior."""

from types import SimpleNamespace

import numpy as np
import pytest
import scipy.stats

from flowvi.diagnostics.psis import smooth_weights
from flowvi.flows import MultivariateT, WideNormal
from flowvi.inference.correct import (
    LEAST_PROPOSALS,
    Weighted,
    unique_draws,
    weigh,
    weigh_for_unique,
    with_best_tails,
)
from flowvi.inference.gaussian import Gaussian
from flowvi.inference.proposal import gaussian_proposal

pytestmark = pytest.mark.usefixtures("x64")


def density(logpdf):
    return SimpleNamespace(value=logpdf, value_in_time=logpdf)


def standard(dim=1):
    return gaussian_proposal(Gaussian(np.zeros(dim), np.eye(dim)))


def weighted_of(log_weights):
    weights = np.exp(log_weights - np.max(log_weights))
    return Weighted(np.zeros((len(weights), 1)), np.asarray(log_weights), weights / weights.sum(), 0.3, 0)


def smoothed(log_weights):
    return Weighted(np.zeros((len(log_weights), 1)), log_weights, *smooth_weights(log_weights), 0)


def test_weights_evidence_and_elbo_of_a_shifted_gaussian():
    shift, size = 0.6, 40_000
    target = density(lambda z: 3.0 + scipy.stats.norm(shift).logpdf(z[:, 0]))
    weighted = weigh(target, standard(), np.random.default_rng(0), size)
    np.testing.assert_allclose(weighted.log_weights, 3 + shift * weighted.z[:, 0] - shift**2 / 2)
    assert weighted.ess_ratio == pytest.approx(np.exp(-(shift**2)), rel=0.03)
    assert weighted.sd_log_weights == pytest.approx(shift, rel=0.02)
    assert weighted.elbo.value == pytest.approx(3 - shift**2 / 2, abs=4 * shift / np.sqrt(size))
    assert weighted.elbo.standard_error == pytest.approx(shift / np.sqrt(size), rel=0.05)
    error = np.sqrt(np.expm1(shift**2) / size)
    assert weighted.log_evidence.value == pytest.approx(3, abs=4 * error)
    assert weighted.log_evidence.standard_error == pytest.approx(error, rel=0.1)


def test_draws_where_the_target_is_not_finite_weigh_nothing_and_are_counted():
    def logpdf(z):
        x = z[:, 0]
        value = scipy.stats.norm.logpdf(x)
        return np.select([x > 1, x < -2, np.abs(x) < 0.1], [np.nan, np.inf, -np.inf], value)

    weighted = weigh(density(logpdf), standard(), np.random.default_rng(0), 4000)
    x = weighted.z[:, 0]
    out = (x > 1) | (x < -2)
    assert weighted.nonfinite == out.sum()
    assert np.all(weighted.weights[out | (np.abs(x) < 0.1)] == 0)
    assert np.all(np.isneginf(weighted.log_weights[out]))
    assert weighted.log_evidence.value == pytest.approx(
        np.log(np.isfinite(weighted.log_weights).mean()), abs=1e-9
    )
    assert not weighted.nearly_constant


def test_a_target_that_is_finite_nowhere():
    with pytest.raises(ArithmeticError, match="none of 100 draws"):
        weigh(density(lambda z: np.full(len(z), np.nan)), standard(), np.random.default_rng(0), 100)


@pytest.mark.parametrize(("df", "chosen"), [(4, {5.0, 12.0}), (8, {5.0, 12.0, 30.0})])
def test_a_heavy_tailed_target_gets_tails_that_bound_its_weights(df, chosen):
    rng = np.random.default_rng(0)
    target = density(lambda z: scipy.stats.t(df).logpdf(z).sum(1))
    first = weigh(target, standard(2), rng, 8000)
    proposal, weighted = with_best_tails(target, standard(2), first, rng)
    assert isinstance(proposal.base, MultivariateT)
    assert float(proposal.base.df) in chosen
    assert weighted.proposals_for(1) < 0.8 * first.proposals_for(1)
    # the weights are those of the proposal returned
    log_q = proposal.log_prob(weighted.z)
    np.testing.assert_allclose(weighted.log_weights, target.value(weighted.z) - log_q)
    expected = scipy.stats.multivariate_t(np.zeros(2), np.eye(2), float(proposal.base.df)).logpdf(weighted.z)
    np.testing.assert_allclose(log_q, expected)
    np.testing.assert_allclose(proposal.flow().log_prob(weighted.z[:50]), expected[:50], rtol=1e-9)


def test_a_proposal_that_is_too_narrow_is_made_wider():
    rng = np.random.default_rng(0)
    target = density(lambda z: scipy.stats.norm(scale=1.15).logpdf(z).sum(1))
    first = weigh(target, standard(10), rng, 8000)
    proposal, weighted = with_best_tails(target, standard(10), first, rng)
    assert isinstance(proposal.base, WideNormal)
    assert weighted.expected_proposals < 0.8 * first.expected_proposals
    assert weighted.log_evidence.value == pytest.approx(0, abs=4 * weighted.log_evidence.standard_error)


def test_proposals_to_be_expected_grow_with_the_tail():
    # of S Pareto weights with shape k the largest is in proportion to S^k
    k = 0.5
    u = np.random.default_rng(0).uniform(size=(2, 50_000))
    few, many = (smoothed(-k * np.log(u[i, :n])) for i, n in enumerate((4096, 50_000)))
    assert few.expected_proposals > few.proposals_for(1)
    assert few.expected_proposals == pytest.approx(many.proposals_for(1), rel=1.0)
    even = smoothed(0.01 * np.log(u[0, :4096]))
    assert even.expected_proposals == even.proposals_for(1)


def test_a_gaussian_target_keeps_its_gaussian():
    rng = np.random.default_rng(0)
    target = density(lambda z: scipy.stats.norm(0.1, 0.95).logpdf(z).sum(1))
    first = weigh(target, standard(2), rng, 4000)
    proposal, weighted = with_best_tails(target, standard(2), first, rng)
    assert not isinstance(proposal.base, MultivariateT)
    assert weighted is first


def test_proposals_are_drawn_until_none_of_the_draws_is_needed_twice():
    shift, n = np.sqrt(np.log(2)), 2000
    target = density(lambda z: scipy.stats.norm(shift).logpdf(z[:, 0]))
    means = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        weighted = weigh_for_unique(target, standard(), rng, n)
        assert 2 * n < len(weighted.z) <= 50 * n
        assert n * weighted.weights.max() <= 1
        assert weighted.cut_for(n) == 0
        np.testing.assert_allclose(weighted.log_weights, shift * weighted.z[:, 0] - shift**2 / 2)
        chosen = unique_draws(weighted, n, rng)
        assert len(set(chosen)) == n
        means.append(weighted.z[chosen, 0].mean())
    # Monte Carlo error 0.011
    assert np.mean(means) == pytest.approx(shift, abs=0.03)


def test_even_weights_need_no_more_proposals_and_uneven_ones_end_at_the_limit():
    rng = np.random.default_rng(0)
    even = weigh_for_unique(density(lambda z: scipy.stats.norm.logpdf(z[:, 0])), standard(), rng, 500)
    assert len(even.z) <= LEAST_PROPOSALS
    target = density(lambda z: scipy.stats.norm(5).logpdf(z[:, 0]))
    uneven = weigh_for_unique(target, standard(), rng, 500, most=20)
    # the first ones tell that the limit would not do
    assert len(uneven.z) == LEAST_PROPOSALS
    assert not uneven.carry(500)


def test_draws_at_hand_are_the_first_of_those_needed():
    rng = np.random.default_rng(0)
    target = density(lambda z: scipy.stats.norm(0.5).logpdf(z[:, 0]))
    begun = weigh(target, standard(), rng, 1000)
    weighted = weigh_for_unique(target, standard(), rng, 500, begun=begun)
    np.testing.assert_array_equal(weighted.z[:1000], begun.z)
    assert 500 * weighted.weights.max() <= 1


def test_proposals_end_with_the_time():
    def first_half(z):
        return scipy.stats.norm(0.8).logpdf(z[: len(z) // 2, 0])

    target = SimpleNamespace(value_in_time=first_half)
    weighted = weigh_for_unique(target, standard(), np.random.default_rng(0), 4096)
    # half of the first 8192, then half of what they showed to be missing
    assert 4096 < len(weighted.z) < 4096 * 50 / 2 + 4096
    np.testing.assert_allclose(weighted.log_weights, 0.8 * weighted.z[:, 0] - 0.32)
    unique = unique_draws(weighted, weighted.most_unique, np.random.default_rng(1))
    assert len(set(unique)) == weighted.most_unique < 4096


@pytest.mark.parametrize("share", [0.001, 0.3, 0.9])
def test_weights_too_large_are_cut_and_the_rest_keep_their_proportions(share):
    n, size = 50, 400
    rng = np.random.default_rng(0)
    rest = rng.uniform(0.5, 1.5, size - 2)
    weights = np.array([share, share / 2, *rest / rest.sum() * max(1 - 1.5 * share, 0.05)])
    weighted = weighted_of(np.log(weights / weights.sum()))
    counts = np.zeros(size)
    for _ in range(400):
        chosen = unique_draws(weighted, n, rng)
        assert len(set(chosen)) == n
        counts[chosen] += 1
    expected = np.array([min(1.0, n * weighted.weights[0]), min(1.0, n * weighted.weights[1])])
    if share > 0.1:
        np.testing.assert_array_equal(counts[:2] / 400, 1)
        expected = np.ones(2)
    left = n - expected.sum()
    # correlation with the weights, since single counts are noisy
    halves = rest > np.median(rest)
    for half in (halves, ~halves):
        want = left * rest[half].sum() / rest.sum()
        assert counts[2:][half].sum() / 400 == pytest.approx(want, abs=0.8)


@pytest.mark.parametrize("positive", [1, 10, 49, 50, 51])
def test_as_many_draws_as_asked_for_even_where_few_have_weight(positive):
    log_weights = np.full(400, -np.inf)
    log_weights[:positive] = -100 * np.arange(positive)
    chosen = unique_draws(weighted_of(log_weights), 50, np.random.default_rng(0))
    assert len(set(chosen)) == 50
    assert set(range(min(positive, 9))) <= set(chosen)


@pytest.mark.parametrize(
    ("log_weights", "carries"),
    [
        (np.zeros(4000), True),
        (0.5 * np.random.default_rng(0).normal(size=4000), True),
        # too few effective draws
        (np.zeros(900), False),
        # equal because rounding hides what they differ by
        (np.full(4000, -1e17), False),
        (np.full(4000, -1e10), True),
        # one draw with 5% of the weight
        (np.array([np.log(200.0), *np.zeros(3800)]), False),
    ],
)
def test_what_weights_carry(log_weights, carries):
    assert weighted_of(log_weights).carry(1000) is carries


def test_a_heavy_tail_carries_nothing_unless_the_weights_are_nearly_constant():
    uneven = weighted_of(0.5 * np.random.default_rng(0).normal(size=4000))._replace(khat=0.75)
    assert not uneven.carry(1000)
    even = weighted_of(0.01 * np.random.default_rng(0).normal(size=4000))._replace(khat=0.75)
    assert even.carry(1000)
