"""What a target is: a posterior as the rest of flowvi sees it."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import equinox as eqx
import numpy as np
from equinox import AbstractVar
from jaxtyping import Array, Float

from flowvi.errors import CannotSimulateError

if TYPE_CHECKING:
    import pymc

Draws = dict[str, np.ndarray]
"""Parameter name -> float64 array (draws, *shape), on the model's own scale."""


class Target(eqx.Module):
    """An unnormalised log density on R^dim, and the way back to the model's own names and scales.

    Data are array leaves of the target and everything else is static, so that a compiled function of a
    target serves every target of the same model with data of the same shapes.

    Attributes:
        dim: number of unconstrained coordinates.
        coordinates: a label per coordinate, in the model's terms: `"tau"`, `"theta[3]"`. Coordinates of a
            support whose free dimension differs from its shape count the free ones.
        improper: names of the parameters whose prior does not integrate.
    """

    dim: AbstractVar[int]
    coordinates: AbstractVar[tuple[str, ...]]
    improper: AbstractVar[tuple[str, ...]]

    @abstractmethod
    def log_density(self, z: Float[Array, " dim"]) -> Float[Array, ""]:
        """log p(parameters, data) + log |det d parameters / dz| at one unconstrained point; traceable by
        JAX."""

    @abstractmethod
    def explain(self, z: Float[np.ndarray, " dim"]) -> str:
        """What the model itself says of a point where its density is NaN or -inf; empty where it says
        nothing."""

    @abstractmethod
    def constrain(self, z: Float[np.ndarray, "n dim"], seed: int = 0) -> Draws:
        """Parameters, deterministics, transformed parameters and generated quantities at unconstrained
        points."""

    @abstractmethod
    def unconstrain(self, parameters: Mapping[str, Any]) -> Float[np.ndarray, " dim"]:
        """The unconstrained point of one set of parameter values (inverse of `constrain` for the parameters).

        Raises:
            DataError: a parameter is missing or has the wrong shape.
            SupportError: a value lies outside its support.
        """

    @abstractmethod
    def predictive(self, draws: Draws, seed: int, args: tuple, kwargs: Mapping[str, Any]) -> Draws:
        """Draws of the observed sites given parameter draws; `args` and `kwargs` are new data for the
        model, or empty.

        Raises:
            CannotSimulateError: the model is a density only.
        """

    def simulate(self, seed: int) -> tuple[dict[str, np.ndarray], "Target"]:
        """Parameters drawn from the prior, and the posterior given data drawn with these parameters.

        Parameters, each of its own shape, are all that `constrain` gives. Targets of different seeds share
        their compiled programs.

        Raises:
            CannotSimulateError: the model is a density only, or its prior is improper.
        """
        raise CannotSimulateError(
            "A Stan program or a log density cannot draw from its own prior. Give `simulate=`, a function "
            "that draws parameters and data."
        )

    def prior_predictive(self, seed: int, n: int) -> tuple[Draws, Draws]:
        """Parameters drawn n times from the prior, and observed sites drawn with them, each (n, *shape).

        Raises:
            CannotSimulateError: the model is a density only, or its prior is improper.
        """
        raise CannotSimulateError(
            "A Stan program or a log density cannot draw from its own prior. Give `simulate=`, a function "
            "that draws parameters and data."
        )

    def with_observed(self, observed: Mapping[str, Any]) -> "Target":
        """The posterior given other values of observed sites, by name; such targets share their programs.

        Raises:
            CannotSimulateError: the model is a density only, in which no observations can be told.
        """
        raise CannotSimulateError("A Stan program or a log density does not tell its observations by name.")

    def unconstrain_rows(self, draws: Draws) -> tuple[Float[np.ndarray, "n dim"], Float[np.ndarray, " n"]]:
        """Unconstrained points of many values of the parameters, and log |det d parameters / dz| there.

        Values outside their supports give points that are not finite or, off a simplex, those of others.

        Raises:
            DataError: a parameter is missing or has the wrong shape.
            CannotSimulateError: the front end does not tell its Jacobians apart.
        """
        raise CannotSimulateError("A Stan program does not tell its log density and its Jacobians apart.")

    @abstractmethod
    def log_likelihood(self, draws: Draws) -> Draws:
        """Pointwise log likelihood per observed site, (draws, *shape of the data); empty where the model
        has no such sites."""

    @abstractmethod
    def observed_data(self) -> dict[str, np.ndarray]:
        """The observed values, by site."""

    @abstractmethod
    def dims(self) -> dict[str, tuple[str, ...]]:
        """Names of the dimensions of parameters and observed sites, where the model names them."""

    @abstractmethod
    def coords(self) -> dict[str, np.ndarray]:
        """Coordinate values of the named dimensions."""

    @staticmethod
    def from_log_density(
        log_density: Callable, example: Any, supports: Mapping[str, Any] | None = None
    ) -> "Target":
        """A target from a JAX function of parameters on their own scale; see `flowvi.targets.jax`."""
        from flowvi.targets.jax import JaxTarget

        return JaxTarget.build(log_density, example, supports)

    @staticmethod
    def from_numpyro(model: Callable, *args: Any, **kwargs: Any) -> "Target":
        """A target from a NumPyro model and its arguments; see `flowvi.targets.numpyro`."""
        from flowvi.targets.numpyro import NumpyroTarget

        return NumpyroTarget.build(model, args, kwargs)

    @staticmethod
    def from_pymc(model: "pymc.Model") -> "Target":
        """A target from a PyMC model; see `flowvi.targets.pymc`."""
        from flowvi.targets.pymc import PymcTarget

        return PymcTarget.build(model)

    @staticmethod
    def from_stan(program: Any, data: Any = None) -> "Target":
        """A target from a Stan program and its data; see `flowvi.targets.stan`."""
        from flowvi.targets.stan import StanTarget

        return StanTarget.build(program, data)
