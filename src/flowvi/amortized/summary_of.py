"""The summary network, by what the user asks for."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import numpy as np

from flowvi.amortized.conditional_flow import in_single_precision
from flowvi.amortized.deep_set import DeepSet
from flowvi.amortized.image import Image
from flowvi.amortized.layout import Batch, Layout
from flowvi.amortized.series import Series
from flowvi.amortized.set_transformer import SetTransformer
from flowvi.amortized.statistics import Statistics
from flowvi.amortized.summary import Flatten, OfModule, Summary
from flowvi.errors import ArgumentError

_OF_ANY_LENGTH = {"set": DeepSet, "set_transformer": SetTransformer, "series": Series}
_CLASSES = tuple(_OF_ANY_LENGTH.values())
NAMES = (*_OF_ANY_LENGTH, "image")

_LEAST_SIZE = 8
_PER_PARAMETER = 2
"""Summaries: a location and a scale for each, and some to spare where there are few."""


def sizes_vary(asked: Any) -> bool:
    """Whether this summary takes data sets of any length."""
    return asked in _OF_ANY_LENGTH if isinstance(asked, str) else isinstance(asked, _CLASSES)


def has_one_scale(asked: Any) -> bool:
    """Whether matrices have pixels all over, rather than columns."""
    return asked == "image" if isinstance(asked, str) else isinstance(asked, Image)


def statistics_of(asked: Any) -> Statistics | None:
    """The statistics that a function computes; None for all other summaries."""
    if callable(asked) and not isinstance(asked, eqx.Module | type):
        return Statistics(asked)
    return None


def summary_of(asked: Any, batch: Batch, layout: Layout, dim: int, seed: int) -> Summary:
    """A summary network of `dim` parameters for data sets like these.

    Raises:
        ArgumentError: the name is unknown, or the module does not take such data sets.
    """
    if layout.statistics is not None:
        return Flatten(len(layout.location))
    if asked is None:
        return Flatten(int(np.prod(layout.shape)))
    if isinstance(asked, Summary):
        _returned(asked, batch, batch.mask)
        return asked
    if isinstance(asked, eqx.Module):
        single = in_single_precision(asked)
        return OfModule(module=single, size=int(np.prod(_returned(single, batch).shape)))
    size = max(_LEAST_SIZE, _PER_PARAMETER * dim)
    if isinstance(asked, str) and asked in _OF_ANY_LENGTH:
        return _OF_ANY_LENGTH[asked](int(np.prod(layout.shape[1:])), size, seed=seed)
    if isinstance(asked, str) and asked == "image":
        if len(layout.shape) not in (2, 3):
            raise ArgumentError(
                f"summary='image', but data sets have shape {layout.shape}: images are (height, width) or "
                "(height, width, channels)."
            )
        return Image(layout.shape, size, seed=seed)
    raise ArgumentError(
        f"summary={asked!r}: choose None, one of {NAMES}, or give an equinox module or a function."
    )


def _returned(module: Any, batch: Batch, mask: np.ndarray | None = None) -> jax.ShapeDtypeStruct:
    """What a module makes of one data set.

    Raises:
        ArgumentError: it fails, or returns something else than an array.
    """
    taken = f"one data set of shape {batch.values[0].shape}"
    arguments = (batch.values[0],) if mask is None else (batch.values[0], mask[0])
    try:
        found: Any = eqx.filter_eval_shape(module, *arguments)
    except Exception as error:
        # whatever the user's own code raises
        raise ArgumentError(
            f"The summary module cannot take {taken}: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(found, jax.ShapeDtypeStruct) or not np.prod(found.shape):
        raise ArgumentError(
            f"The summary module made a {type(found).__name__} of {taken}, {found!r:.80}: it has to return "
            "one array, with numbers in it."
        )
    return found
