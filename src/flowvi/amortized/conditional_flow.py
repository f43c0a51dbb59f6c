"""The conditional flow to train, by what the user asks for."""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax
import numpy as np

from flowvi import flows
from flowvi.density.flow_of import flow_of
from flowvi.errors import FlowError
from flowvi.flows import Flow
from flowvi.training.adam import M

_LAYERS, _WIDTH = 5, 50
"""Of the spline couplings: those of sbi, beside which they were measured."""


def conditional_flow(
    asked: str | Flow | Callable[..., Flow], dim: int, condition_dim: int, seed: int
) -> Flow:
    """A flow of standardised parameters given summaries, with its arrays in float32.

    `asked` is "auto", a builder's name, a builder such as `flowvi.flows.real_nvp`, or a flow.

    Raises:
        FlowError: the name is unknown, or the flow does not fit.

    Example:
        >>> conditional_flow("real_nvp", 2, 3, seed=0).condition_dim
        3
    """
    if callable(asked) and not isinstance(asked, Flow):
        asked = asked(dim, key=seed, condition_dim=condition_dim)
        if not isinstance(asked, Flow):
            raise FlowError(f"flow= gave a {type(asked).__name__}: a builder has to give a Flow.")
    if isinstance(asked, str) and asked == "auto":
        flow = flows.neural_spline(dim, key=seed, layers=_LAYERS, width=_WIDTH, condition_dim=condition_dim)
    else:
        flow = flow_of(asked, dim, condition_dim, seed)
    if flow.periodic:
        raise FlowError(
            f"flow= is over {type(flow.base).__name__}, a density of angles, but parameters are put on "
            "R^dim: give a flow over a base on R^dim such as Normal."
        )
    return in_single_precision(flow)


def in_single_precision(module: M) -> M:
    """The same with its floating arrays in float32."""
    return jax.tree.map(lambda a: a.astype(np.float32) if eqx.is_inexact_array(a) else a, module)
