"""The summary network, by what the user asks for."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import numpy as np

from flowvi.amortized.layout import Batch, Layout
from flowvi.amortized.summary import Flatten, OfModule, Summary
from flowvi.errors import ArgumentError

_OF_ANY_LENGTH = ("set", "set_transformer", "series")
NAMES = (*_OF_ANY_LENGTH, "image")


def sizes_vary(asked: Any) -> bool:
    """Whether this summary takes data sets of any length."""
    return isinstance(asked, str) and asked in _OF_ANY_LENGTH


def summary_of(asked: str | eqx.Module | None, batch: Batch, layout: Layout, seed: int) -> Summary:
    """A summary network for data sets like these.

    Raises:
        ArgumentError: the name is unknown, or the module does not take such data sets.
    """
    if asked is None:
        return Flatten(int(np.prod(layout.shape)))
    if isinstance(asked, Summary):
        return asked
    if isinstance(asked, eqx.Module):
        return _of_module(asked, batch)
    raise ArgumentError(f"summary={asked!r}: choose None, one of {NAMES}, or give an equinox module.")


def _of_module(module: Any, batch: Batch) -> Summary:
    single = jax.tree.map(lambda a: a.astype(np.float32) if eqx.is_inexact_array(a) else a, module)
    try:
        shape = eqx.filter_eval_shape(single, batch.values[0])
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"The summary module cannot take one data set of shape {batch.values[0].shape}: {error}"
        ) from error
    return OfModule(single, int(np.prod(shape.shape)))
