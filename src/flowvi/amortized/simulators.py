"""Where pairs of parameters and data come from."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from flowvi.errors import ArgumentError, CannotSimulateError, DataError
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
        return finite_pairs(parameters, list(observed[self.observed]), {})


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
                drawn.append(self._one(np.random.default_rng(stream)))
            except ArgumentError:
                raise
            except Exception as error:
                reason = f"{type(error).__name__}: {error}"
                failed[reason] = failed.get(reason, 0) + 1
        if not drawn:
            return Pairs({}, [], failed)
        names, shapes = list(drawn[0][0]), {name: value.shape for name, value in drawn[0][0].items()}
        for parameters, _ in drawn:
            if {name: value.shape for name, value in parameters.items()} != shapes:
                raise ArgumentError(
                    f"The simulator gave parameters {_shapes(parameters)} after {_shapes(drawn[0][0])}: they "
                    "have to have the same names and shapes in every draw."
                )
        stacked = {name: np.stack([parameters[name] for parameters, _ in drawn]) for name in names}
        return finite_pairs(stacked, [x for _, x in drawn], failed)

    def _one(self, rng: np.random.Generator) -> tuple[dict[str, np.ndarray], np.ndarray]:
        if self.prior is not None:
            parameters = self.prior(rng)
            x = self.simulate(parameters, rng)
        else:
            pair = self.simulate(rng)
            if not isinstance(pair, tuple) or len(pair) != 2:
                raise ArgumentError(
                    f"`simulate` returned a {type(pair).__name__}; without `prior=` it has to return a pair: "
                    "a dict of parameters, and the data."
                )
            parameters, x = pair
        if not isinstance(parameters, Mapping):
            raise ArgumentError(
                f"The parameters came as a {type(parameters).__name__}: give a dict of names and values."
            )
        if isinstance(x, Mapping):
            if self.observed not in x:
                raise ArgumentError(f"The data have {list(x)}, but observed={self.observed!r}.")
            x = x[self.observed]
        return {name: np.asarray(value, float) for name, value in parameters.items()}, np.asarray(x, float)


@dataclass(frozen=True)
class Stored:
    """Pairs that were simulated before, in an order of chance."""

    parameters: Draws
    x: Sequence[np.ndarray]

    @staticmethod
    def of(simulations: Any) -> Stored:
        """From a pair of a dict of arrays (n, *shape), and data: an array (n, *shape), or a list of arrays.

        Raises:
            ArgumentError: it is something else.
            DataError: there are not as many data sets as parameters.
        """
        if not (isinstance(simulations, tuple | list) and len(simulations) == 2):
            raise ArgumentError(
                f"simulations={type(simulations).__name__}: give how many, or a pair of a dict of parameter "
                "arrays and the simulated data."
            )
        parameters, x = simulations
        if not isinstance(parameters, Mapping):
            raise ArgumentError(
                f"Stored parameters are a {type(parameters).__name__}: give a dict of arrays (n, *shape)."
            )
        arrays = {name: np.asarray(values, float) for name, values in parameters.items()}
        data = [np.asarray(one, float) for one in x]
        lengths = {name: len(values) if values.ndim else 0 for name, values in arrays.items()}
        if set(lengths.values()) != {len(data)}:
            raise DataError(f"There are {len(data)} data sets, but parameters {lengths}: give one for each.")
        return Stored(arrays, data)

    def __call__(self, seed: int, n: int) -> Pairs:
        order = np.random.default_rng(seed).permutation(len(self.x))[:n]
        x = [self.x[i] for i in order]
        return finite_pairs({name: values[order] for name, values in self.parameters.items()}, x, {})


def finite_pairs(parameters: Draws, x: Sequence[np.ndarray], failed: Mapping[str, int]) -> Pairs:
    """The pairs without NaN and infinities; the others are counted."""
    if len(x) and len({one.shape for one in x}) == 1:
        good = np.isfinite(np.stack(x).reshape(len(x), -1)).all(axis=1)
    else:
        good = np.array([bool(np.isfinite(one).all()) for one in x], bool)
    inside = np.ones(len(x), bool)
    for values in parameters.values():
        inside &= np.isfinite(values.reshape(len(values), -1)).all(axis=1)
    failed = dict(failed)
    for reason, bad in (
        ("data with NaN or infinite values", ~good),
        ("parameters with NaN or infinite values", good & ~inside),
    ):
        if bad.any():
            failed[reason] = failed.get(reason, 0) + int(bad.sum())
    return Pairs(parameters, x, {}).take(np.flatnonzero(good & inside))._replace(failed=failed)


def simulator_of(
    target: Target | None, simulate: Any, prior: Any, observed: str, simulations: Any
) -> Simulator:
    """The simulator that was asked for: stored pairs, functions, or the model's own prior predictive.

    Raises:
        ArgumentError: arguments do not go together, or are of the wrong type.
    """
    for name, function in (("simulate", simulate), ("prior", prior)):
        if function is not None and not callable(function):
            raise ArgumentError(f"{name}={function!r}: give a function.")
    if not isinstance(simulations, int | np.integer):
        if simulate is not None or prior is not None:
            raise ArgumentError("Stored `simulations` need neither `simulate=` nor `prior=`.")
        return Stored.of(simulations)
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
