"""The definition of accuracy that the benchmarks share: right draws pass, wrong ones do not."""

from __future__ import annotations

import numpy as np
import pytest

from from_benchmarks import load

accuracy = load("accuracy")


def normal(seed: int, chains: int = 1, draws: int = 4000, shape: tuple[int, ...] = (3,)) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(chains, draws, *shape))


def autocorrelated(seed: int, correlation: float, chains: int = 4, draws: int = 1000) -> np.ndarray:
    noise = normal(seed, chains, draws, ())
    x = noise.copy()
    for i in range(1, draws):
        x[:, i] = correlation * x[:, i - 1] + np.sqrt(1 - correlation**2) * noise[:, i]
    return x


reference = {"x": normal(0, 10, 1000)}


def test_draws_of_the_reference_distribution_are_accurate() -> None:
    judged = accuracy.judge({"x": normal(1)}, reference, independent=True)
    assert judged.accurate
    assert not judged.wrong
    assert judged.location < 0.06


@pytest.mark.parametrize(
    ("shift", "scale", "accurate", "wrong"),
    [(0.25, 1.0, False, True), (0.0, 1.3, False, True), (0.0, 0.75, False, True), (0.03, 1.02, True, False)],
)
def test_shifts_and_scales_are_told_apart(shift: float, scale: float, accurate: bool, wrong: bool) -> None:
    draws = scale * normal(1)
    draws[..., 1] += shift
    judged = accuracy.judge({"x": draws}, reference, independent=True)
    assert (judged.accurate, judged.wrong) == (accurate, wrong)
    if shift > 0.1:
        assert judged.location_of == "x[1]"
        assert judged.location == pytest.approx(shift, abs=0.05)
    if scale != 1.0:
        assert judged.spread == pytest.approx(abs(np.log(scale)), abs=0.04)


def test_errors_do_not_depend_on_location_and_scale_of_the_quantity() -> None:
    first = accuracy.judge({"x": normal(1)}, reference)
    second = accuracy.judge({"x": 1e-3 * normal(1) + 7}, {"x": 1e-3 * reference["x"] + 7})
    assert second.location == pytest.approx(first.location, rel=1e-6)
    assert second.spread == pytest.approx(first.spread, rel=1e-6)


@pytest.mark.parametrize("correlation", [0.0, 0.9])
def test_standard_errors_cover_the_errors_of_right_draws(correlation: float) -> None:
    scores = []
    for seed in range(60):
        x = autocorrelated(seed, correlation)[..., None]
        r = normal(1000 + seed, 10, 1000, (1,))
        location, spread, location_error, spread_error = accuracy._errors(x, r, False)
        scores.append((location / location_error, spread / spread_error))
    assert np.all(np.abs(np.sqrt(np.mean(np.square(scores), axis=0)) - 1) < 0.35)


def test_standard_errors_of_quantiles_cover_the_errors_of_heavy_tailed_draws() -> None:
    scores = []
    for seed in range(60):
        generator = np.random.default_rng(seed)
        x, r = (generator.standard_t(2, size=(1, n, 1)) for n in (4000, 10_000))
        location, spread, location_error, spread_error = accuracy._quantile_errors(x, r, True)
        scores.append((location / location_error, spread / spread_error))
    assert np.all(np.abs(np.sqrt(np.mean(np.square(scores), axis=0)) - 1) < 0.35)


def test_heavy_tails_are_compared_by_quantiles() -> None:
    generator = np.random.default_rng(0)
    heavy = {"x": generator.standard_cauchy(size=(10, 1000))}
    assert accuracy.judge({"x": generator.standard_cauchy(size=(1, 4000))}, heavy).accurate
    assert accuracy.judge({"x": 1.4 * generator.standard_cauchy(size=(1, 4000))}, heavy).wrong


def test_broken_draws_are_wrong() -> None:
    draws = normal(1)
    draws[0, 7, 2] = np.nan
    assert accuracy.judge({"x": draws}, reference).wrong
    assert accuracy.judge({"x": np.zeros((1, 4000, 3))}, reference).wrong
    with pytest.raises(ValueError, match="shape"):
        accuracy.judge({"x": normal(1, shape=(2,))}, reference)


def test_evidence_is_judged_by_its_error_and_its_standard_error() -> None:
    assert accuracy.evidence_within_bar(1.019, 0.001, 1.0, 0.001)
    assert accuracy.evidence_within_bar(1.05, 0.03, 1.0, 0.001)
    assert not accuracy.evidence_within_bar(1.05, 0.01, 1.0, 0.001)
    assert not accuracy.evidence_within_bar(1.0, 0.06, 1.0, 0.001)
    assert not accuracy.evidence_within_bar(float("nan"), 0.01, 1.0, 0.001)
