"""Checks of amortized posteriors: passed by exact posteriors, failed by wrong ones."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

from flowvi.amortized.checks import check_draws
from flowvi.errors import ArgumentError, DataError

matplotlib.use("agg")

N, DRAWS = 400, 199


def posterior_draws(shift=0.0, scale=1.0, seed=0):
    """True means of a linear Gaussian model, and draws of its posterior, moved by so many sds and scaled."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(N, 2))
    x = truth + 0.5 * rng.normal(size=(N, 2))
    sd = 0.2**0.5
    draws = 0.8 * x[:, None] + sd * (shift + scale * rng.normal(size=(N, DRAWS, 2)))
    return {"mu": truth}, {"mu": draws}


@pytest.fixture(scope="module")
def exact():
    return check_draws(*posterior_draws())


def test_exact_draws_pass(exact):
    assert exact.miscalibrated == ()
    for one in exact.scalars.values():
        # within four standard errors
        assert abs(one.coverage_90 - 0.9) < 4 * (0.09 / N) ** 0.5
        assert abs(one.coverage_50 - 0.5) < 4 * (0.25 / N) ** 0.5
        # the correlation of the posterior mean with the truth is the root of 1 - 0.2
        assert abs(one.recovery - 0.8**0.5) < 0.06
        assert abs(one.contraction - 0.8) < 0.06
    assert "No ranks depart" in str(exact)
    assert "mu[1]" in str(exact)
    assert "miscalibrated=()" in repr(exact)


WRONG = {"off by half an sd": {"shift": 0.5}, "too narrow": {"scale": 0.7}, "too wide": {"scale": 1.5}}


@pytest.mark.parametrize("how", WRONG.values(), ids=WRONG)
def test_wrong_draws_fail(how):
    checks = check_draws(*posterior_draws(**how))
    assert set(checks.miscalibrated) == {"mu[0]", "mu[1]"}
    assert "MISCALIBRATED: the ranks of" in str(checks)


def test_narrow_draws_cover_too_little():
    one = check_draws(*posterior_draws(scale=0.5)).scalars["mu[0]"]
    # P(|N(0, 1)| < 0.5 * 1.645)
    assert abs(one.coverage_90 - 0.589) < 4 * (0.24 / N) ** 0.5


def test_the_prior_is_calibrated_but_does_not_contract():
    rng = np.random.default_rng(0)
    checks = check_draws({"mu": rng.normal(size=N)}, {"mu": rng.normal(size=(N, DRAWS))})
    assert checks.miscalibrated == ()
    assert abs(checks.scalars["mu"].contraction) < 0.3
    assert abs(checks.scalars["mu"].recovery) < 0.2


def test_a_trained_q_passes(linear):
    checks = linear.check(200, seed=7)
    assert checks.simulations == 200
    assert set(checks.scalars) == {"mu[0]", "mu[1]", "sum"}
    # training is short: far off would still show
    assert min(one.p for one in checks.scalars.values()) > 1e-4
    assert all(abs(one.coverage_90 - 0.9) < 0.1 for one in checks.scalars.values())


def test_pictures(exact):
    for figure in (
        exact.plot_ecdf(),
        exact.plot_ranks("mu"),
        exact.plot_recovery(),
        exact.plot_recovery("mu[1]"),
    ):
        assert figure.axes
        plt.close(figure)
    with pytest.raises(ArgumentError, match="'nu'"):
        exact.plot_recovery("nu")


def test_draws_that_do_not_fit_are_refused():
    truth, draws = posterior_draws()
    with pytest.raises(DataError, match="do not fit"):
        check_draws({"mu": truth["mu"][:5]}, draws)
    with pytest.raises(DataError, match="nu"):
        check_draws({"nu": truth["mu"]}, draws)
