"""MMD, C2ST, precision and recall, modes covered: against closed forms and values known beforehand."""

import numpy as np
import pytest
import scipy.stats

from flowvi.diagnostics.c2st import c2st
from flowvi.diagnostics.mmd import median_distance, mmd_squared
from flowvi.diagnostics.modes_covered import modes_covered
from flowvi.diagnostics.precision_recall import precision_recall
from flowvi.errors import ArgumentError, DataError

METRICS = {
    "mmd": mmd_squared,
    "c2st": c2st,
    "precision and recall": precision_recall,
    "modes": lambda x, y: modes_covered(x, y, radius=1.0),
}


def normal(n, seed, location=0.0, scale=1.0, dim=2):
    return location + scale * np.random.default_rng(seed).normal(size=(n, dim))


def kernel_mean(shift, variance, bandwidth, dim):
    """E exp(-|d|^2 / (2 b^2)) for d ~ N(shift in each coordinate, variance)."""
    total = bandwidth**2 + variance
    return (bandwidth**2 / total) ** (dim / 2) * np.exp(-dim * shift**2 / (2 * total))


def exact_mmd(shift, scale, bandwidth, dim=2):
    own = kernel_mean(0, 2, bandwidth, dim) + kernel_mean(0, 2 * scale**2, bandwidth, dim)
    return own - 2 * kernel_mean(shift, 1 + scale**2, bandwidth, dim)


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (0.5, 1.0), (0.0, 1.6), (1.0, 0.5)])
def test_mmd_of_gaussians_is_the_closed_form_within_its_error(shift, scale):
    estimates = [
        mmd_squared(normal(120, seed), normal(90, 1000 + seed, shift, scale), bandwidth=1.3)
        for seed in range(200)
    ]
    values, errors = np.array(estimates).T
    # without bias, and with the error that it says
    assert abs(values.mean() - exact_mmd(shift, scale, 1.3)) < 4 * values.std() / np.sqrt(200)
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(values.std(), rel=0.2)


def test_the_error_of_mmd_is_not_too_large_where_distributions_are_equal():
    ratios = []
    for dim, bandwidth, shift in ((1, 1.0, 0.0), (2, 1.3, 0.0), (2, 1.3, 0.3)):
        estimates = [
            mmd_squared(normal(50, seed, dim=dim), normal(40, 1000 + seed, shift, dim=dim), bandwidth)
            for seed in range(400)
        ]
        values, errors = np.array(estimates).T
        ratios.append(np.sqrt(np.mean(errors**2)) / values.std())
    # sds of 400 values are right to 5%, of equal distributions' to 8%; cut off at zero the first two are 1.3
    assert np.mean(ratios[:2]) < 1.25
    assert ratios[2] > 0.8


def test_median_distance():
    assert median_distance(np.array([[0.0], [1.0]]), np.array([[3.0]])) == 2.0
    x = normal(5000, 0)
    # |x - x'| / sqrt(2) is Rayleigh distributed
    exact = np.sqrt(2) * scipy.stats.rayleigh.median()
    assert median_distance(x[:3000], x[3000:]) == pytest.approx(exact, rel=0.03)


def test_c2st_of_shifted_gaussians_is_that_of_the_best_classifier():
    shift = 2.0
    accuracy = c2st(normal(600, 0, dim=1), normal(600, 1, shift, dim=1), seed=0)
    assert accuracy.value == pytest.approx(scipy.stats.norm.cdf(shift / 2), abs=4 * accuracy.standard_error)
    assert accuracy.standard_error == pytest.approx(np.sqrt(0.84 * 0.16 / 1200), rel=0.1)


def test_c2st_of_one_distribution_is_a_half():
    accuracy = c2st(normal(500, 0), normal(400, 1), seed=1)
    assert accuracy.value == pytest.approx(0.5, abs=4 * accuracy.standard_error)


@pytest.mark.slow
def test_c2st_is_the_same_for_the_same_seed():
    x, y = normal(60, 0), normal(60, 1, 0.5)
    assert c2st(x, y, seed=3) == c2st(x, y, seed=3)


def test_precision_and_recall_on_a_line():
    data = np.arange(10.0)[:, None]
    # the balls reach from -1 to 10
    draws = np.array([[-1.5], [-0.9], [4.5], [9.9], [10.2]])
    measured = precision_recall(data, draws, neighbours=1)
    assert measured.precision.value == pytest.approx(3 / 5)
    # balls of the draws: 0.6 around -1.5 and -0.9, 5.4 around 4.5, 0.3 around 9.9 and 10.2
    assert measured.recall.value == 1.0
    assert measured.precision.standard_error == pytest.approx(np.sqrt(0.6 * 0.4 / 5))


def test_a_missing_half_costs_recall_and_noise_costs_precision():
    data = normal(1000, 0)
    half = normal(2000, 1)
    half = half[half[:, 0] > 0][:900]
    of_half = precision_recall(data, half)
    assert of_half.precision.value > 0.9
    assert of_half.recall.value == pytest.approx(0.5, abs=0.06)
    of_noise = precision_recall(data, np.concatenate([half, 50 + normal(900, 2)]))
    assert of_noise.precision.value == pytest.approx(0.5, abs=0.06)


def test_precision_is_recall_the_other_way_round():
    x, y = normal(200, 0), normal(150, 1, 1.0)
    there, back = precision_recall(x, y), precision_recall(y, x)
    assert there.precision == back.recall
    assert there.recall == back.precision


def test_modes_covered():
    centres = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    # 60 at the first, 39 at the second, one at the third; 20 far from all
    draws = np.concatenate([np.repeat(centres, [60, 39, 1], axis=0), np.full((20, 2), 100.0)]) + 0.1 * normal(
        120, 0
    )
    modes = modes_covered(draws, centres, radius=1.0)
    assert (modes.covered, modes.of) == (2, 3)
    assert modes.near == pytest.approx(100 / 120)
    assert modes_covered(draws, centres, radius=1.0, least=0.01).covered == 3


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (np.full((30, 2), np.nan), "not finite"),
        (np.zeros((30, 3)), "columns"),
        (np.zeros(30), "shape"),
        (np.zeros((0, 2)), "rows"),
        ([["a", "b"]] * 30, "numbers"),
    ],
    ids=["NaN", "columns", "vector", "empty", "words"],
)
def test_bad_samples_are_refused(metric, bad, words, as_users_run_it):
    with pytest.raises(DataError, match=words):
        metric(normal(30, 0), bad)


def test_bad_settings_are_refused(as_users_run_it):
    x, y = normal(30, 0), normal(30, 1)
    for bad in (0.0, -1.0, np.nan, True):
        with pytest.raises(ArgumentError, match="bandwidth"):
            mmd_squared(x, y, bandwidth=bad)
        with pytest.raises(ArgumentError, match="radius"):
            modes_covered(x, y, radius=bad)
    with pytest.raises(ArgumentError, match="bandwidth="):
        mmd_squared(np.zeros((9, 2)), np.zeros((9, 2)))
    with pytest.raises(ArgumentError, match="folds"):
        c2st(x, y, folds=1)
    with pytest.raises(ArgumentError, match="neighbours"):
        precision_recall(x, y, neighbours=0)
    with pytest.raises(ArgumentError, match="radius='far'"):
        modes_covered(x, y, radius="far")
    with pytest.raises(ArgumentError, match="seed=-1"):
        c2st(x, y, seed=-1)
    with pytest.raises(ArgumentError, match="width=0"):
        c2st(x, y, width=0)


def test_settings_of_any_kind_of_number(as_users_run_it):
    x, y = normal(30, 0), normal(30, 1)
    assert 0 <= c2st(x, y, folds=np.int64(2), width=np.int64(2)).value <= 1
    assert precision_recall(x, y, np.int64(3)) == precision_recall(x, y)
    assert mmd_squared(x, y, np.float32(1.5)) == mmd_squared(x, y, 1.5)
    assert modes_covered(x, y, np.float32(0.5), np.float32(0.25)) == modes_covered(x, y, 0.5, 0.25)
