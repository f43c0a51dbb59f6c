"""Log evidence against the closed forms of conjugate models, in standard errors.

    python benchmarks/evidence.py [--models regression counts shares] [--dims 2 10 30 100] [--seeds 20]

Every seed has data of its own. Regression: normal prior, known noise; posterior normal. Counts: a gamma prior
for the rate of each of several Poisson counts. Shares: a Dirichlet prior for the shares of multinomial
counts.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
from jax.scipy import stats
from scipy.special import gammaln

import flowvi

Case = tuple[Callable[..., jax.Array], tuple[np.ndarray, ...], dict[str, Any], dict[str, Any], float]
"""Log density of parameters and data, data, example, supports, exact log evidence."""

NOISE = 0.7
PER_RATE = 5
PER_SHARE = 30


def regression(dim: int, rng: np.random.Generator) -> Case:
    """y = X b + noise with 3 dim rows and b ~ N(0, I)."""
    rows = 3 * dim
    x = rng.normal(size=(rows, dim)) * np.exp(rng.normal(size=dim))
    y = x @ rng.normal(size=dim) + NOISE * rng.normal(size=rows)
    exact = scipy.stats.multivariate_normal(np.zeros(rows), x @ x.T + NOISE**2 * np.eye(rows)).logpdf(y)
    return _regression, (x, y), {"b": np.zeros(dim)}, {}, float(exact)


def _regression(p: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    return stats.norm.logpdf(p["b"]).sum() + stats.norm.logpdf(y, x @ p["b"], NOISE).sum()


def counts(dim: int, rng: np.random.Generator) -> Case:
    """y_ij ~ Poisson(r_i) with r_i ~ Gamma(2, 1)."""
    y = rng.poisson(rng.gamma(2.0, size=(dim, 1)), size=(dim, PER_RATE)).astype(float)
    total = y.sum(axis=1)
    terms = gammaln(2 + total) - (2 + total) * np.log(1 + PER_RATE) - gammaln(y + 1).sum(axis=1)
    return _counts, (y,), {"r": np.zeros(dim)}, {"r": "positive"}, float(terms.sum())


def _counts(p: Any, y: jax.Array) -> jax.Array:
    return stats.gamma.logpdf(p["r"], 2.0).sum() + stats.poisson.logpmf(y, p["r"][:, None]).sum()


def shares(dim: int, rng: np.random.Generator) -> Case:
    """y ~ Multinomial(30 (dim + 1), p) with p ~ Dirichlet(2, ..., 2) on dim + 1 shares."""
    alpha = np.full(dim + 1, 2.0)
    n = PER_SHARE * (dim + 1)
    y = rng.multinomial(n, rng.dirichlet(alpha)).astype(float)
    exact = scipy.stats.dirichlet_multinomial(alpha, n).logpmf(y.astype(int))
    return _shares, (y,), {"p": np.ones(dim + 1)}, {"p": "simplex"}, float(exact)


def _shares(p: Any, y: jax.Array) -> jax.Array:
    prior = stats.dirichlet.logpdf(p["p"], jnp.full(len(y), 2.0))
    return (
        prior
        + jax.scipy.special.gammaln(y.sum() + 1)
        + (y * jnp.log(p["p"]) - jax.scipy.special.gammaln(y + 1)).sum()
    )


MODELS = {"regression": regression, "counts": counts, "shares": shares}


def main() -> None:
    """Print a row per model and dimension."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", choices=MODELS, nargs="+", default=list(MODELS))
    parser.add_argument("--dims", type=int, nargs="+", default=[2, 10, 30, 100])
    parser.add_argument("--seeds", type=int, default=20)
    options = parser.parse_args()
    print("| model | d | within 2 standard errors | none given | largest standard error | levels |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in options.models:
        model = MODELS[name]
        for dim in options.dims:
            within, errors, levels = 0, [], []
            for seed in range(options.seeds):
                log_density, data, example, supports, exact = model(dim, np.random.default_rng(seed))
                posterior = flowvi.fit(
                    log_density, *data, example=example, supports=supports, seed=seed, progress=False
                )
                levels.append(posterior.verdict.level)
                if posterior.log_evidence is not None:
                    value, error = posterior.log_evidence
                    within += abs(value - exact) <= 2 * error
                    errors.append(error)
            tally = ", ".join(f"{levels.count(level)} {level}" for level in sorted(set(levels)))
            given, largest = len(errors), max(errors, default=0)
            facts = f"{within} of {given} | {options.seeds - given} | {largest:.2g} | {tally}"
            print(f"| {name} | {dim} | {facts} |", flush=True)


if __name__ == "__main__":
    main()
