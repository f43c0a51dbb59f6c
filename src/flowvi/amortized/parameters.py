"""Parameters by name, and as points of R^dim."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from flowvi.bijections import SupportTree, support
from flowvi.errors import CannotSimulateError, DataError, SupportError
from flowvi.memory import batch_map
from flowvi.targets.base import Draws, Target
from flowvi.targets.labels import labels

_COMPARED = 64
"""Points at which two data sets are compared."""
_ROUNDING = 1e-10
_BACK_AND_FORTH = 1e-5
"""Relative error of a deterministic whose parameters went to the unconstrained scale and back."""
_ILL_CONDITIONED = 0.02
"""Share of points at which it may be larger."""


class Parameters(ABC):
    """Names and supports of parameters, in batches.

    Attributes:
        dim: number of unconstrained coordinates.
        coordinates: their labels.
    """

    dim: int
    coordinates: tuple[str, ...]

    @abstractmethod
    def unconstrain(self, draws: Draws) -> tuple[Float[np.ndarray, "n dim"], Float[np.ndarray, " n"]]:
        """Unconstrained points, and log |det d parameters / dz| there."""

    @abstractmethod
    def constrain(self, z: Float[np.ndarray, "n dim"]) -> Draws:
        """The parameters at unconstrained points."""


@final
class ModelParameters(Parameters):
    """The parameters of a model, with what follows from them and not from the data.

    Attributes:
        names: of the parameters, and of deterministics.
    """

    names: tuple[str, ...]

    def __init__(self, target: Target, names: Sequence[str]) -> None:
        self._target = target
        self.dim, self.coordinates = target.dim, target.coordinates
        self.names = tuple(names)

    @staticmethod
    def of(target: Target, others: Sequence[Target], simulated: Draws) -> ModelParameters:
        """Leave out what is not a function of the parameters alone: sites that are summed out, which are
        drawn given the data, deterministics of these or of the data, and what is random.

        Args:
            others: the same target given other data.
            simulated: name -> (n, *shape), with the deterministics as they were simulated, if they are known.

        Raises:
            CannotSimulateError: the support of a parameter depends on the data.
        """
        z, _ = target.unconstrain_rows(simulated)
        rows = np.flatnonzero(np.isfinite(z).all(axis=1))[:_COMPARED]
        z = z[rows]
        one = target.constrain(z, seed=0)
        # by another seed, which gives other draws of what is random
        alike = [other.constrain(z, seed=1) for other in others]
        kept = {name for name in one if all(_same(one[name], two[name]) for two in alike)}
        own = {label.partition("[")[0] for label in target.coordinates} & set(one)
        if own - kept:
            raise CannotSimulateError(
                f"The support of '{min(own - kept)}' depends on the data, so that its values are others on "
                "the unconstrained scale, on which q is, for every data set. Give it a support that does not."
            )
        summed = getattr(target, "enumeration", None)
        kept -= set() if summed is None else set(summed.names)
        # draws given the data may agree by chance, where these leave no doubt
        known = kept.intersection(simulated) - own
        kept -= {
            name
            for name in known
            if not _same(one[name], simulated[name][rows], _BACK_AND_FORTH, _ILL_CONDITIONED)
        }
        return ModelParameters(target, [name for name in one if name in kept])

    def unconstrain(self, draws: Draws) -> tuple[Float[np.ndarray, "n dim"], Float[np.ndarray, " n"]]:
        return self._target.unconstrain_rows(draws)

    def constrain(self, z: Float[np.ndarray, "n dim"]) -> Draws:
        constrained = self._target.constrain(z)
        return {name: constrained[name] for name in self.names}


@final
class NamedParameters(Parameters):
    """Parameters of a plain simulator, by their names and supports."""

    def __init__(self, tree: SupportTree, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """`tree` and `shapes` by name, sorted: the order of a tree's leaves."""
        self.tree, self.shapes = tree, dict(shapes)
        self.dim = tree.dim
        supports: Any = tree.supports
        self.coordinates = tuple(
            label for name in self.shapes for label in labels(name, supports[name].shape)
        )

    @staticmethod
    def of(example: Draws, supports: Mapping[str, Any] | None) -> NamedParameters:
        """`example` has a first axis of draws.

        Raises:
            SupportError: a support is unknown, of no parameter, or does not fit its shape.
        """
        supports = dict(supports or {})
        unknown = [name for name in supports if name not in example]
        if unknown:
            raise SupportError(f"`supports` names {unknown}, but the parameters are {list(example)}.")
        shapes = {name: np.shape(example[name])[1:] for name in sorted(example)}
        tree = {name: _support(name, supports, shape) for name, shape in shapes.items()}
        return NamedParameters(SupportTree(tree), shapes)

    def unconstrain(self, draws: Draws) -> tuple[Float[np.ndarray, "n dim"], Float[np.ndarray, " n"]]:
        for name, shape in self.shapes.items():
            if name not in draws or np.shape(draws[name])[1:] != shape:
                given = f"shape {np.shape(draws[name])[1:]}" if name in draws else "no value"
                raise DataError(f"Parameter '{name}' has shape {shape}, but was given {given}.")
        z, log_det = _inverse(self.tree, {name: np.asarray(draws[name], float) for name in self.shapes})
        return np.asarray(z), -np.asarray(log_det)

    def constrain(self, z: Float[np.ndarray, "n dim"]) -> Draws:
        return {name: np.asarray(value) for name, value in _forward(self.tree, z).items()}


def _same(one: np.ndarray, two: np.ndarray, error: float = _ROUNDING, but_for: float = 0.0) -> bool:
    """Whether two arrays are the same up to a relative error, but for a share of the points."""
    if one.shape != two.shape:
        return False
    one, two = (a.reshape(len(a), -1) for a in (one, two))
    size = np.nanmedian(np.abs(one)) if np.isfinite(one).any() else 0.0
    close = np.isclose(one, two, rtol=error, atol=error * size, equal_nan=True).all(axis=1)
    return bool(np.mean(~close) <= but_for)


def _support(name: str, supports: Mapping[str, Any], shape: tuple[int, ...]) -> Any:
    try:
        return support(supports.get(name, "real"), shape)
    except SupportError as error:
        raise SupportError(f"Parameter '{name}' of shape {shape}: {error}") from error


@eqx.filter_jit
def _inverse(tree: SupportTree, draws: dict[str, Any]) -> tuple[Array, Array]:
    return batch_map(tree.inverse_and_log_det, jax.tree.map(jnp.asarray, draws))


@eqx.filter_jit
def _forward(tree: SupportTree, z: Any) -> dict[str, Array]:
    return batch_map(lambda one: tree.forward_and_log_det(one)[0], jnp.asarray(z))
