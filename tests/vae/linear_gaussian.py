"""Probabilistic principal components as an autoencoder, whose bounds have closed forms."""

from __future__ import annotations

import equinox as eqx
import numpy as np
import scipy.stats

from flowvi import vae
from flowvi.bijections import MLP
from flowvi.bijections.leaf import leaf
from flowvi.bijections.log_scale import parameter_of
from flowvi.precision import double_precision
from flowvi.vae import Autoencoder

SD = 0.7
CENTRE = np.array([1.0, -2.0, 0.5, 0.0])
# columns that are orthogonal make the posterior independent over the latent coordinates
LOADINGS = np.array([[1.0, 0.5], [1.0, -0.5], [2.0, 0.0], [0.0, 1.5]])
COLUMNS, LATENT = LOADINGS.shape

MARGINAL = scipy.stats.multivariate_normal(CENTRE, LOADINGS @ LOADINGS.T + SD**2 * np.eye(COLUMNS))
POSTERIOR_VARIANCE = 1 / (1 + np.sum(LOADINGS**2, axis=0) / SD**2)


def rows(n: int, seed: int = 0) -> np.ndarray:
    """Draws of the model."""
    return MARGINAL.rvs(n, random_state=seed)


@double_precision
def model(scale: float = 1.0, shift: float = 0.0) -> Autoencoder:
    """With the exact posterior, or one whose sds are wider by a factor and whose means are off."""
    built = vae.autoencoder(
        np.zeros((1, COLUMNS)),
        likelihood=vae.Gaussian(),
        posterior="diagonal",
        latent=LATENT,
        width=2 * COLUMNS,
        depth=1,
        key=0,
    )
    to_latent = POSTERIOR_VARIANCE[:, None] * LOADINGS.T / SD**2
    # silu(a) - silu(-a) = a: two halves make a linear map
    halves = np.concatenate([np.eye(COLUMNS), -np.eye(COLUMNS)])
    mean = np.concatenate([to_latent, -to_latent], axis=1)
    raw_scale = np.asarray(parameter_of(scale * np.sqrt(POSTERIOR_VARIANCE)))
    network = linear(halves, np.concatenate([-CENTRE, CENTRE]))
    head = linear(
        np.concatenate([mean, np.zeros_like(mean)]), np.concatenate([np.full(LATENT, shift), raw_scale])
    )
    # mean and log sd of a column stand side by side
    decoder = linear(
        np.stack([LOADINGS, np.zeros_like(LOADINGS)], axis=1).reshape(2 * COLUMNS, LATENT),
        np.stack([CENTRE, np.full(COLUMNS, parameter_of(np.array(SD)))], axis=1).ravel(),
    )
    return eqx.tree_at(
        lambda m: (m.encoder.network, m.encoder.head, m.decoder), built, (network, head, decoder)
    )


def linear(weights: np.ndarray, biases: np.ndarray) -> MLP:
    """A network that is a linear map."""
    network = MLP(weights.shape[1], weights.shape[0], key=0, depth=0)
    return eqx.tree_at(lambda n: (n.weights[0], n.biases[0]), network, (leaf(weights), leaf(biases)))


def divergence(scale: float, shift: float) -> float:
    """KL(q(z | x) || p(z | x)), the same for every x."""
    squares = scale**2 + shift**2 / POSTERIOR_VARIANCE
    return float(np.sum(0.5 * (squares - 1) - np.log(scale)))
