"""Unique draws: none twice, each with the probability that its weight asks for."""

import numpy as np
import pytest

from flowvi.diagnostics.estimate import Estimate
from flowvi.diagnostics.resampling import unique_indices


def some_weights(size=60, n=12):
    weights = np.random.default_rng(0).gamma(1.5, size=size)
    weights = np.minimum(weights / weights.sum(), 0.95 / n)
    weights[0] = 0
    return weights / weights.sum()


def test_no_draw_twice_and_none_without_weight():
    rng = np.random.default_rng(1)
    weights = some_weights()
    for _ in range(200):
        picked = unique_indices(weights, 12, rng)
        assert len(set(picked)) == 12
        assert 0 not in picked


def test_inclusion_probabilities():
    rng, runs = np.random.default_rng(2), 4000
    weights = some_weights()
    counts = np.zeros(len(weights))
    for _ in range(runs):
        counts[unique_indices(weights, 12, rng)] += 1
    expected = 12 * weights
    error = np.sqrt(expected * (1 - expected) / runs)
    assert np.all(np.abs(counts / runs - expected) <= 4.5 * error)


def test_draws_are_picked_in_random_order_so_that_neighbours_are_picked_together_as_often_as_others():
    # laid out in their given order, equal weights of 1 / (2 n) would never give two neighbours
    rng, runs, size = np.random.default_rng(3), 3000, 8
    together = sum({0, 1} <= set(unique_indices(np.full(size, 1 / size), 4, rng)) for _ in range(runs))
    assert together / runs == pytest.approx(4 / 8 * 3 / 7, abs=4 * np.sqrt(0.25 / runs))


def test_a_weight_of_exactly_one_in_n_is_always_picked():
    weights = np.array([0.25, *np.full(75, 0.01)])
    rng = np.random.default_rng(4)
    assert all(0 in unique_indices(weights, 4, rng) for _ in range(100))


def test_all_of_them():
    picked = unique_indices(np.full(7, 1 / 7), 7, np.random.default_rng(0))
    assert sorted(picked) == list(range(7))


def test_shifted_gaussian_at_half_the_effective_draws_is_unbiased():
    shift, n = np.sqrt(np.log(2)), 4000
    rng = np.random.default_rng(5)
    means, sds = [], []
    for _ in range(4):
        x = rng.normal(size=50 * n)
        weights = np.exp(shift * x)
        weights /= weights.sum()
        assert 1 / (weights**2).sum() / len(x) == pytest.approx(0.5, abs=0.02)
        picked = x[unique_indices(weights, n, rng)]
        means.append(picked.mean())
        sds.append(picked.std())
    # Monte Carlo error of the four together is 0.008
    assert np.mean(means) == pytest.approx(shift, abs=0.03)
    assert np.mean(sds) == pytest.approx(1, abs=0.03)


def test_a_draw_that_would_have_to_be_picked_twice_is_an_error():
    weights = np.array([0.4, 0.3, 0.3])
    with pytest.raises(ValueError, match=r"1\.2, above 1: more proposals"):
        unique_indices(weights, 3, np.random.default_rng(0))


def test_estimate_reads_as_value_and_error():
    assert str(Estimate(-31.3124, 0.0041)) == "-31.312 ± 0.004"
