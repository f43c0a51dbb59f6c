"""Leaves of mesquite bushes, a plain JAX log density: what can be said of their weight without picking them?

Run it with `python examples/mesquite_jax.py` or `flowvi fit examples/mesquite_jax.py`.
"""

import json
from pathlib import Path

import numpy as np
from jax.scipy.stats import norm

import flowvi

bushes = {
    name: np.array(column)
    for name, column in json.loads((Path(__file__).parent / "data" / "mesquite.json").read_text()).items()
}
canopy_area = bushes["diam1"] * bushes["diam2"]
X = np.column_stack(
    [
        np.log(canopy_area * bushes["canopy_height"]),
        np.log(canopy_area),
        np.log(bushes["diam1"] / bushes["diam2"]),
        np.log(bushes["total_height"]),
        np.log(bushes["density"]),
        bushes["group"],
    ]
)
log_weight = np.log(bushes["weight"])


def log_density(parameters):
    """Log prior plus log likelihood, on the parameters' own scale: flowvi adds the Jacobian of `sigma`."""
    intercept, slopes, sigma = parameters["intercept"], parameters["slopes"], parameters["sigma"]
    log_prior = norm.logpdf(intercept, 5, 5) + norm.logpdf(slopes, 0, 1).sum() + norm.logpdf(sigma, 0, 1)
    return log_prior + norm.logpdf(log_weight, intercept + X @ slopes, sigma).sum()


example = {"intercept": np.zeros(()), "slopes": np.zeros(X.shape[1]), "sigma": np.ones(())}
supports = {"sigma": "positive"}

if __name__ == "__main__":
    posterior = flowvi.fit(log_density, example=example, supports=supports)
    print(posterior.summary())
    print(posterior.verdict)
    print(f"P(a larger volume goes with more leaves) = {np.mean(posterior.draws['slopes'][:, 0] > 0):.2f}")
