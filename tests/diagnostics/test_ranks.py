"""Ranks and the test of their uniformity: exact where there is a closed form, by simulation elsewhere."""

import numpy as np
import pytest
import scipy.stats

from flowvi.diagnostics.ranks import evenly_thinned, mean_and_spread, rank_among
from flowvi.diagnostics.uniformity import ecdf_band, ecdf_counts, holm, uniformity


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def ranks_of(rng, simulations, draws, shift=0.0, scale=1.0):
    """Ranks of standard normal truths among draws from N(shift, scale^2)."""
    below = scipy.stats.norm(shift, scale).cdf(rng.normal(size=simulations))
    return rng.binomial(draws, below)


def leaves(ranks, draws, level=0.95):
    band, counts = ecdf_band(len(ranks), draws, level), ecdf_counts(ranks, draws)
    return bool(np.any((counts < band.lower) | (counts > band.upper)))


def test_rank_is_the_number_of_draws_below(rng):
    draws = rng.normal(size=(50, 2, 3))
    truth = rng.normal(size=(2, 3))
    ranks, constant = rank_among(truth, draws, rng)
    np.testing.assert_array_equal(ranks, (draws < truth).sum(0))
    assert not constant.any()


def test_a_tie_falls_on_each_of_its_ranks_equally_often(rng):
    draws = np.array([0, 1, 1, 1, 2])
    found = [int(rank_among(np.array(1), draws, rng)[0]) for _ in range(4000)]
    counts = np.bincount(found, minlength=6)
    assert counts[0] == counts[5] == 0
    assert scipy.stats.chisquare(counts[1:5]).pvalue > 1e-3


def test_ranks_of_a_discrete_parameter_are_uniform_and_would_not_be_without_ties_broken_at_random(rng):
    truth, draws = rng.poisson(1.5, 1000), rng.poisson(1.5, (1000, 99))
    ranks = np.array([rank_among(np.asarray(t), d, rng)[0] for t, d in zip(truth, draws, strict=True)])
    assert uniformity(ranks, 99) > 0.01
    assert uniformity((draws < truth[:, None]).sum(1), 99) < 1e-10


def test_numbers_that_differ_by_rounding_are_ties(rng):
    # sums that are one: their order is that of their rounding errors
    x = rng.dirichlet(np.ones(7), size=101).sum(1)
    assert len(np.unique(x)) > 1
    ranks = [int(rank_among(np.asarray(x[0]), x[1:], rng)[0]) for _ in range(200)]
    assert rank_among(np.asarray(x[0]), x[1:], rng)[1]
    assert uniformity(np.array(ranks), 100) > 1e-3
    # and numbers near zero are not
    ranks, constant = rank_among(np.array(2e-30), np.array([1e-30, 3e-30, -1e-30]), rng)
    assert int(ranks) == 2
    assert not constant


def test_a_scalar_that_never_varies_is_constant(rng):
    draws = rng.normal(size=(20, 2))
    draws[:, 0] = 0.0
    assert rank_among(np.array([0.0, 0.3]), draws, rng)[1].tolist() == [True, False]


@pytest.mark.parametrize(("count", "kept"), [(4000, 199), (199, 199), (200, 199), (5, 2), (7, 1)])
def test_thinning_keeps_draws_at_even_distances(count, kept):
    chosen = evenly_thinned(count, kept)
    assert len(set(chosen)) == kept
    assert chosen.min() >= 0
    assert chosen.max() < count
    assert np.ptp(np.diff(chosen)) <= 1 if kept > 1 else True


def test_mean_and_spread_say_how_draws_are_off(rng):
    mean, spread = mean_and_spread(ranks_of(rng, 4000, 199), 199)
    assert mean == pytest.approx(0.5, abs=4 / np.sqrt(12 * 4000))
    assert spread == pytest.approx(1, abs=4 / np.sqrt(5 * 4000))
    assert mean_and_spread(ranks_of(rng, 4000, 199, shift=0.5), 199)[0] < 0.4
    assert mean_and_spread(ranks_of(rng, 4000, 199, scale=0.8), 199)[1] > 1.05
    assert mean_and_spread(ranks_of(rng, 4000, 199, scale=1.25), 199)[1] < 0.95


def test_band_of_one_point_is_a_binomial_interval():
    # one draw: half of the ranks are 0
    for simulations in (1, 5, 40):
        lower, upper = (int(x[0]) for x in ecdf_band(simulations, 1)[1:])
        coin = scipy.stats.binom(simulations, 0.5)
        assert lower == simulations - upper
        assert coin.cdf(upper) - coin.cdf(lower - 1) >= 0.95
        # a narrower one would not do
        assert coin.cdf(upper - 1) - coin.cdf(lower) < 0.95


def test_p_value_of_one_point_is_that_of_the_binomial_test():
    for zeros in range(13):
        ranks = np.repeat([0, 1], [zeros, 12 - zeros])
        expected = scipy.stats.binomtest(zeros, 12, 0.5).pvalue
        assert uniformity(ranks, 1) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("simulations", "draws"), [(20, 19), (100, 199), (400, 39), (150, 7)])
def test_uniform_ranks_leave_the_band_one_time_in_twenty(rng, simulations, draws):
    runs = 3000
    found = np.mean([leaves(rng.integers(0, draws + 1, simulations), draws) for _ in range(runs)])
    # counts are whole numbers, so the band holds at least 95%
    assert found < 0.05 + 4 * np.sqrt(0.05 * 0.95 / runs)
    assert found > 0.025


def test_p_values_of_uniform_ranks_are_uniform(rng):
    p = np.array([uniformity(rng.integers(0, 100, 60), 99) for _ in range(400)])
    assert scipy.stats.kstest(p, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_the_band_is_left_where_p_is_at_most_alpha_and_nowhere_else(rng, level):
    for scale in np.linspace(0.6, 1.5, 60):
        ranks = ranks_of(rng, 80, 49, scale=scale)
        assert leaves(ranks, 49, level) == (uniformity(ranks, 49) <= 1 - level)


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 0.8), (0.0, 1.25), (0.25, 1.0), (-0.25, 1.0)])
def test_draws_that_are_too_narrow_too_wide_or_off_are_found(rng, shift, scale):
    assert leaves(ranks_of(rng, 1000, 199, shift, scale), 199, 0.999)


def test_right_draws_are_not_found_at_the_size_that_finds_wrong_ones(rng):
    assert not leaves(ranks_of(rng, 1000, 199), 199)


def test_ranks_that_fall_too_evenly_are_not_blamed_on_chance_either():
    # the least possible departure: every p value above is larger
    assert uniformity(np.arange(200), 199) == pytest.approx(1)


def test_p_values_stay_exact_for_many_simulations_and_draws(rng):
    ranks = rng.integers(0, 1000, 2000)
    assert 1e-3 < uniformity(ranks, 999) <= 1
    assert uniformity(np.minimum(ranks, 900), 999) < 1e-9


def test_holm_by_hand():
    np.testing.assert_allclose(holm(np.array([0.04, 0.001, 0.03, 0.9])), [0.09, 0.004, 0.09, 0.9])
    assert holm(np.array([0.7, 0.8])).tolist() == [1.0, 1.0]
    assert holm(np.empty(0)).shape == (0,)
