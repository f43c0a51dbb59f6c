"""The log evidence of conjugate models lies within its own standard errors of the closed form."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from stages import quiet_fit

SEEDS = 20
NOISE = 0.7


@pytest.mark.parametrize("dim", [2, 20])
def test_linear_regression_whose_weights_differ_by_rounding_alone(dim):
    rows = 3 * dim

    def log_density(p, x, y):
        prior = -0.5 * jnp.sum(p["b"] ** 2) - dim / 2 * jnp.log(2 * jnp.pi)
        residual = (y - x @ p["b"]) / NOISE
        return prior - 0.5 * jnp.sum(residual**2) - rows / 2 * jnp.log(2 * jnp.pi * NOISE**2)

    within = 0
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((rows, dim)) * np.exp(rng.normal(size=dim))
        y = x @ rng.standard_normal(dim) + NOISE * rng.standard_normal(rows)
        covariance = x @ x.T + NOISE**2 * np.eye(rows)
        exact = scipy.stats.multivariate_normal(np.zeros(rows), covariance).logpdf(y)
        value, error = quiet_fit(log_density, x, y, example={"b": np.zeros(dim)}, seed=seed).log_evidence
        assert error < 1e-6
        within += abs(value - exact) <= 2 * error
    # 95 in 100 at the least
    assert within >= SEEDS - 1
