"""The table of a posterior, and whether its Monte Carlo error is right."""

import numpy as np
import pytest

from flowvi.inference.correct import unique_draws, weigh_for_unique
from flowvi.summary import summarise


@pytest.fixture
def draws(rng):
    return {
        "tau": rng.gamma(2.0, size=500),
        "theta": rng.normal(size=(500, 2, 3)),
        "none": np.zeros((500, 0)),
    }


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_agrees_with_numpy(draws):
    summary = summarise(draws, 400.0, "good")
    x = draws["theta"]
    found = summary["theta"]
    np.testing.assert_allclose(found.mean, x.mean(0))
    np.testing.assert_allclose(found.sd, x.std(0, ddof=1))
    np.testing.assert_allclose([found.q5, found.median, found.q95], np.quantile(x, [0.05, 0.5, 0.95], axis=0))
    np.testing.assert_allclose(found.mcse, x.std(0, ddof=1) / 20)
    assert summary["theta[1,2]"].mean == found.mean[1, 2]
    assert summary["tau"].mean == pytest.approx(draws["tau"].mean())


def test_is_a_mapping_of_scalars(draws):
    summary = summarise(draws, 500.0, "good")
    assert list(summary) == ["tau", *(f"theta[{i},{j}]" for i in range(2) for j in range(3))]
    assert len(summary) == 7
    assert "theta" in summary
    for name in ("sigma", "theta[2,0]", "theta[", "tau[0]"):
        with pytest.raises(KeyError, match="there are tau, theta"):
            summary[name]


def test_prints_a_row_per_scalar_and_the_verdict(draws):
    lines = str(summarise(draws, 500.0, "inconclusive")).splitlines()
    assert lines[0].split() == ["mean", "sd", "5%", "50%", "95%", "mcse"]
    assert [line.split()[0] for line in lines[1:-1]] == [
        "tau", "theta[0,0]", "theta[0,1]", "theta[0,2]", "theta[1,0]", "theta[1,1]", "theta[1,2]",
    ]  # fmt: skip
    assert len({len(line) for line in lines[:-1]}) == 1
    assert lines[-1] == "verdict: inconclusive"


def test_prints_the_first_rows_of_a_big_array(rng):
    summary = summarise({"x": rng.normal(size=(50, 1000)), "y": rng.normal(size=50)}, 50.0, "good")
    lines = str(summary).splitlines()
    assert lines[11] == "... 990 more, to x[999]"
    assert lines[12].startswith("y ")
    assert len(lines) == 14
    assert repr(summary) == str(summary)


def test_digits_follow_the_scale(rng):
    e = rng.normal(size=1000)
    text = str(summarise({"big": 1e7 + 1e5 * e, "small": 1e-6 * e, "fixed": np.full(1000, 2.0)}, 1e3, "good"))
    big, small, fixed = (line.split() for line in text.splitlines()[1:4])
    assert float(big[1]) == pytest.approx(1e7, rel=0.01)
    assert float(small[2]) == pytest.approx(1e-6, rel=0.1)
    assert fixed[1:] == ["2", "0", "2", "2", "2", "0"]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_stay_visible(bad):
    assert "nan" in str(summarise({"x": np.array([1.0, 2.0, bad])}, 3.0, "unreliable"))


def test_one_draw_has_no_sd():
    assert np.isnan(summarise({"x": np.array([1.5])}, 1.0, "unreliable")["x"].sd)


class _ShiftedNormal:
    """log N(shift, scale^2) over a standard normal proposal."""

    def __init__(self, shift, scale):
        self.shift, self.scale = shift, scale

    def value_in_time(self, z):
        return -0.5 * ((z[:, 0] - self.shift) / self.scale) ** 2

    def propose(self, rng, n):
        z = rng.standard_normal((n, 1))
        return z, -0.5 * z[:, 0] ** 2


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (0.6, 0.8), (0.0, 0.4)])
@pytest.mark.parametrize("power", [1, 2])
def test_monte_carlo_error_is_the_spread_of_repeated_means(rng, shift, scale, power):
    target, n, z_scores = _ShiftedNormal(shift, scale), 300, []
    truth = shift if power == 1 else shift**2 + scale**2
    for _ in range(200):
        weighted = weigh_for_unique(target, target.propose, rng, n)
        x = weighted.z[unique_draws(weighted, n, rng), 0] ** power
        effective = min(n, weighted.ess_ratio * len(weighted.z))
        found = summarise({"x": x}, effective, "good")["x"]
        z_scores.append((found.mean - truth) / found.mcse)
    assert np.mean(z_scores) == pytest.approx(0, abs=0.3)
    # four standard errors of a standard deviation of 200 numbers
    assert np.std(z_scores) == pytest.approx(1, abs=4 / np.sqrt(2 * 200))
