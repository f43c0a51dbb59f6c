"""One table of posteriors with answers in closed form: a new one costs one entry.

Each gives a log density with its example and supports, the log evidence (0 for a normalised density), and for
each parameter its mean and sd.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
from jax.scipy import stats


@dataclass(frozen=True)
class Known:
    log_density: Any
    example: Any
    moments: dict[str, tuple[Any, Any]]
    supports: Any = None
    log_evidence: float = 0.0
    gaussian: bool = False


def correlated(dim, seed=0):
    rng = np.random.default_rng(seed)
    half = rng.normal(size=(dim, 2 * dim)) * np.logspace(-2, 2, dim)[:, None]
    covariance, location = half @ half.T, 10 * rng.normal(size=dim)
    factor = np.linalg.cholesky(covariance)

    def log_density(p):
        u = jax.scipy.linalg.solve_triangular(factor, p["x"] - location, lower=True)
        return -0.5 * u @ u + 3.0

    log_evidence = 3.0 + dim / 2 * np.log(2 * np.pi) + np.log(np.diag(factor)).sum()
    return Known(
        log_density,
        {"x": np.zeros(dim)},
        {"x": (location, np.sqrt(np.diag(covariance)))},
        None,
        log_evidence,
        gaussian=True,
    )


def conjugate_regression():
    """y = X b + noise of sd 0.7, b ~ N(0, 2^2 I): posterior and evidence are normal."""
    rng = np.random.default_rng(1)
    X = np.column_stack([np.ones(30), rng.normal(size=(30, 2)) * [1.0, 20.0]])
    y = X @ [1.0, -2.0, 0.1] + 0.7 * rng.normal(size=30)
    covariance = np.linalg.inv(X.T @ X / 0.49 + np.eye(3) / 4)
    evidence = scipy.stats.multivariate_normal(np.zeros(30), 0.49 * np.eye(30) + 4 * X @ X.T).logpdf(y)

    def log_density(p):
        return stats.norm.logpdf(p["b"], 0, 2).sum() + stats.norm.logpdf(y, X @ p["b"], 0.7).sum()

    moments = {"b": (covariance @ X.T @ y / 0.49, np.sqrt(np.diag(covariance)))}
    return Known(log_density, {"b": np.zeros(3)}, moments, None, float(evidence), gaussian=True)


def of(distribution):
    return distribution.mean(), distribution.std()


ALPHA = np.array([2.0, 3.0, 5.0])
DIRICHLET = (ALPHA / 10, np.sqrt(ALPHA / 10 * (1 - ALPHA / 10) / 11))

POSTERIORS = {
    "one normal": Known(
        lambda p: stats.norm.logpdf(p["a"], -3, 0.01), {"a": 0.0}, {"a": (-3.0, 0.01)}, gaussian=True
    ),
    "correlated": correlated(5),
    "thirty dimensions": correlated(30),
    "regression": conjugate_regression(),
    "gamma and beta": Known(
        lambda p: stats.gamma.logpdf(p["g"], 4, scale=2) + stats.beta.logpdf(p["b"], 6, 4).sum(),
        {"g": 1.0, "b": np.ones(2)},
        {"g": of(scipy.stats.gamma(4, scale=2)), "b": of(scipy.stats.beta(6, 4))},
        {"g": "positive", "b": "unit_interval"},
    ),
    "dirichlet": Known(
        lambda p: stats.dirichlet.logpdf(p["p"], jnp.asarray(ALPHA)),
        {"p": np.ones(3)},
        {"p": DIRICHLET},
        {"p": "simplex"},
    ),
    "bounded": Known(
        lambda p: stats.expon.logpdf(p["low"], loc=2) + stats.expon.logpdf(1 - p["high"]),
        {"low": 1.0, "high": 1.0},
        {"low": (3.0, 1.0), "high": (0.0, 1.0)},
        {"low": ("interval", 2.0, None), "high": ("interval", None, 1.0)},
    ),
    "exponential": Known(lambda p: -p["x"], {"x": 1.0}, {"x": (1.0, 1.0)}, {"x": "positive"}),
    "ordered": Known(
        # three standard normals in order
        lambda p: stats.norm.logpdf(p["x"]).sum() + jnp.log(6.0),
        {"x": np.zeros(3)},
        {"x": (np.array([-0.846284, 0, 0.846284]), np.sqrt([0.559467, 0.448671, 0.559467]))},
        {"x": "ordered"},
    ),
    "heavy tails": Known(
        lambda p: stats.t.logpdf(p["x"], 8.0).sum(), {"x": np.zeros(2)}, {"x": (0.0, np.sqrt(8 / 6))}
    ),
    "funnel": Known(
        lambda p: stats.norm.logpdf(p["v"]) + stats.norm.logpdf(p["x"], 0, jnp.exp(p["v"] / 2)).sum(),
        {"v": 0.0, "x": np.zeros(2)},
        {"v": (0.0, 1.0), "x": (0.0, np.exp(0.25))},
    ),
}
