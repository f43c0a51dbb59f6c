"""k-hat of weighted moments against the tails that are known."""

import numpy as np
import pytest
import scipy.stats

from flowvi.diagnostics.moments import moment_tails
from flowvi.diagnostics.psis import smooth_weights


def tails(target, proposal, size=200_000):
    z = proposal.rvs(size, random_state=np.random.default_rng(0))
    log_weights = target.logpdf(z) - proposal.logpdf(z)
    return moment_tails(z[:, None], log_weights, smooth_weights(log_weights).weights)


@pytest.mark.parametrize("df", [3.0, 5.0])
def test_shape_of_the_tail_of_a_power_law(df):
    # z^m under a t is beyond c with probability c^(-df / m): k = m / df, with constant weights
    found = tails(scipy.stats.t(df), scipy.stats.t(df))
    assert found.first[0] == pytest.approx(1 / df, abs=0.15)
    assert found.second[0] == pytest.approx(2 / df, abs=0.15)


def test_a_moment_that_does_not_exist():
    assert tails(scipy.stats.t(1.5), scipy.stats.t(1.5)).second[0] > 1


def test_coordinates_are_told_apart():
    rng = np.random.default_rng(1)
    z = np.stack([rng.standard_normal(20_000), rng.standard_t(1.5, 20_000)], axis=1)
    found = moment_tails(z, np.zeros(20_000), np.full(20_000, 1 / 20_000))
    assert found.second[0] < 0.4
    assert found.second[1] > 1
    assert found.first[0] < found.first[1]
