"""Variational autoencoders as a family: trained by a lower bound of the likelihood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Float

from flowvi.families.family import Family, Fitted
from flowvi.families.rows import new_rows, read_rows
from flowvi.flows.arguments import seed_of
from flowvi.objectives.arguments import check_count
from flowvi.vae.autoencoder import autoencoder, finite_rows
from flowvi.vae.bounds import Bounds, bounds
from flowvi.vae.likelihoods import Gaussian, Likelihood
from flowvi.vae.train import TrainedAutoencoder, train


@final
@dataclass(frozen=True, eq=False, repr=False)
class FittedVAE(Fitted):
    """An autoencoder fitted to data.

    Attributes:
        trained: what `flowvi.vae.train` gave.
        samples: weighted draws of the posterior for each row, in `log_prob`.
    """

    trained: TrainedAutoencoder
    samples: int

    def __repr__(self) -> str:
        model, best = self.trained.model, self.trained.best
        notes = [f"{len(self.trained.curve):,} steps"]
        notes += [f"{self.trained.skipped} steps skipped"] if self.trained.skipped else []
        notes += ["interrupted"] if self.trained.interrupted else []
        return (
            f"FittedVAE of {model.columns} columns with {model.latent} latent; held-out bound {best} nats "
            "per row; " + "; ".join(notes)
        )

    def sample(self, n: int, seed: int = 0) -> Float[np.ndarray, "n columns"]:
        """Independent draws, on the scale of the data."""
        return self.trained.model.sample(seed_of(seed), n)

    def log_prob(self, x: Any) -> Bounds:
        """A bound of log p(x) of each row, and its estimate by importance sampling, in nats.

            bound <= estimate <= log p(x) in expectation,    gap = estimate - bound

        The same rows give the same numbers.

        Raises:
            DataError: x has other columns, or values that the likelihood does not take.
        """
        model = self.trained.model
        return bounds(model, new_rows(x, model.columns), key=0, samples=self.samples)


@final
@dataclass(frozen=True)
class VAE(Family):
    """A variational autoencoder with a flow posterior.

        maximise E_data E_q [log p(x, z) - log q(z | x)]

    Args:
        likelihood: "gaussian", "bernoulli", "discretised_logistic", "poisson", "categorical", or a
            `flowvi.vae.Likelihood`.
        posterior: "planar", "diagonal", "radial", "sylvester", "iaf", "real_nvp" or "neural_spline".
        length: number of maps of the posterior.
        latent: coordinates of z; as many as columns, 40 at most, unless given.
        width: of encoder and decoder, which have `depth` hidden layers.
        steps: of Adam, on batches of `batch` rows.
        step_size: Adam's first step.
        warm_up: steps until the divergence from the prior counts in full; a quarter of all unless given.
        samples: weighted draws for each row, in `log_prob`.

    Raises (in `fit`):
        DataError: values are missing or not such as the likelihood takes, or rows are too few.
        ArgumentError: a name is unknown or a number out of range.

    Source: Kingma & Welling 2014 (arXiv 1312.6114); R&M, section 4.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(100, 2))
        >>> fitted = flowvi.families.VAE(width=8, steps=20, samples=50).fit(x)
        >>> fitted.sample(3).shape, fitted.log_prob(x[:4]).gap.shape
        ((3, 2), (4,))
    """

    likelihood: str | Likelihood = "gaussian"
    posterior: str = "planar"
    length: int | None = None
    latent: int | None = None
    width: int = 128
    depth: int = 3
    steps: int = 5000
    batch: int = 256
    step_size: float = 2e-3
    warm_up: int | None = None
    samples: int = 500

    def fit(self, x: Any, seed: int = 0) -> FittedVAE:
        """Train on rows of data (rows, columns)."""
        seed = seed_of(seed)
        check_count("samples", self.samples)
        real = self.likelihood == "gaussian" or isinstance(self.likelihood, Gaussian)
        # a pixel that is always black is nothing wrong
        rows = read_rows(x) if real else finite_rows(x)
        model = autoencoder(
            rows,
            key=seed,
            likelihood=self.likelihood,
            posterior=self.posterior,
            length=self.length,
            latent=min(rows.shape[1], 40) if self.latent is None else self.latent,
            width=self.width,
            depth=self.depth,
        )
        trained = train(
            model,
            rows,
            seed=seed,
            steps=self.steps,
            warm_up=self.warm_up,
            batch=self.batch,
            step_size=self.step_size,
        )
        return FittedVAE(trained, self.samples)
