"""Densities of tables: against ones that are known, and what is refused."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.stats

import flowvi
from flowvi.density import fit_density as module
from flowvi.errors import ArgumentError, DataError, FlowError

N = 4000


def quiet(x, **kwargs):
    return flowvi.fit_density(x, progress=False, **kwargs)


def skewed(n, seed=0):
    """A log-normal column far from zero, and one that bends around it."""
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((2, n))
    return np.stack([100 + 10 * np.exp(0.5 * a), 0.01 * (a**2 + 0.5 * b)], axis=1)


def skewed_log_density(x):
    a = 2 * np.log((x[:, 0] - 100) / 10)
    first = scipy.stats.norm.logpdf(a) + np.log(2 / (x[:, 0] - 100))
    return first + scipy.stats.norm.logpdf(x[:, 1] / 0.01, a**2, 0.5) - np.log(0.01)


@pytest.fixture(scope="module")
def fitted():
    return quiet(skewed(N), seed=1)


def test_close_to_the_density_that_the_data_come_from(fitted):
    fresh = skewed(20_000, seed=1)
    exact = skewed_log_density(fresh)
    lost = exact - fitted.flow.log_prob(fresh)
    # KL(p, q); the best Gaussian loses 1.1 nats
    assert -0.01 < lost.mean() < 0.15
    gaussian = scipy.stats.multivariate_normal(fresh.mean(axis=0), np.cov(fresh.T)).logpdf(fresh)
    assert (exact - gaussian).mean() > 0.8


def test_the_held_out_score_is_that_of_fresh_rows(fitted):
    fresh = fitted.flow.log_prob(skewed(20_000, seed=2))
    error = np.hypot(fitted.held_out.standard_error, fresh.std() / np.sqrt(len(fresh)))
    assert abs(fitted.held_out.value - fresh.mean()) < 4 * error
    assert 0 < fitted.held_out.standard_error < 0.1


def test_the_curve_rises_to_where_it_ends(fitted):
    assert set(fitted.curve) == {"step", "train", "validation"}
    assert fitted.curve["validation"].max() > fitted.curve["validation"][0]
    assert np.all(np.diff(fitted.curve["step"]) > 0)
    assert not fitted.interrupted


def test_draws_have_the_scale_of_the_data(fitted):
    draws, x = fitted.flow.sample(0, (N,)), skewed(N)
    np.testing.assert_allclose(np.median(draws, axis=0), np.median(x, axis=0), atol=0.1 * x.std(axis=0).max())
    low, high = np.quantile(draws[:, 0], [0.05, 0.95])
    assert low == pytest.approx(np.quantile(x[:, 0], 0.05), abs=1)
    assert high == pytest.approx(np.quantile(x[:, 0], 0.95), abs=2.5)


def test_given_a_condition():
    rng = np.random.default_rng(0)
    c = rng.uniform(1000, 2000, size=(N, 1))
    x = 0.01 * c + rng.standard_normal((N, 1))
    fit = quiet(x, condition=c, flow="real_nvp", max_steps=2000)
    grid = np.linspace(5, 25, 400)
    for at in (1200.0, 1800.0):
        density = np.exp(fit.flow.log_prob(grid[:, None], np.array([at])))
        mean = np.trapezoid(density * grid, grid)
        assert np.trapezoid(density, grid) == pytest.approx(1, abs=1e-3)
        assert mean == pytest.approx(0.01 * at, abs=0.2)


def test_tables_of_all_kinds_give_the_same(tmp_path):
    x = skewed(400)
    np.save(tmp_path / "x.npy", x)
    frame = pd.DataFrame(x, columns=["a", "b"])
    tables = [x, np.load(tmp_path / "x.npy", mmap_mode="r"), frame, pa.Table.from_pandas(frame)]
    scores = [quiet(table, flow="nice", max_steps=200).held_out for table in tables]
    assert len(set(scores)) == 1


def test_columns_that_take_few_values_are_spread_on_request():
    rng = np.random.default_rng(0)
    x = np.stack([rng.poisson(4, N), rng.standard_normal(N)], axis=1)
    with pytest.raises(DataError, match=r"few values in column 0.*dequantise=True"):
        quiet(x)
    fit = quiet(x, dequantise=True, flow="neural_spline", max_steps=2000)
    # of the discrete column, the score is that of its probabilities
    entropy = scipy.stats.poisson(4).entropy() + scipy.stats.norm.entropy()
    assert fit.held_out.value == pytest.approx(-entropy, abs=0.1 + 3 * fit.held_out.standard_error)


def test_ctrl_c_keeps_the_best_flow(monkeypatch):
    rounds = module.rounds

    def interrupted(*args, **kwargs):
        yield next(rounds(*args, **kwargs))
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "rounds", interrupted)
    fit = quiet(skewed(400), flow="nice")
    assert fit.interrupted
    assert len(fit.curve["step"]) == 1
    assert np.isfinite(fit.held_out.value)


BAD = {
    "empty": (lambda: quiet(np.zeros((0, 2))), DataError, r"shape \(0, 2\)"),
    "three axes": (lambda: quiet(np.zeros((5, 2, 2))), DataError, "rows and columns"),
    "few rows": (lambda: quiet(skewed(20)), DataError, "20 rows"),
    "nan": (lambda: quiet(np.where(np.arange(400)[:, None] == 7, np.nan, skewed(400))), DataError, "row 7"),
    "text": (lambda: quiet(np.array([["a", "b"]] * 100)), DataError, "real numbers"),
    "constant": (
        lambda: quiet(np.stack([skewed(400)[:, 0], np.ones(400)], axis=1)),
        DataError,
        "constant in column 1",
    ),
    "rows differ": (lambda: quiet(skewed(400), condition=np.zeros(3)), DataError, "400 rows and condition 3"),
    "unknown flow": (lambda: quiet(skewed(400), flow="magic"), FlowError, "'magic'"),
    "other dim": (lambda: quiet(skewed(400), flow=flowvi.flows.nice(3, key=0)), FlowError, "dim 3"),
    "steps": (lambda: quiet(skewed(400), max_steps=0), ArgumentError, "max_steps=0"),
}


@pytest.mark.parametrize(("attempt", "error", "words"), BAD.values(), ids=BAD)
def test_what_is_refused(attempt, error, words):
    with pytest.raises(error, match=words):
        attempt()
