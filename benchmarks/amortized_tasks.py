"""Six tasks of sbibm: priors and simulators in NumPy, observations and reference draws from its wheel.

Definitions: Lueckmann et al. 2021 (arXiv 2101.04653), appendix T; the numbers are those of sbibm 1.1.0. The
wheel (`pip download sbibm --no-deps`) is read as a zip file: neither it nor what it needs is installed.
"""

from __future__ import annotations

import bz2
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Draw = Callable[..., np.ndarray]


class Task(NamedTuple):
    """A prior and a simulator, both for many at once.

    Attributes:
        prior: (rng, n) -> (n, dim).
        simulate: (parameters, rng) -> (n, data dim).
        support: of every parameter, as `flowvi` takes it.
    """

    prior: Draw
    simulate: Draw
    support: Any = "real"


def uniform(bound: float, dim: int) -> Draw:
    """A uniform prior on a cube around zero."""
    return lambda rng, n: rng.uniform(-bound, bound, (n, dim))


def two_moons(parameters: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """T.8: a half circle, moved by the parameters up to a sign."""
    angle = rng.uniform(-np.pi / 2, np.pi / 2, len(parameters))
    radius = rng.normal(0.1, 0.01, len(parameters))
    a, b = parameters.T
    moved = np.stack([-np.abs(a + b), b - a], axis=1) / np.sqrt(2)
    return np.stack([radius * np.cos(angle) + 0.25, radius * np.sin(angle)], axis=1) + moved


def slcp(parameters: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """T.3: four points of a Gaussian whose mean, scales and correlation are the parameters'."""
    s = parameters[:, 2:4] ** 2
    correlation = np.tanh(parameters[:, 4])
    one, two = rng.normal(size=(2, 4, len(parameters)))
    x = parameters[:, 0] + s[:, 0] * one
    y = parameters[:, 1] + s[:, 1] * (correlation * one + np.sqrt(1 - correlation**2) * two)
    return np.stack([x, y], axis=-1).transpose(1, 0, 2).reshape(len(parameters), 8)


def gaussian_mixture(parameters: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """T.7: one of two Gaussians around the parameters, of sd 1 and 0.1."""
    scale = np.where(rng.uniform(size=(len(parameters), 1)) < 0.5, 1.0, 0.1)
    return parameters + scale * rng.normal(size=parameters.shape)


def gaussian_linear(parameters: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """T.1 and T.2: the parameters with noise of variance 0.1."""
    return parameters + np.sqrt(0.1) * rng.normal(size=parameters.shape)


def _design() -> np.ndarray:
    """The stimulus, white noise of a fixed seed, at its nine latest times, behind a column of ones."""
    stimulus = np.random.RandomState(42).randn(100)
    lagged = [np.concatenate([np.zeros(lag), stimulus[: 100 - lag]]) for lag in range(9)]
    return np.stack([np.ones(100), *lagged], axis=1)


DESIGN = _design()


def bernoulli_glm(parameters: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """T.5: sufficient statistics of a hundred spikes or none: their number, and their sum of stimuli."""
    spikes = rng.uniform(size=(len(parameters), 100)) < 1 / (1 + np.exp(-parameters @ DESIGN.T))
    return spikes @ DESIGN


def glm_prior(rng: np.random.Generator, n: int) -> np.ndarray:
    """T.5: an offset, and a filter whose second differences are small."""
    m = 9
    differences = np.eye(m) - np.eye(m, k=-1)
    f = differences @ differences + np.diag(np.sqrt(np.arange(m) / m))
    offset = rng.normal(0.0, np.sqrt(2.0), (n, 1))
    # the precision of the filter is F^T F
    return np.concatenate([offset, np.linalg.solve(f, rng.normal(size=(m, n))).T], axis=1)


TASKS = {
    "two_moons": Task(uniform(1.0, 2), two_moons, ("interval", -1.0, 1.0)),
    "slcp": Task(uniform(3.0, 5), slcp, ("interval", -3.0, 3.0)),
    "gaussian_mixture": Task(uniform(10.0, 2), gaussian_mixture, ("interval", -10.0, 10.0)),
    "gaussian_linear": Task(lambda rng, n: np.sqrt(0.1) * rng.normal(size=(n, 10)), gaussian_linear),
    "gaussian_linear_uniform": Task(uniform(1.0, 10), gaussian_linear, ("interval", -1.0, 1.0)),
    "bernoulli_glm": Task(glm_prior, bernoulli_glm),
}


def simulated(task: str, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """n pairs of parameters and data."""
    rng = np.random.default_rng(seed)
    parameters = TASKS[task].prior(rng, n)
    return parameters, TASKS[task].simulate(parameters, rng)


def observation(wheel: Path, task: str, number: int) -> tuple[np.ndarray, np.ndarray]:
    """The data (data dim,) of an observation, counted from 1, and its 10,000 reference draws (n, dim)."""
    folder = f"sbibm/tasks/{task}/files/num_observation_{number}"
    with zipfile.ZipFile(wheel) as files:
        data = files.read(f"{folder}/observation.csv")
        reference = bz2.decompress(files.read(f"{folder}/reference_posterior_samples.csv.bz2"))
    return _table(data)[0], _table(reference)


def _table(text: bytes) -> np.ndarray:
    return np.loadtxt(io.BytesIO(text), delimiter=",", skiprows=1, ndmin=2)
