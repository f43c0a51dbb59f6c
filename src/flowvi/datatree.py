"""A posterior in ArviZ's layout."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from flowvi.errors import NoModelError
from flowvi.targets.base import Draws, Target

if TYPE_CHECKING:
    import xarray as xr

_SAMPLE_DIMS = ("chain", "draw")

_LARGEST_LOG_LIKELIHOOD = 2**30
"""Bytes of pointwise log likelihood that are saved."""


@dataclass(frozen=True, eq=False)
class ModelRecord:
    """What ArviZ wants to know of a model, at the posterior's draws.

    Attributes:
        observed_data: site -> observed values.
        log_likelihood: site -> (draws, *shape); None where it was left out.
        left_out: why it was.
        dims: site or parameter -> names of its dimensions.
        coords: dimension -> labels along it.
    """

    observed_data: dict[str, np.ndarray]
    log_likelihood: Draws | None
    left_out: str
    dims: dict[str, tuple[str, ...]]
    coords: dict[str, np.ndarray]


def record(target: Target, draws: Draws, log_likelihood: bool = True) -> ModelRecord:
    """Ask a target."""
    return ModelRecord(
        observed_data=target.observed_data(),
        log_likelihood=target.log_likelihood(draws) if log_likelihood else None,
        left_out="",
        dims=target.dims(),
        coords=target.coords(),
    )


def record_to_save(target: Target, draws: Draws, n: int) -> ModelRecord:
    """Ask a target, but for a log likelihood of n draws that is too large or cannot be had."""
    size = 8 * n * sum(np.size(values) for values in target.observed_data().values())
    if size > _LARGEST_LOG_LIKELIHOOD:
        left_out = f"it takes {size / 2**30:.1f} GiB"
    else:
        try:
            return record(target, draws)
        except Exception as error:
            # the model's own code may raise anything, and the draws must not be lost for it
            left_out = f"the model raised {type(error).__name__}: {error}"
    return replace(record(target, draws, log_likelihood=False), left_out=left_out)


def to_datatree(
    draws: Draws, sample_stats: Mapping[str, np.ndarray], model: ModelRecord, attrs: Mapping[str, Any]
) -> xr.DataTree:
    """Groups posterior, sample_stats and, where the model has observations, observed_data and log_likelihood.

    Dimensions that the model does not name, or names twice for one variable, are `theta_dim_0`; one named
    like a variable gets `_dim` after its name. "/", which separates groups, becomes "." in all names.
    """
    import xarray as xr

    namer = _Namer(model, [*draws, *sample_stats, *model.observed_data, *_SAMPLE_DIMS])

    def dataset(values: Mapping[str, np.ndarray], sample_dims: tuple[str, ...]) -> xr.Dataset:
        variables = {}
        for name, value in values.items():
            value = np.asarray(value)
            dims = namer.dims(name, value.shape[bool(sample_dims) :])
            variables[namer.names[name]] = ((*sample_dims, *dims), value[None] if sample_dims else value)
        data = xr.Dataset(variables)
        labels = {dim: namer.labels.get(str(dim), np.arange(size)) for dim, size in data.sizes.items()}
        return data.assign_coords(labels)

    groups = {"posterior": dataset(draws, _SAMPLE_DIMS), "sample_stats": dataset(sample_stats, _SAMPLE_DIMS)}
    if model.observed_data:
        groups["observed_data"] = dataset(model.observed_data, ())
    if model.log_likelihood:
        groups["log_likelihood"] = dataset(model.log_likelihood, _SAMPLE_DIMS)
    groups["posterior"].attrs.update(attrs)
    return xr.DataTree.from_dict(groups)


def require_log_likelihood(model: ModelRecord) -> None:
    """Raise where the log likelihood is wanted but was not saved.

    Raises:
        NoModelError: it was not saved.
    """
    if model.log_likelihood is None:
        raise NoModelError(
            f"The pointwise log likelihood was not saved ({model.left_out}). Load the posterior with its "
            "model, `flowvi.load(path, target=...)`, or leave it out: `to_arviz(log_likelihood=False)`."
        )


class _Namer:
    """Names of dimensions as xarray wants them: none twice in a variable, of two lengths, or a variable's."""

    def __init__(self, model: ModelRecord, names: Iterable[str]) -> None:
        self.names: dict[str, str] = {}
        for name in names:
            if name not in self.names:
                self.names[name] = _unlike(name.replace("/", "."), "_", self.names.values())
        self._dims = {name: tuple(map(self._free, dims)) for name, dims in model.dims.items()}
        self.labels = {self._free(dim): np.asarray(labels) for dim, labels in model.coords.items()}
        self._lengths = {dim: len(labels) for dim, labels in self.labels.items()}

    def dims(self, name: str, shape: tuple[int, ...]) -> tuple[str, ...]:
        """The names of the dimensions of a variable."""
        given = self._dims.get(name, ())
        named: list[str] = []
        for axis, length in enumerate(shape):
            dim = given[axis] if len(given) == len(shape) else None
            if dim is None or dim in named or self._lengths.setdefault(dim, length) != length:
                dim = f"{self.names[name]}_dim_{axis}"
            named.append(dim)
        return tuple(named)

    def _free(self, dim: str) -> str:
        return _unlike(dim.replace("/", "."), "_dim", self.names.values())


def _unlike(name: str, suffix: str, taken: Collection[str]) -> str:
    while name in taken:
        name += suffix
    return name
