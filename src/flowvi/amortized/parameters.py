"""Parameters by name, and as points of R^dim."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from flowvi.bijections import SupportTree, support
from flowvi.errors import DataError, SupportError
from flowvi.memory import batch_map
from flowvi.targets.base import Draws, Target
from flowvi.targets.labels import labels


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
    """The parameters of a model, with what follows from them and not from the data."""

    def __init__(self, target: Target, other: Target) -> None:
        """`other` is the same target given other data: what differs between the two depends on these."""
        self._target = target
        self.dim, self.coordinates = target.dim, target.coordinates
        z = np.zeros((1, target.dim))
        one, two = target.constrain(z), other.constrain(z)
        self._names = [name for name in one if np.array_equal(one[name], two[name], equal_nan=True)]

    def unconstrain(self, draws: Draws) -> tuple[Float[np.ndarray, "n dim"], Float[np.ndarray, " n"]]:
        return self._target.unconstrain_rows(draws)

    def constrain(self, z: Float[np.ndarray, "n dim"]) -> Draws:
        constrained = self._target.constrain(z)
        return {name: constrained[name] for name in self._names}


@final
class NamedParameters(Parameters):
    """Parameters of a plain simulator, by their names and supports."""

    def __init__(self, example: Draws, supports: Mapping[str, Any] | None) -> None:
        """`example` has a first axis of draws.

        Raises:
            SupportError: a support is unknown, of no parameter, or does not fit its shape.
        """
        supports = dict(supports or {})
        unknown = [name for name in supports if name not in example]
        if unknown:
            raise SupportError(f"`supports` names {unknown}, but the parameters are {list(example)}.")
        # the order of a tree's leaves
        self._shapes = {name: np.shape(example[name])[1:] for name in sorted(example)}
        tree = {name: _support(name, supports, shape) for name, shape in self._shapes.items()}
        self._tree = SupportTree(tree)
        self.dim = self._tree.dim
        self.coordinates = tuple(
            label for name, bijection in tree.items() for label in labels(name, bijection.shape)
        )

    def unconstrain(self, draws: Draws) -> tuple[Float[np.ndarray, "n dim"], Float[np.ndarray, " n"]]:
        for name, shape in self._shapes.items():
            if name not in draws or np.shape(draws[name])[1:] != shape:
                given = f"shape {np.shape(draws[name])[1:]}" if name in draws else "no value"
                raise DataError(f"Parameter '{name}' has shape {shape}, but was given {given}.")
        z, log_det = _inverse(self._tree, {name: np.asarray(draws[name], float) for name in self._shapes})
        return np.asarray(z), -np.asarray(log_det)

    def constrain(self, z: Float[np.ndarray, "n dim"]) -> Draws:
        return {name: np.asarray(value) for name, value in _forward(self._tree, z).items()}


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
