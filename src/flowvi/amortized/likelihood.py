"""The posterior of a model given any data set, where the model has a likelihood."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from flowvi.calibration.simulated import given_data
from flowvi.errors import ArgumentError, DataError
from flowvi.targets.base import Target
from flowvi.targets.of_model import RESERVED, parameter_names, target_of

_RESERVED = (
    *RESERVED, "observed", "simulate", "prior", "summary", "simulations", "objective", "fresh",
    "max_steps", "path",
)  # fmt: skip


class Model(NamedTuple):
    """A model as the user gives it, with its own arguments; `example`, `supports` go with a log density."""

    model: Any
    args: tuple
    kwargs: Mapping[str, Any]
    example: Any
    supports: Mapping[str, Any] | None

    def target(self, caller: str) -> Target:
        """Its posterior given the data among the arguments.

        Raises:
            ArgumentError: an argument of the model is missing, or it takes none of that name.
            ModelError: as for `flowvi.fit`.
        """
        self._require_arguments()
        return target_of(self.model, self.args, self.kwargs, self.example, self.supports, caller, _RESERVED)

    def takes(self, observed: str) -> bool:
        """Whether the data are an argument of the model."""
        return not isinstance(self.model, Target) and observed in parameter_names(self.model)

    def _require_arguments(self) -> None:
        if not callable(self.model) or isinstance(self.model, Target):
            return
        args = self.args if self.example is None else (None, *self.args)
        try:
            inspect.signature(self.model).bind(*args, **self.kwargs)
        except TypeError as error:
            raise ArgumentError(
                f"The model cannot be called with these arguments: {error}. Give all that it takes, data "
                "included, of which the shape alone matters: flowvi.amortize(model, np.zeros(10))."
            ) from None
        except ValueError:
            # no signature to look at
            return


@dataclass(frozen=True, eq=False)
class Likelihood:
    """The posterior of a model given a data set: by the argument of that name, or else in place of the
    observed site.

    Attributes:
        by_user: whether the user simulates; data then go in by name, as an argument or a variable.
        dtype: of data in the model; None to leave them as they are.
    """

    model: Model
    target: Target
    observed: str
    by_user: bool
    dtype: np.dtype | None

    @staticmethod
    def of(
        model: Model, target: Target, observed: str, simulated: bool, x: Sequence[np.ndarray]
    ) -> Likelihood:
        """From a model, its target, and data sets as they are simulated, by the user where `simulated`.

        Raises:
            ArgumentError: the model has no data of that name.
        """
        old = target.observed_data().get(observed)
        if not simulated and not model.takes(observed) and old is None:
            raise ArgumentError(
                f"observed={observed!r} is no argument of the model and no observed site; the sites are "
                f"{list(target.observed_data())}."
            )
        # of the data in the arguments only the shape matters, and they may be integers for want of a point
        dtype = None if old is None else old.dtype
        if dtype is not None and dtype.kind in "iub" and not all(_is_whole(one) for one in x):
            dtype = None
        return Likelihood(model, target, observed, simulated, dtype)

    def __call__(self, x: np.ndarray) -> Target:
        """The posterior given one data set.

        Raises:
            DataError: x has fractions, or is out of range, where the model has integers.
        """
        data = {self.observed: self._as_in_the_model(x)}
        if self.by_user or self.model.takes(self.observed):
            return given_data(data, *self.model)
        return self.target.with_observed(data)

    def _as_in_the_model(self, x: np.ndarray) -> np.ndarray:
        if self.dtype is None:
            return x
        with np.errstate(invalid="ignore"):
            cast = x.astype(self.dtype)
        if self.dtype.kind in "iub" and not np.array_equal(cast, x):
            where = tuple(int(i) for i in np.argwhere(cast != x)[0])
            raise DataError(
                f"x is {x[where]} at {list(where)}, but '{self.observed}' is {self.dtype} in the model, in "
                f"which it would be {cast[where]}."
            )
        return cast


def _is_whole(x: np.ndarray) -> bool:
    return bool(np.array_equal(x, np.round(x)))
