"""How good an autoencoder is: lower bounds of the log likelihood of each row."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray
from scipy.special import logsumexp

from flowvi.compiling import Compiled
from flowvi.flows.arguments import as_key
from flowvi.memory import batch_map
from flowvi.objectives.arguments import check_choice, check_count
from flowvi.precision import double_precision
from flowvi.vae.autoencoder import Autoencoder, rows_of

_ROWS = 64
"""In a compiled call."""


@final
@dataclass(frozen=True, eq=False)
class Bounds:
    """Bounds of log p(x) of each row, with their Monte Carlo errors, in nats.

    Attributes:
        elbo: the evidence lower bound.
        elbo_error: its standard error.
        log_prob: the importance-weighted bound, which grows to log p(x) with the number of samples.
        log_prob_error: its standard error, by the delta method.
    """

    elbo: Float[np.ndarray, " rows"]
    elbo_error: Float[np.ndarray, " rows"]
    log_prob: Float[np.ndarray, " rows"]
    log_prob_error: Float[np.ndarray, " rows"]

    @property
    def gap(self) -> Float[np.ndarray, " rows"]:
        """What the ELBO lacks: an estimate of KL(q(z | x) || p(z | x))."""
        return self.log_prob - self.elbo


@double_precision
def bounds(
    model: Autoencoder,
    x: Any,
    *,
    key: PRNGKeyArray | int,
    samples: int = 500,
    precision: Literal["float32", "float64"] = "float32",
) -> Bounds:
    """The ELBO and the importance-weighted bound of each row.

        w_k = p(x, z_k) / q(z_k | x),    z_k ~ q(z | x)
        ELBO = mean_k log w_k,    log p(x) >= E log mean_k w_k >= ELBO

    Shapes: x (rows, columns). Cost: `samples` passes of posterior and decoder per row; the encoder's one.
    Row i depends on the key and i alone. `precision` is that of the networks; weights are put together in
    float64.

    Raises:
        DataError: x does not fit the autoencoder.
        ArgumentError: `samples` or `precision` is out of range.

    Source: Burda et al. 2016 (arXiv 1509.00519), equation 8.

    Example:
        >>> from flowvi import vae
        >>> model = vae.autoencoder(np.eye(4), latent=2, key=0)
        >>> of_rows = vae.bounds(model, np.eye(4), key=1, samples=100)
        >>> bool((of_rows.log_prob >= of_rows.elbo).all())
        True
    """
    check_count("samples", samples)
    dtype = np.dtype(check_choice("precision", precision, ("float32", "float64")))
    rows = rows_of(model, x)
    parts = [
        bounds_of(_of_block(model, rows[start : start + _ROWS], start, as_key(key), samples, dtype))
        for start in range(0, len(rows), _ROWS)
    ]
    names = [field.name for field in fields(Bounds)]
    return Bounds(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _of_block(
    model: Autoencoder, rows: np.ndarray, start: int, key: PRNGKeyArray, samples: int, dtype: DTypeLike
) -> np.ndarray:
    """Log weights of a block of rows, which is filled up so that one program serves all blocks."""
    filled = np.pad(rows, [(0, _ROWS - len(rows)), (0, 0)], mode="edge")
    of_all = _log_weights(model, jnp.asarray(filled), key, jnp.asarray(start), samples, dtype)
    return np.asarray(of_all)[: len(rows)]


@Compiled
def _log_weights(
    model: Autoencoder, x: Array, key: PRNGKeyArray, start: Array, samples: int, dtype: DTypeLike
) -> Float[Array, "rows samples"]:
    cast = jax.tree.map(lambda a: a.astype(dtype) if eqx.is_inexact_array(a) else a, model)

    def of_row(row: tuple[Array, Array]) -> Array:
        x, number = row
        noise = jax.random.normal(jax.random.fold_in(key, number), (samples, model.latent), dtype)
        # over the samples of one row the encoder and the posterior's parameters are computed once
        return batch_map(lambda noise: log_weight(cast, x, noise), noise)

    return jax.lax.map(of_row, (x.astype(dtype), start + jnp.arange(len(x)))).astype(float)


def log_weight(
    model: Autoencoder, x: Float[Array, " columns"], noise: Float[Array, " latent"]
) -> Float[Array, ""]:
    """log p(x, z) - log q(z | x) of one row at one draw, in the caller's precision."""
    z, log_q = model.posterior_draw(x, noise)
    return model.log_joint(x, z) - log_q


def bounds_of(log_weights: Float[np.ndarray, "rows samples"]) -> Bounds:
    """Both bounds from the log weights of draws of each row's posterior.

    Example:
        >>> bounds_of(np.log([[1.0, 3.0]])).log_prob.round(4).tolist()
        [0.6931]
    """
    samples = log_weights.shape[1]
    log_mean = logsumexp(log_weights, axis=1) - np.log(samples)
    relative = np.exp(log_weights - log_mean[:, None])
    root = np.sqrt(samples)
    return Bounds(
        elbo=log_weights.mean(axis=1),
        elbo_error=log_weights.std(axis=1) / root,
        log_prob=log_mean,
        log_prob_error=relative.std(axis=1) / root,
    )
