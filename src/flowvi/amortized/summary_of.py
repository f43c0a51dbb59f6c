"""The summary network, by what the user asks for."""

from __future__ import annotations

from typing import Any, cast

import equinox as eqx
import numpy as np

from flowvi.amortized.conditional_flow import in_single_precision
from flowvi.amortized.deep_set import DeepSet
from flowvi.amortized.image import Image
from flowvi.amortized.layout import Batch, Layout
from flowvi.amortized.series import Series
from flowvi.amortized.set_transformer import SetTransformer
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


def summary_of(asked: str | eqx.Module | None, batch: Batch, layout: Layout, dim: int, seed: int) -> Summary:
    """A summary network of `dim` parameters for data sets like these.

    Raises:
        ArgumentError: the name is unknown, or the module does not take such data sets.
    """
    if asked is None:
        return Flatten(int(np.prod(layout.shape)))
    if isinstance(asked, Summary):
        return asked
    if isinstance(asked, eqx.Module):
        return _of_module(asked, batch)
    size = max(_LEAST_SIZE, _PER_PARAMETER * dim)
    if asked in _OF_ANY_LENGTH:
        return _OF_ANY_LENGTH[asked](int(np.prod(layout.shape[1:])), size, seed=seed)
    if asked == "image":
        if len(layout.shape) not in (2, 3):
            raise ArgumentError(
                f"summary='image', but data sets have shape {layout.shape}: images are (height, width) or "
                "(height, width, channels)."
            )
        return Image(layout.shape, size, seed=seed)
    raise ArgumentError(f"summary={asked!r}: choose None, one of {NAMES}, or give an equinox module.")


def _of_module(module: eqx.Module, batch: Batch) -> Summary:
    single = in_single_precision(module)
    try:
        shape: Any = eqx.filter_eval_shape(cast("Any", single), batch.values[0])
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"The summary module cannot take one data set of shape {batch.values[0].shape}: {error}"
        ) from error
    return OfModule(module=single, size=int(np.prod(shape.shape)))
