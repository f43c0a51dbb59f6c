"""R-hat and effective draws against their definitions and known autocorrelation."""

import arviz_stats
import numpy as np
import pytest
import scipy.stats
import xarray as xr

from flowvi.diagnostics.mixing import mixing


def independent(iterations=500, chains=6, scalars=2, seed=0):
    return np.random.default_rng(seed).standard_normal((iterations, chains, scalars))


def autocorrelated(correlation, iterations=4000, chains=4, seed=0):
    noise = np.random.default_rng(seed).standard_normal((iterations, chains, 1))
    x = noise.copy()
    for i in range(1, iterations):
        x[i] = correlation * x[i - 1] + np.sqrt(1 - correlation**2) * noise[i]
    return x


def rank_normalised(x):
    return scipy.stats.norm.ppf((scipy.stats.rankdata(x).reshape(x.shape) - 0.375) / (x.size + 0.25))


def split_rhat(x):
    """Of (iterations, chains), as in equations 1 to 4 of the paper."""
    half = len(x) // 2
    parts = np.concatenate([x[:half], x[-half:]], axis=1)
    within = parts.var(axis=0, ddof=1).mean()
    between = half * parts.mean(axis=0).var(ddof=1)
    return np.sqrt(((half - 1) / half * within + between / half) / within)


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_rhat_is_the_larger_of_bulk_and_folded(shift):
    x = independent()
    # one chain elsewhere in the first scalar, and wider in the second
    x[:, 0, 0] += shift
    x[:, 0, 1] *= 1 + 3 * shift
    expected = [
        max(split_rhat(rank_normalised(each)), split_rhat(rank_normalised(np.abs(each - np.median(each)))))
        for each in np.moveaxis(x, 2, 0)
    ]
    found = mixing(x)
    np.testing.assert_allclose(found.rhat, expected, rtol=1e-9)
    assert found.worst_rhat == max(found.rhat)
    assert (found.worst_rhat > 1.01) == (shift > 0)


@pytest.mark.parametrize("correlation", [0.0, 0.7, -0.4])
def test_effective_draws_of_known_autocorrelation(correlation):
    x = autocorrelated(correlation)
    # the effective draws of tails are more, as those of a function of an autocorrelated normal
    expected = x.size * (1 - correlation) / (1 + correlation)
    found = mixing(x).ess[0]
    # estimates of the autocorrelation scatter by a few percent in 16,000 draws
    if correlation >= 0:
        assert found == pytest.approx(expected, rel=0.12)
    else:
        assert x.size * 0.8 < found < 1.1 * expected


def test_effective_draws_are_the_fewer_of_bulk_and_tails():
    # signs are independent and sizes change slowly: the bulk mixes at once, the tails do not
    size = np.exp(autocorrelated(0.98, iterations=1000))
    x = np.concatenate([size * independent(1000, 4, 1), np.cumsum(independent(1000, 4, 1), axis=0)], axis=2)
    data = xr.Dataset({"x": (("draw", "chain", "scalar"), x)})
    bulk = arviz_stats.ess(data, method="bulk")["x"].to_numpy()
    tail = arviz_stats.ess(data, method="tail", prob=(0.05, 0.95))["x"].to_numpy()
    assert tail[0] < bulk[0] / 4
    assert bulk[1] < tail[1]
    found = mixing(x)
    np.testing.assert_allclose(found.ess, np.minimum(bulk, tail), rtol=1e-9)
    assert found.least_ess == found.ess.min()


def test_chains_that_do_not_move_are_not_mixed():
    still = independent()
    still[..., 1] = 3.0
    found = mixing(still)
    assert np.isinf(found.worst_rhat)
    assert found.least_ess == 0 or found.worst_rhat > 1.01
    # each in its own place
    apart = mixing(np.broadcast_to(np.arange(6.0)[:, None], (500, 6, 1)))
    assert apart.worst_rhat > 2


def test_a_draw_that_is_not_a_number_is_no_evidence_of_mixing():
    for bad in (np.nan, np.inf, -np.inf):
        x = independent()
        x[7, 2, 1] = bad
        found = mixing(x)
        assert found.rhat[0] < 1.01
        assert np.isinf(found.worst_rhat) or np.isinf(bad)
        if np.isnan(bad):
            assert found.least_ess == 0
