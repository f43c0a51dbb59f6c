"""Where pairs of parameters and data come from."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from flowvi.amortized.failures import count, reason_of
from flowvi.errors import ArgumentError, CannotSimulateError
from flowvi.targets.base import Draws, Target

Prior = Callable[[np.random.Generator], Mapping[str, Any]]


class Pairs(NamedTuple):
    """Simulated parameters and data.

    Attributes:
        parameters: name -> (n, *shape).
        x: one array per data set; their first axes may differ in length.
        failed: why draws were dropped -> how many.
    """

    parameters: Draws
    x: Sequence[np.ndarray]
    failed: Mapping[str, int]

    def take(self, chosen: Int[np.ndarray, " n"]) -> Pairs:
        """Some of them, with nothing said of failures."""
        parameters = {name: values[chosen] for name, values in self.parameters.items()}
        return Pairs(parameters, [self.x[i] for i in chosen], {})


Simulator = Callable[[int, int], Pairs]
"""Draws so many pairs, by a seed; those that fail are left out and counted."""


@dataclass(frozen=True)
class FromModel:
    """Pairs from a model's own prior predictive.

    Attributes:
        observed: the name of the observed site.
    """

    target: Target
    observed: str

    def __call__(self, seed: int, n: int) -> Pairs:
        parameters, observed = self.target.prior_predictive(seed, n)
        if list(observed) != [self.observed]:
            raise CannotSimulateError(
                f"The model observes {', '.join(map(repr, observed))}, but observed={self.observed!r}: give "
                "the name of its observed site. A model that observes several has to be given `simulate=`."
            )
        return finite_pairs(parameters, [np.asarray(one) for one in observed[self.observed]], {})


@dataclass(frozen=True)
class FromFunctions:
    """Pairs from a Python function, one by one.

    Attributes:
        simulate: of a random generator, giving parameters and data; or, beside `prior`, of parameters and a
            random generator, giving data.
        prior: of a random generator, giving parameters.
        observed: the name under which data are found where they are a dict.
    """

    simulate: Callable[..., Any]
    prior: Prior | None
    observed: str

    def __call__(self, seed: int, n: int) -> Pairs:
        drawn: list[tuple[dict[str, np.ndarray], np.ndarray]] = []
        failed: dict[str, int] = {}
        for stream in np.random.SeedSequence(seed).spawn(n):
            try:
                parameters, x = self._one(np.random.default_rng(stream))
            except ArgumentError:
                raise
            except Exception as error:
                count(failed, reason_of(error))
                continue
            drawn.append((read_parameters(parameters), self._read_data(x)))
        if not drawn:
            return Pairs({}, [], failed)
        names, shapes = list(drawn[0][0]), _shapes(drawn[0][0])
        for parameters, _ in drawn:
            if _shapes(parameters) != shapes:
                raise ArgumentError(
                    f"The simulator gave parameters {_shapes(parameters)} after {shapes}: they have to have "
                    "the same names and shapes in every draw."
                )
        stacked = {name: np.stack([parameters[name] for parameters, _ in drawn]) for name in names}
        return finite_pairs(stacked, [x for _, x in drawn], failed)

    def _one(self, rng: np.random.Generator) -> tuple[Any, Any]:
        """What the user's functions return."""
        if self.prior is not None:
            # before they go into the simulator, which would fail for another reason
            parameters = require_names(self.prior(rng))
            return parameters, self.simulate(parameters, rng)
        pair = self.simulate(rng)
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise ArgumentError(
                f"`simulate` returned a {type(pair).__name__}; without `prior=` it has to return a pair: "
                "a dict of parameters, and the data."
            )
        return pair

    def _read_data(self, x: Any) -> np.ndarray:
        if isinstance(x, Mapping):
            if self.observed not in x:
                raise ArgumentError(f"The data have {list(x)}, but observed={self.observed!r}.")
            x = x[self.observed]
        return numbers(x, "The simulated data")


def require_names(parameters: Any) -> Mapping[str, Any]:
    """The parameters of a draw, if they have names.

    Raises:
        ArgumentError: they are no dict, or there are none.
    """
    if not isinstance(parameters, Mapping):
        raise ArgumentError(
            f"The parameters came as a {type(parameters).__name__}: give a dict of names and values."
        )
    if not parameters:
        raise ArgumentError("The parameters came as an empty dict: there is nothing to infer.")
    return parameters


def read_parameters(parameters: Any) -> dict[str, np.ndarray]:
    """The parameters as arrays.

    Raises:
        ArgumentError: they have no names, or one of them is not an array of numbers.
    """
    found = {}
    for name, value in require_names(parameters).items():
        if isinstance(value, Mapping):
            raise ArgumentError(
                f"Parameter '{name}' came as a dict: give arrays by name, '{name}/{next(iter(value), 'a')}' "
                "for one within another."
            )
        found[name] = numbers(value, f"Parameter '{name}'")
        if not found[name].size:
            raise ArgumentError(f"Parameter '{name}' has shape {found[name].shape}: there is nothing in it.")
    return found


def numbers(value: Any, what: str) -> np.ndarray:
    """A float array.

    Raises:
        ArgumentError: it is no array of numbers.
    """
    try:
        return np.asarray(value, float)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"{what} came as a {type(value).__name__}, {value!r:.60}: {error}.") from error


def finite_pairs(parameters: Draws, x: Sequence[np.ndarray], failed: Mapping[str, int]) -> Pairs:
    """The pairs without NaN and infinities, and with data at all; the others are counted."""
    empty = np.array([not one.size for one in x], bool)
    if len(x) and len({one.shape for one in x}) == 1 and not empty.any():
        good = np.isfinite(np.stack(x).reshape(len(x), -1)).all(axis=1)
    else:
        good = np.array([bool(np.isfinite(one).all()) for one in x], bool)
    inside = np.ones(len(x), bool)
    for values in parameters.values():
        inside &= np.isfinite(values.reshape(len(values), -1)).all(axis=1)
    failed = dict(failed)
    for reason, bad in (
        ("data without elements", empty),
        ("data with NaN or infinite values", ~good),
        ("parameters with NaN or infinite values", good & ~empty & ~inside),
    ):
        if bad.any():
            count(failed, reason, int(bad.sum()))
    kept = np.flatnonzero(good & ~empty & inside)
    return Pairs(parameters, x, {}).take(kept)._replace(failed=failed)


def simulator_of(
    target: Target | None, simulate: Any, prior: Any, observed: str, stored: Simulator | None = None
) -> Simulator:
    """The simulator that was asked for: stored pairs, functions, or the model's own prior predictive.

    Raises:
        ArgumentError: arguments do not go together, or are of the wrong type.
    """
    for name, function in (("simulate", simulate), ("prior", prior)):
        if function is not None and not callable(function):
            raise ArgumentError(f"{name}={function!r}: give a function.")
    if stored is not None:
        if simulate is not None or prior is not None:
            raise ArgumentError("Stored `simulations` need neither `simulate=` nor `prior=`.")
        return stored
    if simulate is not None:
        _check_signature(simulate, 1 if prior is None else 2)
        return FromFunctions(simulate, prior, observed)
    if prior is not None:
        raise ArgumentError("`prior=` goes with `simulate=`, a function of parameters and a generator.")
    if target is None:
        raise ArgumentError("Give a model, or `simulate=`, or stored `simulations=`.")
    return FromModel(target, observed)


def _check_signature(simulate: Callable, arguments: int) -> None:
    try:
        inspect.signature(simulate).bind(*range(arguments))
    except TypeError as error:
        wanted = "simulate(rng) without `prior=`" if arguments == 1 else "simulate(parameters, rng)"
        raise ArgumentError(f"`simulate` cannot be called as {wanted}: {error}.") from None
    except ValueError:
        # no signature to look at
        return


def _shapes(parameters: Draws) -> dict[str, tuple[int, ...]]:
    return {name: value.shape for name, value in parameters.items()}
