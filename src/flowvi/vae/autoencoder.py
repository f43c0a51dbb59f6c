"""The variational autoencoder as a module: encoder, posterior flow, prior, decoder, likelihood."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from flowvi.bijections import MLP, Bijection
from flowvi.bijections.host_random import host_generator
from flowvi.compiling import Compiled
from flowvi.errors import DataError, FlowError
from flowvi.flows import Distribution, Normal
from flowvi.flows.arguments import as_key, check_positive, number_of_draws
from flowvi.flows.torus import of_angles
from flowvi.memory import batch_map
from flowvi.precision import double_precision
from flowvi.vae.encoder import Encoder
from flowvi.vae.likelihoods import Likelihood, likelihood_of
from flowvi.vae.network import random_mlp
from flowvi.vae.posteriors import posterior_flow


class Autoencoder(eqx.Module):
    """A latent variable model and an approximate posterior of each row.

        model:      z ~ prior,                       x ~ likelihood(decoder(z))
        posterior:  z_0 ~ N(mu(x), sigma(x)^2),      z = f_K o ... o f_1 (z_0; h(x))
                    log q(z | x) = log N(z_0) - sum_k log |det df_k/dz_(k-1)|

    Built by `autoencoder`, or put together from parts. Methods that take rows give NumPy arrays.

    Attributes:
        encoder: row -> mu, log sigma, h.
        posterior: z_0 -> z, given h.
        prior: of z.
        decoder: z -> outputs of the likelihood.
        likelihood: of a row.

    Source: Kingma & Welling 2014 (arXiv 1312.6114), equation 10; R&M, equations 15 and 19.

    Example:
        >>> from flowvi import vae
        >>> model = vae.autoencoder(np.eye(4), latent=2, key=0)
        >>> model.sample(1, 5).shape
        (5, 4)
    """

    encoder: Encoder
    posterior: Bijection
    prior: Distribution
    decoder: MLP
    likelihood: Likelihood

    @property
    def latent(self) -> int:
        """Number of latent coordinates."""
        return self.prior.dim

    @property
    def columns(self) -> int:
        """Number of columns of a row."""
        return len(self.decoder.biases[-1]) // self.likelihood.outputs_per_column

    def posterior_draw(
        self, x: Float[Array, " columns"], noise: Float[Array, " latent"]
    ) -> tuple[Float[Array, " latent"], Float[Array, ""]]:
        """z and log q(z | x) of one row at one draw of the standard normal, in the caller's precision."""
        mean, log_scale, features = self.encoder(self.likelihood.inputs(x))
        condition = None if self.posterior.condition_dim is None else features
        z, log_det = self.posterior.forward_and_log_det(mean + jnp.exp(log_scale) * noise, condition)
        return z, Normal(self.latent).log_prob(noise) - log_scale.sum() - log_det

    def log_joint(self, x: Float[Array, " columns"], z: Float[Array, " latent"]) -> Float[Array, ""]:
        """log p(x | z) + log p(z) of one row, in the caller's precision."""
        return self.likelihood.log_prob(x, self.decoder(z)) + self.prior.log_prob(z)

    @double_precision
    def sample(self, key: PRNGKeyArray | int, n: int) -> Float[np.ndarray, "n columns"]:
        """Draws of the model: z ~ prior, x ~ likelihood.

        Raises:
            ArgumentError: n is not a whole number, zero or more.
        """
        return np.asarray(_sampled(self, jax.random.split(as_key(key), number_of_draws(n))))

    @double_precision
    def encode(
        self, x: Float[Array | np.ndarray, "rows columns"], key: PRNGKeyArray | int
    ) -> Float[np.ndarray, "rows latent"]:
        """A draw of the posterior of each row.

        Raises:
            DataError: the rows have another number of columns, or values that the likelihood does not take.
        """
        rows = rows_of(self, x)
        noise = host_generator(key).standard_normal((len(rows), self.latent))
        return np.asarray(_encoded(self, jnp.asarray(rows), jnp.asarray(noise)))

    @double_precision
    def decode(self, z: Float[Array | np.ndarray, "n latent"]) -> Float[np.ndarray, "n columns"]:
        """The mean of x at each z.

        Raises:
            DataError: z is not rows of finite numbers in as many columns as the latent has coordinates.
        """
        points = finite_rows(z, "z")
        if points.shape[1] != self.latent:
            raise DataError(f"z has {points.shape[1]} columns, but the latent has {self.latent} coordinates.")
        return np.asarray(_decoded(self, jnp.asarray(points)))


@Compiled
def _sampled(model: Autoencoder, keys: Array) -> Array:
    def one(key: PRNGKeyArray) -> Array:
        of_latent, of_row = jax.random.split(key)
        return model.likelihood.sample(of_row, model.decoder(model.prior.sample(of_latent)))

    return batch_map(one, keys)


@Compiled
def _encoded(model: Autoencoder, x: Array, noise: Array) -> Array:
    return batch_map(lambda row: model.posterior_draw(*row)[0], (x, noise))


@Compiled
def _decoded(model: Autoencoder, z: Array) -> Array:
    return batch_map(lambda z: model.likelihood.mean(model.decoder(z)), z)


@double_precision
def autoencoder(
    x: Any,
    *,
    key: PRNGKeyArray | int,
    likelihood: str | Likelihood = "bernoulli",
    posterior: str | Bijection = "planar",
    length: int | None = None,
    latent: int = 40,
    width: int = 256,
    depth: int = 2,
    prior: Distribution | None = None,
) -> Autoencoder:
    """An autoencoder for data such as x, before training.

    Args:
        x: rows that the model is for (rows, columns), for the number of columns, moments and levels.
        likelihood: "bernoulli", "gaussian", "discretised_logistic", "poisson", "categorical", or a
            `Likelihood`.
        posterior: "diagonal", "planar", "radial", "sylvester", "iaf", "real_nvp", "neural_spline", or a
            bijection of shape (latent,) conditioned on `width` features.
        length: number of maps of the posterior.
        latent: coordinates of z.
        width: of encoder and decoder, which have `depth` hidden layers.
        prior: of z; the standard normal unless given. Its parameters are trained.

    Raises:
        DataError: x is not rows of finite numbers, or not such as the likelihood takes.
        ArgumentError: a name is unknown.
        FlowError: a size is not a positive integer, or the posterior or prior does not fit.

    Example:
        >>> from flowvi import vae
        >>> model = vae.autoencoder(np.eye(4), latent=2, posterior="iaf", key=0)
        >>> model.encode(np.eye(4), key=1).shape
        (4, 2)
    """
    check_positive(latent=latent, width=width, depth=depth)
    if length is not None:
        check_positive(length=length)
    if prior is not None and (prior.dim != latent or of_angles(prior)):
        space = f"the torus of dim {prior.dim}" if of_angles(prior) else f"R^{prior.dim}"
        raise FlowError(f"The prior is on {space}, but the latent on R^{latent}. Build the prior for that.")
    rows = finite_rows(x)
    of_row = likelihood_of(likelihood, rows)
    of_encoder, of_posterior, of_decoder = host_generator(key).integers(2**63, size=3).tolist()
    inputs = of_row.inputs(jnp.asarray(rows[0])).size
    outputs = rows.shape[1] * of_row.outputs_per_column
    return Autoencoder(
        encoder=Encoder(inputs, latent, key=of_encoder, width=width, depth=depth),
        posterior=posterior_flow(posterior, latent, width, key=of_posterior, length=length),
        prior=prior or Normal(latent),
        decoder=random_mlp(latent, outputs, key=of_decoder, width=width, depth=depth),
        likelihood=of_row,
    )


def finite_rows(x: Any, name: str = "x") -> Float[np.ndarray, "rows columns"]:
    """Rows in double precision; `name` is for errors.

    Raises:
        DataError: x is not rows of finite numbers, or there are none.
    """
    try:
        rows = np.asarray(x, np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} is not an array of numbers: {error}.") from error
    if rows.ndim != 2 or rows.size == 0:
        images = "; flatten images first" if rows.ndim > 2 else ""
        raise DataError(f"{name} has shape {rows.shape}: give rows, (rows, columns){images}.")
    bad = np.argwhere(~np.isfinite(rows))
    if len(bad):
        row, column = bad[0]
        raise DataError(
            f"{name} has {len(bad)} values that are not finite, the first in row {row}, column {column}. "
            "Leave such rows out, or fill the values in."
        )
    return rows


def rows_of(model: Autoencoder, x: Any) -> Float[np.ndarray, "rows columns"]:
    """Rows that the model can have made, in double precision.

    Raises:
        DataError: they have another number of columns, or values that the likelihood does not take.
    """
    rows = finite_rows(x)
    if rows.shape[1] != model.columns:
        raise DataError(f"x has {rows.shape[1]} columns, but the autoencoder was built for {model.columns}.")
    model.likelihood.check(rows)
    return rows
