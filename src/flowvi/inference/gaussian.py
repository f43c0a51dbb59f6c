"""The best Gaussian: batch-and-match from the modes, or from broad beginnings where there are none."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from flowvi.inference.cholesky import lower_factor
from flowvi.inference.density import BATCH, Density
from flowvi.inference.explore import Mode

_LEFT_OUT = 0.1
"""Share of a batch, those with the lowest weights, that is left out of a step: draws far from the target
say little about it."""

RUNAWAY = 1e10
"""Scale on the unconstrained side beyond which a posterior is taken not to integrate."""

_MEAN_FIELD_STEPS = 300

_WINDOW = 5
"""Steps over which ELBOs are averaged to compare them."""


class Gaussian(NamedTuple):
    """A normal distribution on the unconstrained scale, as NumPy arrays.

    Attributes:
        location: (dim,)
        scale_tril: (dim, dim), lower Cholesky factor of the covariance.
    """

    location: Float[np.ndarray, " dim"]
    scale_tril: Float[np.ndarray, "dim dim"]

    def push(self, base: Float[np.ndarray, "n dim"]) -> tuple[np.ndarray, np.ndarray]:
        """z = location + scale_tril base for standard normal base draws, and log |det|, (n,)."""
        log_det = np.log(np.diag(self.scale_tril)).sum()
        return self.location + base @ self.scale_tril.T, np.full(len(base), log_det)

    def pull(self, z: Float[np.ndarray, "n dim"]) -> tuple[np.ndarray, np.ndarray]:
        """The inverse of `push`, and its log |det|."""
        base = np.linalg.solve(self.scale_tril, (z - self.location).T).T
        return base, np.full(len(z), -np.log(np.diag(self.scale_tril)).sum())

    def distance(self, z: Float[np.ndarray, " dim"]) -> float:
        """Mahalanobis distance of a point."""
        return float(np.linalg.norm(self.pull(z[None])[0]))


class GaussianFit(NamedTuple):
    """A fitted Gaussian.

    Attributes:
        gaussian: the fit.
        elbo: mean of the last steps' ELBOs, the lowest weights left out.
        sd_log_weights: standard deviation of log p - log q over the last steps, the lowest left out.
        converged: whether the ELBO had stopped rising.
    """

    gaussian: Gaussian
    elbo: float
    sd_log_weights: float
    converged: bool


def fit_gaussian(density: Density, modes: list[Mode], rng: np.random.Generator) -> GaussianFit | None:
    """The Gaussian with the highest ELBO among those fitted from the best mode and, where that is no good,
    from broad ones.

    None where the density is finite at too few draws of every one.
    """
    dim = density.target.dim
    fits = []
    if modes:
        beginning = Gaussian(modes[0].location, modes[0].scale_tril)
        fits.append(batch_and_match(density, beginning, rng, max_steps=60))
    if not modes or fits[0] is None or fits[0].sd_log_weights > 2:
        for scale in (1.0, 0.1):
            beginning = Gaussian(np.zeros(dim), scale * np.eye(dim))
            fits.append(batch_and_match(density, beginning, rng, max_steps=150))
    return max((fit for fit in fits if fit is not None), key=lambda fit: fit.elbo, default=None)


def mean_field(density: Density, beginning: Gaussian, rng: np.random.Generator) -> GaussianFit | None:
    """Fit a Gaussian with a diagonal covariance, by ascent of the ELBO along the path gradient.

    Where no Gaussian is near the target, one with correlations may turn the coordinates for nothing; the
    model's own axes are then better for a flow. Steps by Adam, in units of the current scale. None where the
    density is finite at too few draws to go on.
    """
    dim = len(beginning.location)
    location = beginning.location.copy()
    log_scale = 0.5 * np.log((beginning.scale_tril**2).sum(axis=1))
    first, second = np.zeros((2, dim)), np.zeros((2, dim))
    elbos: list[float] = []
    sds: list[float] = []
    for t in range(_MEAN_FIELD_STEPS):
        base, scale = rng.standard_normal((BATCH, dim)), np.exp(log_scale)
        log_p, score = density.value_and_grad(location + scale * base)
        usable = np.isfinite(log_p) & np.isfinite(score).all(axis=1)
        if usable.sum() < BATCH // 4:
            return None
        base, log_p = base[usable], log_p[usable]
        path = scale * score[usable] + base
        gradient = np.stack([path.mean(axis=0), (path * base).mean(axis=0)])
        first, second = 0.9 * first + 0.1 * gradient, 0.99 * second + 0.01 * gradient**2
        size = 0.05 * 0.1 ** (t / _MEAN_FIELD_STEPS)
        step = size * (first / (1 - 0.9 ** (t + 1))) / (np.sqrt(second / (1 - 0.99 ** (t + 1))) + 1e-8)
        location, log_scale = location + scale * step[0], log_scale + step[1]
        log_weight = log_p + 0.5 * (base**2).sum(axis=1) + dim / 2 * np.log(2 * np.pi) + np.log(scale).sum()
        elbos.append(log_weight.mean())
        sds.append(log_weight.std())
        density.ledger.show(elbo=elbos[-1], sd_log_weights=sds[-1])
        if density.ledger.exhausted():
            break
    last = slice(-_MEAN_FIELD_STEPS // 10, None)
    return GaussianFit(
        Gaussian(location, np.diag(np.exp(log_scale))),
        float(np.mean(elbos[last])),
        float(np.mean(sds[last])),
        converged=True,
    )


def batch_and_match(
    density: Density, beginning: Gaussian, rng: np.random.Generator, max_steps: int
) -> GaussianFit | None:
    """Fit a Gaussian by matching its scores to those of the target.

    Each step minimises, over Gaussians q, the score-based divergence to the target on a batch of draws
    from the last q, plus KL(last q, q) / lambda; the solution is closed. Steps end when the ELBO has
    stopped rising. None where the density is finite at too few draws to go on.

    Source: BaM, algorithm 1 with lambda_t = B D / (t + 1).
    """
    dim = len(beginning.location)
    size = max(2 * BATCH, BATCH * -(-2 * dim // BATCH))
    q = beginning
    elbos: list[float] = []
    sds: list[float] = []
    rising = True
    for t in range(max_steps):
        base = rng.standard_normal((size, dim))
        z, log_det = q.push(base)
        log_q = -0.5 * (base**2).sum(axis=1) - dim / 2 * np.log(2 * np.pi) - log_det
        log_p, score = density.value_and_grad(z)
        usable = np.isfinite(log_p) & np.isfinite(score).all(axis=1)
        log_weight = np.where(usable, log_p - log_q, -np.inf)
        kept = np.argsort(log_weight)[int(_LEFT_OUT * size) :]
        kept = kept[usable[kept]]
        if len(kept) < size // 4:
            return None
        elbos.append(log_weight[kept].mean())
        sds.append(log_weight[kept].std())
        q = _match(q, base[kept], score[kept], learning_rate=size * dim / (t + 1))
        rising = t < 2 * _WINDOW or _rises(elbos, sds[-1] / np.sqrt(size * _WINDOW))
        density.ledger.show(elbo=elbos[-1], sd_log_weights=sds[-1])
        if np.abs(q.scale_tril).max() > RUNAWAY:
            q = _kept_finite(q)
            break
        if not rising or density.ledger.exhausted():
            break
    return GaussianFit(
        q, float(np.mean(elbos[-_WINDOW:])), float(np.mean(sds[-_WINDOW:])), converged=not rising
    )


def _kept_finite(q: Gaussian) -> Gaussian:
    """A Gaussian that ran away, at scales that can still be computed with and tell so."""
    scale = np.sqrt((q.scale_tril**2).sum(axis=1))
    shrunk = np.minimum(1, 2 * RUNAWAY / scale)
    return Gaussian(np.clip(q.location, -2 * RUNAWAY, 2 * RUNAWAY), q.scale_tril * shrunk[:, None])


def _rises(elbos: list[float], error: float) -> bool:
    before, now = np.mean(elbos[-2 * _WINDOW : -_WINDOW]), np.mean(elbos[-_WINDOW:])
    return bool(now - before > 0.02 + error)


def _match(q: Gaussian, base: np.ndarray, score: np.ndarray, learning_rate: float) -> Gaussian:
    """The closed-form step in coordinates where q is standard normal: solve S U S + S = V for the
    covariance S."""
    lam = learning_rate
    dim = base.shape[1]
    score = score @ q.scale_tril
    base_mean, score_mean = base.mean(axis=0), score.mean(axis=0)
    C = (base - base_mean).T @ (base - base_mean) / len(base)
    G = (score - score_mean).T @ (score - score_mean) / len(base)
    U = lam * G + lam / (1 + lam) * np.outer(score_mean, score_mean)
    V = np.eye(dim) + lam * C + lam / (1 + lam) * np.outer(base_mean, base_mean)
    K = np.linalg.cholesky(V)
    eigenvalues, Q = np.linalg.eigh(K.T @ U @ K)
    root = (K @ Q) * np.sqrt(2 / (1 + np.sqrt(1 + 4 * np.maximum(eigenvalues, 0))))
    mean = lam / (1 + lam) * (root @ (root.T @ score_mean) + base_mean)
    return Gaussian(q.location + q.scale_tril @ mean, q.scale_tril @ lower_factor(root))
