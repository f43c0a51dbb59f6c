"""The benchmarks' synthetic posteriors: exact draws and log evidence belong to the log density."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import jax
import numpy as np
import pytest
import scipy.stats

import flowvi
from from_benchmarks import load

synthetic = load("synthetic")
quickly = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})

COLLAPSED = {
    "gaussian_1e8_d10": (),
    "gaussian_1e8_d50": (),
    "regression_d1000": (),
    "crossed_d300": ("row_sd", "column_sd", "noise_sd"),
    "funnel_d10": ("v",),
    "funnel_d50": ("v",),
    "funana": ("v",),
    "hierarchy_centered": ("tau",),
    "hierarchy_noncentered": ("tau",),
}
"""Parameters given which the others are normal."""
SEPARABLE = ("two_modes_8_d10", "many_well_d8")
HEAVY_TAILED = ("student_t_1.5", "student_t_2.5", "student_t_5", "dirichlet")
IMPROPER = ("flat_direction", "flat_ridge", "flat_log_scale", "separated_logistic")
FEW_DIMENSIONS = [
    name for name in synthetic.TARGETS if name not in (*COLLAPSED, *SEPARABLE, *HEAVY_TAILED, *IMPROPER)
]


class Unconstrained:
    """An entry on R^dim: its log density and score, compiled once, and some of its draws."""

    def __init__(self, name: str):
        self.entry = synthetic.TARGETS[name]()
        self.target = flowvi.Target.from_log_density(
            self.entry.log_density, self.entry.example, self.entry.supports
        )
        # batches are small since jaxlib 0.10.2 is wrong in large ones: jax issue 39103
        self.batch = 2000 if self.target.dim < 100 else 500
        self._value_and_grad = quickly(jax.vmap(jax.value_and_grad(self.target.log_density)))
        if self.entry.proper:
            draws = self.entry.draws(np.random.default_rng(11), self.batch)
            pull = jax.vmap(lambda p: self.target.supports.inverse_and_log_det(p)[0])
            self.z = np.asarray((quickly(pull) if self.entry.supports else pull)(draws))

    def score(self, z: Any) -> np.ndarray:
        return self._evaluate(z)[1]

    def log_density(self, z: Any) -> np.ndarray:
        return self._evaluate(z)[0]

    def _evaluate(self, z: Any) -> tuple[np.ndarray, np.ndarray]:
        padded = np.concatenate([z, np.zeros((-len(z) % self.batch, self.target.dim))])
        parts = [self._value_and_grad(part) for part in np.split(padded, len(padded) // self.batch)]
        values, scores = (np.concatenate(each)[: len(z)] for each in zip(*parts, strict=True))
        return values, scores


@cache
def built(name: str) -> Unconstrained:
    return Unconstrained(name)


@pytest.fixture(autouse=True)
def x64():
    with jax.enable_x64(True):
        yield


def require_zero_mean(a: Any) -> None:
    """Every column's mean lies within 5 standard errors of zero."""
    a = np.asarray(a)
    assert np.all(np.isfinite(a))
    assert np.abs(a.mean(axis=0) / (a.std(axis=0) / np.sqrt(len(a)))).max() < 5


@pytest.mark.parametrize("name", [n for n in synthetic.TARGETS if n not in (*IMPROPER, "hard_wall")])
def test_draws_have_the_score_of_the_density(name):
    """Stein's identity, E[h(z) d log p / dz + h'(z)] = 0 for h = 1 and for a bounded h."""
    one = built(name)
    scores = one.score(one.z)
    low, middle, high = np.quantile(one.z, [0.25, 0.5, 0.75], axis=0)
    h = np.tanh((one.z - middle) / (high - low))
    require_zero_mean(scores)
    require_zero_mean(h * scores + (1 - h**2) / (high - low))


@pytest.mark.parametrize("name", FEW_DIMENSIONS)
def test_few_dimensions_by_quadrature(name):
    one = built(name)
    margin = 0.2 * np.ptp(one.z, axis=0)
    size = {2: 400, 3: 50}[one.target.dim]
    axes = np.linspace(one.z.min(axis=0) - margin, one.z.max(axis=0) + margin, size).T
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, one.target.dim)
    log_density = one.log_density(grid)
    weights = np.exp(log_density - log_density.max())
    cell = np.prod(axes[:, 1] - axes[:, 0])
    assert log_density.max() + np.log(weights.sum() * cell) == pytest.approx(one.entry.log_evidence, abs=0.01)
    mean = weights @ grid / weights.sum()
    square = weights @ (grid - mean) ** 2 / weights.sum()
    require_zero_mean(one.z - mean)
    require_zero_mean((one.z - mean) ** 2 - square)


@pytest.mark.parametrize("name", COLLAPSED)
def test_normal_given_the_rest(name):
    """Importance sampling of the rest, with the normal part integrated in closed form."""
    one = built(name)
    is_outer = np.array([label.split("[")[0] in COLLAPSED[name] for label in one.target.coordinates])
    inner, outer = np.flatnonzero(~is_outer), np.flatnonzero(is_outer)

    @quickly
    def hessian(z):
        return jax.hessian(lambda z_inner: one.target.log_density(z.at[inner].set(z_inner)))(z[inner])

    def log_marginal(z_outer):
        z = np.zeros((len(z_outer), one.target.dim))
        z[:, outer] = z_outer
        value, score = one.log_density(z), one.score(z)[:, inner]
        precision = -np.stack([hessian(row) for row in z])
        explained = np.sum(score * np.linalg.solve(precision, score[..., None])[..., 0], axis=1)
        log_volume = len(inner) / 2 * np.log(2 * np.pi) - np.linalg.slogdet(precision)[1] / 2
        return value + 0.5 * explained + log_volume

    if len(outer) == 0:
        assert log_marginal(np.zeros((1, 0))) == pytest.approx(one.entry.log_evidence, abs=1e-6)
        return
    known = one.z[:, outer]
    q = scipy.stats.multivariate_t(known.mean(axis=0), np.atleast_2d(np.cov(known.T)), df=8, seed=1)
    z = q.rvs(100 if one.target.dim < 100 else 6).reshape(-1, len(outer))
    off = log_marginal(z) - q.logpdf(z) - one.entry.log_evidence
    require_zero_mean(np.exp(off)[:, None] - 1)
    assert off.std() < 1


@pytest.mark.parametrize("name", SEPARABLE)
def test_separable_by_quadrature_of_each_coordinate(name):
    one = built(name)
    dim = one.target.dim
    at_origin = one.log_density(np.zeros((1, dim)))[0]
    axis = np.linspace(-12, 12, 2000)
    along = np.stack([one.log_density(axis[:, None] * np.eye(dim)[i]) for i in range(dim)])

    at_draws = sum(one.log_density(one.z * np.eye(dim)[i]) for i in range(dim)) - (dim - 1) * at_origin
    np.testing.assert_allclose(one.log_density(one.z), at_draws, atol=1e-6)
    integrals = np.log(np.exp(along - at_origin).sum(axis=1) * (axis[1] - axis[0]))
    assert integrals.sum() + at_origin == pytest.approx(one.entry.log_evidence, abs=1e-6)
    weights = np.exp(along - along.max(axis=1, keepdims=True))
    require_zero_mean(one.z - weights @ axis / weights.sum(axis=1))


@pytest.mark.parametrize("name", HEAVY_TAILED)
def test_heavy_tails_by_importance_sampling(name):
    """Proposals are Cauchy, shaped like the middle of the draws."""
    one = built(name)
    low, middle, high = np.quantile(one.z, [0.25, 0.5, 0.75], axis=0)
    core = one.z[np.all(np.abs(one.z - middle) < 3 * (high - low), axis=1)]
    q = scipy.stats.multivariate_t(core.mean(axis=0), np.cov(core.T), df=1, seed=1)
    z = q.rvs(20_000)
    ratio = np.exp(one.log_density(z) - q.logpdf(z) - one.entry.log_evidence)
    require_zero_mean(ratio[:, None] - 1)
    assert ratio.std() < 5


@pytest.mark.parametrize("name", IMPROPER)
def test_integral_of_an_improper_density_grows_without_end(name):
    one = built(name)
    assert one.entry.draws is None
    assert one.entry.log_evidence is None
    axis = np.arange(-200.0, 201.0)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    density = np.exp(one.log_density(grid))
    within = [density[np.all(np.abs(grid) <= half, axis=1)].sum() for half in (50, 100, 200)]
    assert within[1] > 1.8 * within[0]
    assert within[2] > 1.8 * within[1]


@pytest.mark.parametrize("name", [n for n in synthetic.TARGETS if n not in IMPROPER])
def test_draws_repeat_and_are_the_examples_shape(name):
    entry = built(name).entry
    draws, again = (entry.draws(np.random.default_rng(0), 5) for _ in range(2))
    assert {k: v.shape for k, v in draws.items()} == {k: (5, *v.shape) for k, v in entry.example.items()}
    assert all(np.array_equal(draws[k], again[k]) for k in draws)


@pytest.mark.parametrize("name", ["funnel_d10", "funana", "two_modes_3", "two_modes_8_d10", "forty_modes"])
def test_further_errors_of_exact_draws_are_small(name):
    entry = built(name).entry
    draws = entry.draws(np.random.default_rng(0), 20_000)
    assert entry.errors
    assert all(abs(error(draws)) < 0.08 for error in entry.errors.values())
