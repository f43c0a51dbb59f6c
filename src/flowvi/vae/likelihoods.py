"""What a decoder's output says about data: a family of distributions per kind of data."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from flowvi.bijections.leaf import leaf
from flowvi.bijections.log_scale import log_scale_of
from flowvi.bijections.trainable import Constant
from flowvi.errors import ArgumentError, DataError
from flowvi.flows.standardise import CONSTANT
from flowvi.precision import double_precision


class Likelihood(eqx.Module):
    """p(x | outputs) of one row, independent over its columns given the decoder's outputs.

    Shapes: x and mean (columns,); outputs (columns * outputs_per_column,), those of a column in a row.
    """

    @property
    @abstractmethod
    def outputs_per_column(self) -> int:
        """Numbers that the decoder gives for each column."""

    @abstractmethod
    def log_prob(self, x: Float[Array, " columns"], outputs: Float[Array, " outputs"]) -> Float[Array, ""]:
        """log p(x | outputs), a scalar."""

    @abstractmethod
    def mean(self, outputs: Float[Array, " outputs"]) -> Float[Array, " columns"]:
        """The mean of every column."""

    @abstractmethod
    def sample(self, key: PRNGKeyArray, outputs: Float[Array, " outputs"]) -> Float[Array, " columns"]:
        """One draw."""

    @abstractmethod
    def inputs(self, x: Float[Array, " columns"]) -> Float[Array, " inputs"]:
        """The row as the encoder sees it, on a scale that suits a network."""

    @abstractmethod
    def check(self, x: np.ndarray) -> None:
        """Check that rows are possible data.

        Raises:
            DataError: a value is not.
        """


class Bernoulli(Likelihood):
    """Zeros and ones.

        p(x = 1) = 1 / (1 + e^-o)

    Example:
        >>> Bernoulli().mean(jnp.zeros(2)).tolist()
        [0.5, 0.5]
    """

    @property
    def outputs_per_column(self) -> int:
        return 1

    def log_prob(self, x: Float[Array, " columns"], outputs: Float[Array, " outputs"]) -> Float[Array, ""]:
        return jnp.sum(x * outputs - jax.nn.softplus(outputs))

    def mean(self, outputs: Float[Array, " outputs"]) -> Float[Array, " columns"]:
        return jax.nn.sigmoid(outputs)

    def sample(self, key: PRNGKeyArray, outputs: Float[Array, " outputs"]) -> Float[Array, " columns"]:
        return jax.random.bernoulli(key, self.mean(outputs)).astype(outputs.dtype)

    def inputs(self, x: Float[Array, " columns"]) -> Float[Array, " columns"]:
        return 2 * x - 1

    def check(self, x: np.ndarray) -> None:
        _check_integers(x, 2, "Bernoulli", "Binarise the data, or choose another likelihood.")


class Gaussian(Likelihood):
    """Real numbers, each with a mean and a standard deviation of its own.

        x = location + scale (m + e^s N(0, 1)),    (m, s) = outputs

    `location` and `scale` (columns,) standardise the data and are not trained; by `Gaussian.of(x)` they are
    the moments of the columns. Without them the outputs are on the scale of x.

    Example:
        >>> Gaussian.of(np.array([[1.0], [3.0]])).mean(jnp.zeros(2)).tolist()
        [2.0]
    """

    location: Constant
    scale: Constant

    def __init__(self, location: Any = 0.0, scale: Any = 1.0):
        self.location, self.scale = _constant(location), _constant(scale)

    @staticmethod
    def of(x: Float[np.ndarray, "rows columns"]) -> Gaussian:
        """Standardised by the moments of these rows; a constant column keeps its scale."""
        return Gaussian(x.mean(axis=0), _spread(x))

    @property
    def outputs_per_column(self) -> int:
        return 2

    def log_prob(self, x: Float[Array, " columns"], outputs: Float[Array, " outputs"]) -> Float[Array, ""]:
        mean, log_sd = self._moments(outputs)
        standard = (self.inputs(x) - mean) * jnp.exp(-log_sd)
        of_columns = -0.5 * standard**2 - log_sd - jnp.log(self.scale.value).astype(x.dtype)
        return jnp.sum(of_columns) - 0.5 * x.size * np.log(2 * np.pi)

    def mean(self, outputs: Float[Array, " outputs"]) -> Float[Array, " columns"]:
        return self._on_the_scale_of_data(self._moments(outputs)[0])

    def sample(self, key: PRNGKeyArray, outputs: Float[Array, " outputs"]) -> Float[Array, " columns"]:
        mean, log_sd = self._moments(outputs)
        noise = jax.random.normal(key, mean.shape, mean.dtype)
        return self._on_the_scale_of_data(mean + jnp.exp(log_sd) * noise)

    def inputs(self, x: Float[Array, " columns"]) -> Float[Array, " columns"]:
        return (x - self.location.value.astype(x.dtype)) / self.scale.value.astype(x.dtype)

    def check(self, x: np.ndarray) -> None:
        """Any finite number will do."""

    def _moments(self, outputs: Array) -> tuple[Array, Array]:
        mean, log_sd = outputs.reshape(-1, 2).T
        return mean, log_scale_of(log_sd)

    def _on_the_scale_of_data(self, standard: Array) -> Array:
        dtype = standard.dtype
        return self.location.value.astype(dtype) + self.scale.value.astype(dtype) * standard


class DiscretisedLogistic(Likelihood):
    """Whole numbers 0 .. levels - 1, such as the brightness of pixels: a logistic density over bins.

        P(x) = F((x + 1/2 - m) / s) - F((x - 1/2 - m) / s),    F(a) = 1 / (1 + e^-a)
        m = (levels - 1) (1 + o_1) / 2,    s = levels / 8 e^(o_2)

    The first bin reaches to minus infinity and the last to infinity.

    Source: IAF (arXiv 1606.04934), section 5.2.

    Example:
        >>> DiscretisedLogistic(3).mean(jnp.zeros(2)).tolist()
        [1.0]
    """

    levels: int = eqx.field(static=True, default=256)

    @property
    def outputs_per_column(self) -> int:
        return 2

    def log_prob(self, x: Float[Array, " columns"], outputs: Float[Array, " outputs"]) -> Float[Array, ""]:
        mean, scale = self._logistic(outputs)
        above, below = (x + 0.5 - mean) / scale, (x - 0.5 - mean) / scale
        # F(a) - F(b) = F(a) F(-b) (1 - e^(b - a)) loses no digits in the tails
        log_above = jnp.where(x >= self.levels - 1, 0.0, jax.nn.log_sigmoid(above))
        log_below = jnp.where(x <= 0, 0.0, jax.nn.log_sigmoid(-below))
        inside = (x > 0) & (x < self.levels - 1)
        overlap = jnp.where(inside, jnp.log(-jnp.expm1(-1 / scale)), 0.0)
        return jnp.sum(log_above + log_below + overlap)

    def mean(self, outputs: Float[Array, " outputs"]) -> Float[Array, " columns"]:
        # E x = sum over k >= 1 of P(x >= k)
        mean, scale = self._logistic(outputs)
        edges = jnp.arange(1, self.levels, dtype=mean.dtype)[:, None] - 0.5
        return jax.nn.sigmoid((mean - edges) / scale).sum(axis=0)

    def sample(self, key: PRNGKeyArray, outputs: Float[Array, " outputs"]) -> Float[Array, " columns"]:
        mean, scale = self._logistic(outputs)
        drawn = mean + scale * jax.random.logistic(key, mean.shape, mean.dtype)
        return jnp.clip(jnp.round(drawn), 0, self.levels - 1)

    def inputs(self, x: Float[Array, " columns"]) -> Float[Array, " columns"]:
        return 2 * x / (self.levels - 1) - 1

    def check(self, x: np.ndarray) -> None:
        _check_integers(x, self.levels, "DiscretisedLogistic", "Choose as many levels as the data have.")

    def _logistic(self, outputs: Array) -> tuple[Array, Array]:
        """Mean and scale, the latter wide enough for its reciprocal to have an exponential."""
        raw_mean, raw_scale = outputs.reshape(-1, 2).T
        mean = (self.levels - 1) * (1 + raw_mean) / 2
        return mean, self.levels / 8 * jnp.exp(10 * jnp.tanh(raw_scale / 10))


class Poisson(Likelihood):
    """Counts.

        p(x) = r^x e^-r / x!,    r = mean * e^o

    `mean` (columns,) is that of the columns, so that outputs near zero start where the data are; the encoder
    sees log(1 + x), standardised by `location` and `scale` (columns,). None is trained; `Poisson.of(x)` takes
    all of them from the data. Without them r = e^o.

    Example:
        >>> Poisson.of(np.array([[8000.0], [9000.0]])).mean(jnp.zeros(1)).round().tolist()
        [8500.0]
    """

    log_mean: Constant
    location: Constant
    scale: Constant

    def __init__(self, mean: Any = 1.0, location: Any = 1.0, scale: Any = 1.0):
        self.log_mean = _constant(np.log(np.asarray(mean, float)))
        self.location, self.scale = _constant(location), _constant(scale)

    @staticmethod
    def of(x: Float[np.ndarray, "rows columns"]) -> Poisson:
        """On the scale of these rows; the mean of a column of zeros is half a count in all of them."""
        Poisson().check(x)
        logs = np.log1p(x)
        mean = np.maximum(x.mean(axis=0), 0.5 / len(x))
        return Poisson(mean, logs.mean(axis=0), _spread(logs))

    @property
    def outputs_per_column(self) -> int:
        return 1

    def log_prob(self, x: Float[Array, " columns"], outputs: Float[Array, " outputs"]) -> Float[Array, ""]:
        log_rate = self._log_rate(outputs)
        return jnp.sum(x * log_rate - jnp.exp(log_rate) - jax.scipy.special.gammaln(x + 1))

    def mean(self, outputs: Float[Array, " outputs"]) -> Float[Array, " columns"]:
        return jnp.exp(self._log_rate(outputs))

    def sample(self, key: PRNGKeyArray, outputs: Float[Array, " outputs"]) -> Float[Array, " columns"]:
        return jax.random.poisson(key, self.mean(outputs)).astype(outputs.dtype)

    def inputs(self, x: Float[Array, " columns"]) -> Float[Array, " columns"]:
        return (jnp.log1p(x) - self.location.value.astype(x.dtype)) / self.scale.value.astype(x.dtype)

    def check(self, x: np.ndarray) -> None:
        _check_integers(x, None, "Poisson", "Give counts, or choose another likelihood.")

    def _log_rate(self, outputs: Array) -> Array:
        return self.log_mean.value.astype(outputs.dtype) + log_scale_of(outputs)


class Categorical(Likelihood):
    """One of the classes 0 .. classes - 1 in each column.

        P(x = c) = e^(o_c) / sum_k e^(o_k)

    Its `mean` is that of the class numbers.

    Example:
        >>> Categorical(3).log_prob(jnp.array([2.0]), jnp.zeros(3)).round(4).item()
        -1.0986...
    """

    classes: int = eqx.field(static=True)

    @property
    def outputs_per_column(self) -> int:
        return self.classes

    def log_prob(self, x: Float[Array, " columns"], outputs: Float[Array, " outputs"]) -> Float[Array, ""]:
        log_probabilities = jax.nn.log_softmax(outputs.reshape(-1, self.classes))
        return jnp.sum(jnp.take_along_axis(log_probabilities, x.astype(int)[:, None], axis=1))

    def mean(self, outputs: Float[Array, " outputs"]) -> Float[Array, " columns"]:
        probabilities = jax.nn.softmax(outputs.reshape(-1, self.classes))
        return probabilities @ jnp.arange(self.classes, dtype=outputs.dtype)

    def sample(self, key: PRNGKeyArray, outputs: Float[Array, " outputs"]) -> Float[Array, " columns"]:
        return jax.random.categorical(key, outputs.reshape(-1, self.classes)).astype(outputs.dtype)

    def inputs(self, x: Float[Array, " columns"]) -> Float[Array, " inputs"]:
        return jax.nn.one_hot(x.astype(int), self.classes, dtype=x.dtype).ravel()

    def check(self, x: np.ndarray) -> None:
        _check_integers(x, self.classes, "Categorical", "Number the classes from 0.")


_BY_NAME: dict[str, Callable[[np.ndarray], Likelihood]] = {
    "bernoulli": lambda x: Bernoulli(),
    "gaussian": Gaussian.of,
    "discretised_logistic": lambda x: DiscretisedLogistic(int(x.max()) + 1),
    "poisson": Poisson.of,
    "categorical": lambda x: Categorical(int(x.max()) + 1),
}
NAMES = tuple(_BY_NAME)


def likelihood_of(asked: str | Likelihood, x: Float[np.ndarray, "rows columns"]) -> Likelihood:
    """The likelihood, by its name or as it is; moments and levels it takes from the data.

    Raises:
        ArgumentError: no likelihood has this name.
        DataError: the data cannot have come from it.

    Example:
        >>> likelihood_of("categorical", np.array([[0.0], [2.0]])).classes
        3
    """
    if not isinstance(asked, Likelihood):
        if asked not in _BY_NAME:
            raise ArgumentError(
                f"likelihood={asked!r}: choose one of {', '.join(map(repr, NAMES))}, or give a Likelihood."
            )
        asked = _BY_NAME[asked](x)
    asked.check(x)
    return asked


@double_precision
def _constant(values: Any) -> Constant:
    return Constant(leaf(np.asarray(values, float)))


def _spread(x: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, " columns"]:
    """Standard deviations of the columns, and one for those that are constant but for rounding."""
    location, scale = x.mean(axis=0), x.std(axis=0)
    return np.where(scale > CONSTANT * np.abs(location), scale, 1.0)


def _check_integers(x: np.ndarray, levels: int | None, name: str, advice: str) -> None:
    bad = np.argwhere((x != np.round(x)) | (x < 0) | (x >= (np.inf if levels is None else levels)))
    if len(bad):
        wanted = "0, 1, 2, ..." if levels is None else f"whole numbers from 0 to {levels - 1}"
        row, column = bad[0]
        raise DataError(
            f"x has the value {x[row, column]:g} in row {row}, column {column}, but the {name} likelihood "
            f"takes {wanted}. {advice}"
        )
