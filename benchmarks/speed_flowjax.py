"""FlowJAX's part of the speed benchmark."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from flowjax import flows
from flowjax.bijections import Loc, RationalQuadraticSpline
from flowjax.distributions import Normal
from flowjax.train import fit_to_data
from flowjax.train.losses import MaximumLikelihoodLoss

from speed_sizes import (
    BATCH,
    BINS,
    BLOCK_WIDTH,
    BOUND,
    DEPTH,
    DIM,
    DRAWS,
    ROWS,
    STEP_SIZE,
    WIDTH,
    Work,
    layers_of,
    rows,
)

_VALIDATED = 0.05
"""Share of the rows."""


def work(family: str, layers: int | None) -> Work:
    """Training through `fit_to_data`, whose optimiser and loss are kept so that it compiles once."""
    build = builder(family, layers_of(family, layers))
    x, seeds = jnp.asarray(rows()), itertools.count()
    settings = {
        "optimizer": optax.adam(STEP_SIZE),
        "loss_fn": MaximumLikelihoodLoss(),
        "batch_size": BATCH,
        "val_prop": _VALIDATED,
        "max_patience": 10**6,
        "show_progress": False,
    }
    per_epoch = (ROWS - round(_VALIDATED * ROWS)) // BATCH
    trained, sampled = build(invert=True), build(invert=False)
    draws = eqx.filter_jit(lambda flow, key: flow.sample(key, (DRAWS,)))

    def train(steps: int) -> int:
        epochs = max(1, round(steps / per_epoch))
        fit_to_data(jr.key(0), trained, x, max_epochs=epochs, **settings)
        return epochs * per_epoch

    return Work(
        train,
        per_epoch,
        lambda: np.asarray(draws(sampled, jr.key(next(seeds)))),
        lambda: np.asarray(sampled.sample(jr.key(next(seeds)), (DRAWS,))),
    )


def builder(family: str, layers: int) -> Callable:
    """The flow as a function of `invert`, which says what is fast: the density (True) or draws."""
    size = {"base_dist": Normal(jnp.zeros(DIM)), "flow_layers": layers}
    networks = {"nn_width": WIDTH, "nn_depth": DEPTH, "nn_activation": jax.nn.silu}
    # their knots are the inner ones
    spline = {"transformer": RationalQuadraticSpline(knots=BINS - 1, interval=BOUND)}
    build, settings = {
        "affine coupling": (flows.coupling_flow, networks),
        "spline coupling": (flows.coupling_flow, networks | spline),
        "additive coupling": (flows.coupling_flow, networks | {"transformer": Loc(jnp.zeros(()))}),
        "affine autoregressive": (flows.masked_autoregressive_flow, networks),
        "spline autoregressive": (flows.masked_autoregressive_flow, networks | spline),
        "planar": (flows.planar_flow, {}),
        "block autoregressive": (
            flows.block_neural_autoregressive_flow,
            {"nn_block_dim": BLOCK_WIDTH, "nn_depth": DEPTH},
        ),
    }[family]
    return lambda invert: build(jr.key(0), invert=invert, **size, **settings)
