"""The picture of docs/calibrate.md, and its table of what how many simulated data sets see.

python benchmarks/calibration.py docs/pictures/calibration_ecdf.png
"""

from __future__ import annotations

import sys

import jax.numpy as jnp
import numpy as np
import scipy.stats

import flowvi
from flowvi.diagnostics.uniformity import ecdf_band, ecdf_counts
from flowvi.plots import ecdf_differences

X = np.linspace(-1, 1, 20)
DRAWS = 199
REPEATS = 500
ERRORS = {
    "0.1 sd off": (0.1, 1.0),
    "0.25 sd off": (0.25, 1.0),
    "0.5 sd off": (0.5, 1.0),
    "sd 10% too small": (0.0, 0.9),
    "sd 20% too small": (0.0, 0.8),
    "sd 25% too large": (0.0, 1.25),
}


def log_density(p: dict, y: np.ndarray) -> jnp.ndarray:
    """A regression whose errors have an exponential prior of mean 1 on their sd."""
    residual = (y - p["intercept"] - p["slope"] * X) / p["sigma"]
    log_likelihood = -0.5 * jnp.sum(residual**2) - len(X) * jnp.log(p["sigma"])
    return log_likelihood - 0.5 * (p["intercept"] ** 2 + p["slope"] ** 2) - p["sigma"]


def simulate(rng: np.random.Generator) -> tuple[dict, dict]:
    """Parameters from the prior, and data."""
    intercept, slope = rng.normal(size=2)
    sigma = rng.exponential()
    y = rng.normal(intercept + slope * X, sigma)
    return {"intercept": intercept, "slope": slope, "sigma": sigma}, {"y": y}


def mistaken(rng: np.random.Generator) -> tuple[dict, dict]:
    """The same by somebody who takes sigma for the variance."""
    parameters, _ = simulate(rng)
    mean = parameters["intercept"] + parameters["slope"] * X
    return parameters, {"y": rng.normal(mean, np.sqrt(parameters["sigma"]))}


def picture(path: str) -> None:
    """ECDFs of the ranks where model and simulation agree, and where they do not."""
    ranks = {}
    for name, function in {"": simulate, ", mistaken": mistaken}.items():
        calibration = flowvi.calibrate(
            log_density,
            example={"intercept": 0.0, "slope": 0.0, "sigma": 1.0},
            supports={"sigma": "positive"},
            simulate=function,
            simulations=200,
        )
        print(calibration)
        ranks |= {label + name: scalar.ranks for label, scalar in calibration.scalars.items()}
    ecdf_differences(ranks, DRAWS, len(ranks) // 2).savefig(path, dpi=110)


def table() -> None:
    """How often draws with the same error in every data set are found, by one scalar and by one of ten."""
    rng = np.random.default_rng(0)
    print("| simulations | " + " | ".join(ERRORS) + " |")
    print("| --- |" + " --- |" * len(ERRORS))
    for simulations in (50, 100, 200, 400, 1000):
        cells = []
        for shift, scale in ERRORS.values():
            below = scipy.stats.norm(shift, scale).cdf(rng.normal(size=(REPEATS, simulations)))
            counts = np.array([ecdf_counts(ranks, DRAWS) for ranks in rng.binomial(DRAWS, below)])
            bands = [ecdf_band(simulations, DRAWS, level) for level in (0.95, 0.995)]
            found = [np.any((counts < b.lower) | (counts > b.upper), axis=1).mean() for b in bands]
            cells.append(f"{found[0]:.0%}, {found[1]:.0%}")
        print(f"| {simulations} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    picture(sys.argv[1])
    table()
