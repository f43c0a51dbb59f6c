"""Amortized posteriors as files, without pickle: what is read is data, and never runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from flowvi.amortized.familiar import Familiar
from flowvi.amortized.layout import Layout
from flowvi.amortized.likelihood import Likelihood, Model
from flowvi.amortized.network import Network
from flowvi.amortized.own_summary import is_own, only_size, weights, with_weights
from flowvi.amortized.parameters import ModelParameters, NamedParameters
from flowvi.amortized.result import Amortized
from flowvi.amortized.saved import Saved
from flowvi.amortized.simulators import FromModel, Pairs, Simulator, simulator_of
from flowvi.amortized.statistics import Statistics, WithStatistics
from flowvi.amortized.summary_of import statistics_of
from flowvi.bijections import SupportTree
from flowvi.diagnostics.estimate import Estimate
from flowvi.errors import ArgumentError, FlowviError, ModelError, NoModelError, SaveError
from flowvi.serialise import load_module, save_module
from flowvi.targets.base import Draws, Target
from flowvi.training.early_stopping import Curve

_FORMAT = 1
_CALLER = "flowvi.Amortized.load"
_PROBED = 8
"""Points at which a model's parameters are kept, to tell another model."""
_CLOSE = 1e-6
_DAMAGE = ValueError, KeyError, TypeError, AttributeError, IndexError


def save(amortized: Amortized, path: str | os.PathLike) -> None:
    """See `Amortized.save`."""
    network, parameters, layout = amortized._network, amortized._parameters, amortized._layout
    given, unseen = amortized._given, amortized._unseen
    arrays = {
        "location": amortized._location,
        "scale": amortized._scale,
        "layout/location": layout.location,
        "layout/scale": layout.scale,
        **_over("familiar", vars(amortized._familiar)),
        **_over("curve", amortized.curve._asdict()),
        **_over("unseen", unseen.parameters),
        **_packed(unseen.x),
    }
    facts: dict[str, Any] = {
        "format": _FORMAT,
        "coordinates": list(parameters.coordinates),
        "held_out": [float(value) for value in amortized.held_out],
        "failed": dict(amortized.failed),
        "simulations": int(amortized.simulations),
        "notes": list(amortized.notes),
        "skipped": int(amortized.skipped),
        "interrupted": amortized.interrupted,
        "observed": amortized._observed,
        "shape": [int(length) for length in layout.shape],
        "varies": layout.varies,
        "own": is_own(network.summary),
        "statistics": layout.statistics is not None,
    }
    if facts["own"]:
        arrays |= _over("summary", {str(i): a for i, a in enumerate(weights(network.summary))})
        network = Network(only_size(network.summary), network.flow)
    if layout.statistics is not None:
        arrays["statistics"] = layout.statistics(unseen.x[0])
    if isinstance(parameters, NamedParameters):
        facts["shapes"] = {name: list(shape) for name, shape in parameters.shapes.items()}
    if isinstance(parameters, ModelParameters) and given is not None:
        facts |= {
            "names": list(parameters.names),
            "dtype": None if given.dtype is None else str(given.dtype),
            "by_user": given.by_user,
            "anew": amortized._simulate is not None,
        }
        z = parameters.unconstrain(dict(unseen.parameters))[0][:_PROBED]
        arrays |= {"z": z} | _over("at", parameters.constrain(z))
    supports = parameters.tree if isinstance(parameters, NamedParameters) else None
    save_module(Saved(network, supports, facts, arrays), path)


def load(
    path: str | os.PathLike,
    model: Model,
    simulate: Callable[..., Any] | None,
    prior: Callable[..., Any] | None,
    summary: Any,
) -> Amortized:
    """See `Amortized.load`."""
    saved = load_module(path)
    if not isinstance(saved, Saved):
        raise SaveError(
            f"{path} holds a {type(saved).__name__}, not an amortized posterior. What `flowvi.save_module` "
            "wrote is read by `flowvi.load_module`."
        )
    facts, arrays = saved.facts, saved.arrays
    if facts.get("format") != _FORMAT:
        raise SaveError(
            f"{path} has format {facts.get('format')!r}, but this version of flowvi reads {_FORMAT}. Load it "
            "with the version that wrote it."
        )
    try:
        unseen = Pairs(_under("unseen", arrays), _unpacked(arrays), {})
        statistics = _statistics(summary, facts, arrays, unseen.x[0])
        simulator = None
        if simulate is not None or prior is not None:
            simulator = simulator_of(None, simulate, prior, facts["observed"])
        if saved.supports is not None:
            parameters, given = _named(saved.supports, facts, model), None
        else:
            parameters, given, itself = _of_model(saved, model, unseen.x[0])
            simulator = simulator or itself
        if simulator is not None and statistics is not None:
            simulator = WithStatistics(simulator, statistics)
        return Amortized(
            curve=Curve(**_under("curve", arrays)),
            held_out=Estimate(*facts["held_out"]),
            failed=facts["failed"],
            simulations=facts["simulations"],
            notes=tuple(facts["notes"]),
            skipped=facts["skipped"],
            interrupted=facts["interrupted"],
            _network=_network(summary, saved),
            _location=arrays["location"],
            _scale=arrays["scale"],
            _parameters=parameters,
            _layout=Layout(
                tuple(facts["shape"]),
                facts["varies"],
                arrays["layout/location"],
                arrays["layout/scale"],
                statistics,
            ),
            _familiar=Familiar(**_under("familiar", arrays)),
            _simulate=simulator,
            _unseen=unseen,
            _given=given,
            _observed=facts["observed"],
        )
    except FlowviError:
        raise
    except _DAMAGE as error:
        raise SaveError(f"{path} is damaged, or was written by another version of flowvi.") from error


def _network(summary: Any, saved: Saved) -> Network:
    network = saved.network
    if saved.facts["own"]:
        kept = list(_under("summary", saved.arrays).values())
        return Network(with_weights(summary, network.summary.size, kept), network.flow)
    if summary is not None and not saved.facts["statistics"]:
        raise ArgumentError(
            f"summary={summary!r:.60}: the file has the summary network, {type(network.summary).__name__}. "
            "Leave it out."
        )
    return network


def _statistics(
    summary: Any, facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray], x: np.ndarray
) -> Statistics | None:
    """The user's function, if there was one, and it gives what it gave."""
    if not facts["statistics"]:
        return None
    statistics = statistics_of(summary)
    if statistics is None:
        raise SaveError(
            "q was trained on statistics by a function of your own, which no file holds. Give it as well: "
            "Amortized.load(path, ..., summary=function)."
        )
    try:
        found = statistics(x)
    except Exception as error:
        raise ArgumentError(f"summary= failed for a simulated data set: {error}") from error
    if not _same(found, arrays["statistics"]):
        raise ArgumentError(
            f"summary= gives {found} for a simulated data set, but gave {arrays['statistics']} when q was "
            "trained."
        )
    return statistics


def _named(tree: SupportTree, facts: Mapping[str, Any], model: Model) -> NamedParameters:
    if model.model is not None:
        raise ArgumentError("A model was given, but q was trained on a simulator without one. Leave it out.")
    return NamedParameters(tree, {name: tuple(shape) for name, shape in facts["shapes"].items()})


def _of_model(
    saved: Saved, model: Model, x: np.ndarray
) -> tuple[ModelParameters, Likelihood, Simulator | None]:
    """The parameters of the model that is given, its likelihood, and the model as a simulator."""
    facts, arrays = saved.facts, saved.arrays
    if model.model is None:
        raise NoModelError(
            f"q was trained on a model with the parameters {', '.join(facts['names'])}, which no file holds. "
            "Give it with its arguments, as for `flowvi.amortize`: Amortized.load(path, model, *args)."
        )
    dtype = None if facts["dtype"] is None else np.dtype(facts["dtype"])
    try:
        target = model.target(_CALLER)
        _require_coordinates(target, facts["coordinates"])
        given = Likelihood(model, target, facts["observed"], facts["by_user"], dtype)
        parameters = ModelParameters(given(x), facts["names"])
        found = parameters.constrain(arrays["z"])
    except FlowviError:
        raise
    except Exception as error:
        raise ModelError(
            f"The model given cannot take data of shape {x.shape}: {type(error).__name__}: {error}. Give the "
            "model that q was trained on, with arguments of the same shapes."
        ) from error
    wanted = _under("at", arrays)
    for name in facts["names"]:
        if not _same(found[name], wanted[name]):
            raise ModelError(
                f"'{name}' in the model given is {found[name][0]} where it was {wanted[name][0]} when q was "
                "trained: its support, or what it is computed from, is another. Give the same model."
            )
    itself = facts["anew"] and not facts["by_user"]
    return parameters, given, FromModel(target, facts["observed"]) if itself else None


def _require_coordinates(target: Target, coordinates: Sequence[str]) -> None:
    if list(target.coordinates) != list(coordinates):
        raise ModelError(
            f"The model given has the coordinates {_some(target.coordinates)}; q was trained on one with "
            f"{_some(coordinates)}. Give the same model, with its arguments."
        )


def _some(labels: Sequence[str]) -> str:
    return ", ".join(labels[:6]) + (f" and {len(labels) - 6} more" if len(labels) > 6 else "")


def _same(found: np.ndarray, wanted: np.ndarray) -> bool:
    return found.shape == wanted.shape and np.allclose(found, wanted, rtol=_CLOSE, atol=0, equal_nan=True)


def _over(group: str, arrays: Mapping[str, Any]) -> Draws:
    return {f"{group}/{name}": np.asarray(values) for name, values in arrays.items()}


def _under(group: str, arrays: Mapping[str, np.ndarray]) -> Draws:
    start = f"{group}/"
    return {name.removeprefix(start): a for name, a in arrays.items() if name.startswith(start)}


def _packed(x: Sequence[np.ndarray]) -> Draws:
    """Data sets as one array, end to end where their first axes differ."""
    if len({one.shape for one in x}) == 1:
        return {"x": np.stack(x)}
    return {"x": np.concatenate(x), "lengths": np.array([len(one) for one in x])}


def _unpacked(arrays: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    x = arrays["x"]
    if "lengths" not in arrays:
        return [np.asarray(one) for one in x]
    return np.split(x, np.cumsum(arrays["lengths"])[:-1])
