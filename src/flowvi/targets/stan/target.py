"""Stan programs as targets."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from os import PathLike
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32

from flowvi.errors import CannotSimulateError, DataError, ModelError, PrecisionError, SupportError
from flowvi.targets.base import Draws, Target
from flowvi.targets.stan.backend import (
    GENERATED,
    PARAMETERS,
    TRANSFORMED,
    UNCONSTRAINED,
    Backend,
    log_density,
)
from flowvi.targets.stan.bridge import BridgeStanModel, bridgestan_is_installed
from flowvi.targets.stan.names import Variable, flatten, label, variables
from flowvi.targets.stan.native import NativeModel
from flowvi.targets.stan.program import StanModel

_LOG_LIKELIHOOD = "log_lik"
_REPLICATED = ("_rep", "_pred")


class _Loaded:
    """A model with its data, and Stan's names; equal for equal programs, so that new data compile nothing."""

    def __init__(self, model: StanModel):
        self.model = model
        self.backend: Backend = BridgeStanModel(model) if bridgestan_is_installed() else NativeModel(model)
        flat = self.backend.names(GENERATED)
        widths = [len(self.backend.names(level)) for level in (PARAMETERS, TRANSFORMED)]
        self.variables = variables(flat)
        self.parameters = variables(flat[: widths[0]])
        self.generated = [v for v in self.variables if np.min(v.positions) >= widths[1]]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Loaded) and self.backend.library == other.backend.library

    def __hash__(self) -> int:
        return hash(self.backend.library)


@final
class StanTarget(Target):
    """The posterior of a Stan program given its data.

    The density is Stan's own: normalised (`normal_lpdf` and `~` alike keep their constants), with the
    Jacobians of its transforms. A point that the program rejects has density -inf and gradient 0; any other
    exception gives NaN; `explain` has the message. `improper` is always empty, since a Stan program does not
    tell which parameters have no proper prior.

    Generated quantities follow the conventions of the Stan world: `log_lik` is the pointwise log likelihood;
    `y_rep` or `y_pred` is simulated data for the data variable `y`.

    Attributes:
        coordinates: Stan's names, indices counted from 1: `"theta[3]"`.
        handle: which model of its library this is; traced, so that new data compile nothing.

    Example:
        >>> target = StanTarget.build("parameters { real<lower=0> x; } model { x ~ exponential(1); }")
        >>> target.coordinates
        ('x',)
        >>> target.constrain(np.array([[0.0]]))["x"]
        array([1.])
    """

    dim: int = eqx.field(static=True)
    coordinates: tuple[str, ...] = eqx.field(static=True)
    improper: tuple[str, ...] = eqx.field(static=True)
    handle: Int32[Array, ""]
    loaded: _Loaded = eqx.field(static=True)

    @staticmethod
    def build(
        program: StanModel | str | PathLike[str], data: Mapping[str, Any] | str | PathLike[str] | None = None
    ) -> StanTarget:
        """Compile a program, or find it in the cache, and load it with its data.

        Args:
            program: a `StanModel`, the path of a `.stan` file, or Stan code.
            data: as for `StanModel`; not with a `StanModel`, which has its own.

        Raises:
            DependencyError: httpstan or a C++ compiler is missing.
            ModelError: the program is wrong (with stanc's message, line and column), or has no parameters.
            DataError: a data file or a variable is missing, or has the wrong shape, type or values.
        """
        if isinstance(program, StanModel):
            if data is not None:
                raise DataError("A flowvi.StanModel holds its own data: give none beside it.")
            model = program
        else:
            model = StanModel(program, data)
        loaded = _Loaded(model)
        coordinates = tuple(label(name) for name in loaded.backend.names(UNCONSTRAINED))
        if not coordinates:
            raise ModelError(f"The Stan program {model.name} has no parameters. Nothing is left to infer.")
        return StanTarget(
            dim=len(coordinates),
            coordinates=coordinates,
            improper=(),
            handle=jnp.asarray(loaded.backend.handle, jnp.int32),
            loaded=loaded,
        )

    def log_density(self, z: Float[Array, " dim"]) -> Float[Array, ""]:
        """Stan's log density at one unconstrained point; a `vmap` over points is one call on all cores.

        Raises:
            PrecisionError: JAX is in single precision.
        """
        if jax.dtypes.canonicalize_dtype(np.float64) != np.float64:
            raise PrecisionError(
                "A Stan density needs double precision: put your code under `with jax.enable_x64(True):`."
            )
        return log_density(self.loaded.backend, self.handle, z)

    def explain(self, z: Float[np.ndarray, " dim"]) -> str:
        """What Stan says of a point where the density is NaN or -inf; empty where nothing was thrown."""
        return self.loaded.backend.evaluate(_rows(z), gradient=True)[2].message

    def constrain(self, z: Float[np.ndarray, "n dim"], seed: int = 0) -> Draws:
        """Parameters, transformed parameters and generated quantities at unconstrained points.

        Parts of a tuple `t` are draws of their own, `"t:1"` and `"t:2"`; of a complex `z`, `"z.real"` and
        `"z.imag"`. Where the program throws, what it had not computed yet is NaN, and a warning says why.
        """
        values, failures = self.loaded.backend.constrain(_rows(z), seed % 2**32)
        if failures.count:
            warnings.warn(
                f"{failures.count} of {len(values)} draws have quantities that the Stan program could not "
                f"compute (NaN): {failures.message}",
                RuntimeWarning,
                stacklevel=2,
            )
        return _draws(self.loaded.variables, values)

    def unconstrain(self, parameters: Mapping[str, Any]) -> Float[np.ndarray, " dim"]:
        """The unconstrained point of one value for every parameter; other entries are ignored.

        Raises:
            DataError: a parameter is missing or has the wrong shape.
            SupportError: a value lies outside its support, with Stan's message.
        """
        return self._unconstrain(flatten(self.loaded.parameters, parameters)[None])[0]

    def predictive(self, draws: Draws, seed: int, args: tuple, kwargs: Mapping[str, Any]) -> Draws:
        """The generated quantities, `log_lik` aside, simulated anew for each draw; `kwargs` replace data.

        Raises:
            CannotSimulateError: the program generates nothing but `log_lik`.
            DataError: new data do not fit the program, or change the shape of its parameters.
        """
        if args:
            raise DataError("New data for a Stan program go by name: predictive(N=10, x=...).")
        target = StanTarget.build(self.loaded.model.with_data(**kwargs)) if kwargs else self
        names = {v.name for v in target.loaded.generated} - {_LOG_LIKELIHOOD}
        if not names:
            raise CannotSimulateError(
                f"The Stan program {self.loaded.model.name} simulates nothing: write data such as "
                "`y_rep = normal_rng(mu, sigma)` in its generated quantities."
            )
        new = target.constrain(target._unconstrain(flatten(target.loaded.parameters, draws)), seed)
        return {name: values for name, values in new.items() if name in names}

    def log_likelihood(self, draws: Draws) -> Draws:
        """`{"log_lik": (draws, *shape)}` where the program generates it, else empty."""
        if all(v.name != _LOG_LIKELIHOOD for v in self.loaded.generated):
            return {}
        if _LOG_LIKELIHOOD in draws:
            return {_LOG_LIKELIHOOD: draws[_LOG_LIKELIHOOD]}
        new = self.constrain(self._unconstrain(flatten(self.loaded.parameters, draws)))
        return {_LOG_LIKELIHOOD: new[_LOG_LIKELIHOOD]}

    def observed_data(self) -> dict[str, np.ndarray]:
        """Data that the program also simulates: `y` where it generates `y_rep` or `y_pred`."""
        generated = {v.name for v in self.loaded.generated}
        data = self.loaded.model.data
        return {name: data[name] for name in data if any(name + end in generated for end in _REPLICATED)}

    def dims(self) -> dict[str, tuple[str, ...]]:
        """Empty: Stan names no dimensions."""
        return {}

    def coords(self) -> dict[str, np.ndarray]:
        """Empty: Stan names no dimensions."""
        return {}

    def _unconstrain(self, flat: np.ndarray) -> np.ndarray:
        z, failures = self.loaded.backend.unconstrain(np.ascontiguousarray(flat))
        if failures.count:
            raise SupportError(f"A parameter lies outside its support: {failures.message}")
        return z


def _rows(z: Any) -> np.ndarray:
    return np.ascontiguousarray(np.atleast_2d(z), dtype=np.float64)


def _draws(parts: list[Variable], values: np.ndarray) -> Draws:
    return {name: values[:, positions] for name, positions in parts}
