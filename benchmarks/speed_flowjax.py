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
import paramax
from flowjax import flows
from flowjax.bijections import Loc, RationalQuadraticSpline
from flowjax.distributions import AbstractDistribution, Normal
from flowjax.train.losses import MaximumLikelihoodLoss
from flowjax.train.train_utils import get_batches, step
from jaxtyping import Array, PyTree

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

_PER_EPOCH = ROWS // BATCH


def work(family: str, layers: int | None) -> Work:
    """Training by the loop of `fit_to_data`: one call of FlowJAX's own compiled step for each batch."""
    build = builder(family, layers_of(family, layers))
    x, seeds = jnp.asarray(rows()), itertools.count()
    dense, sampled = build(invert=True), build(invert=False)
    optimizer, loss = optax.adam(STEP_SIZE), MaximumLikelihoodLoss()
    draws = eqx.filter_jit(lambda flow, key: flow.sample(key, (DRAWS,)))

    def train(steps: int) -> int:
        epochs = max(1, round(steps / _PER_EPOCH))
        jax.block_until_ready(_trained(dense, x, epochs, optimizer, loss))
        return epochs * _PER_EPOCH

    return Work(
        train,
        _PER_EPOCH,
        lambda: np.asarray(draws(sampled, jr.key(next(seeds)))),
        lambda: np.asarray(sampled.sample(jr.key(next(seeds)), (DRAWS,))),
    )


def _trained(
    flow: AbstractDistribution,
    x: Array,
    epochs: int,
    optimizer: optax.GradientTransformation,
    loss: MaximumLikelihoodLoss,
) -> PyTree:
    """The parameters after some epochs: what `fit_to_data` does, without its validation."""
    parameters, rest = eqx.partition(
        flow, eqx.is_inexact_array, is_leaf=lambda leaf: isinstance(leaf, paramax.NonTrainable)
    )
    state, key = optimizer.init(parameters), jr.key(0)
    for _ in range(epochs):
        key, of_order = jr.split(key)
        for batch in zip(*get_batches([jr.permutation(of_order, x)], BATCH), strict=True):
            key, of_step = jr.split(key)
            parameters, state, _ = step(
                parameters, rest, *batch, optimizer=optimizer, opt_state=state, loss_fn=loss, key=of_step
            )
    return parameters


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
