"""flowvi's part of the speed benchmark."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import flowvi
from flowvi import flows
from flowvi.bijections import AffineTransformer, Invert, RationalQuadraticSpline
from flowvi.flows import Flow, Normal
from flowvi.flows.autoregressive import autoregressive_layers
from flowvi.memory import batch_map
from flowvi.precision import double_precision
from speed_sizes import BINS, BLOCK_WIDTH, BOUND, DEPTH, DIM, DRAWS, WIDTH, Work, layers_of, rows


def work(family: str, layers: int | None) -> Work:
    """Training through `fit_density`; draws by the compiled map in single precision, and by `Flow.sample`."""
    forward = forward_flow(family, layers_of(family, layers))
    x, seeds = rows(), itertools.count()
    # coupling flows are fast in both directions, and the others are trained by their fast one
    turned = family.endswith("coupling")
    trained = forward if turned else Flow(forward.base, Invert(forward.bijection))

    def train(steps: int) -> int:
        fit = flowvi.fit_density(x, flow=trained, max_steps=steps, progress=False)
        return int(fit.curve.steps[-1])

    single = jax.tree.map(lambda a: a.astype(np.float32) if a.dtype == np.float64 else a, forward)
    return Work(
        train,
        lambda: np.asarray(_draws(single, jax.random.key(next(seeds)))),
        lambda: forward.sample(next(seeds), (DRAWS,)),
    )


@double_precision
def forward_flow(family: str, layers: int) -> Flow:
    """The flow whose draws are its fast direction."""
    networks = {"key": 0, "width": WIDTH, "depth": DEPTH}
    match family:
        case "affine coupling":
            return flows.real_nvp(DIM, layers=layers, **networks)
        case "spline coupling":
            return flows.neural_spline(DIM, layers=layers, bins=BINS, bound=BOUND, **networks)
        case "additive coupling":
            return flows.nice(DIM, layers=layers, **networks)
        case "affine autoregressive" | "spline autoregressive":
            spline = RationalQuadraticSpline(bins=BINS, bound=BOUND)
            transformer = AffineTransformer(clamp=2.0) if family.startswith("affine") else spline
            return Flow(Normal(DIM), autoregressive_layers(0, transformer, DIM, layers, WIDTH, DEPTH, None))
        case "planar":
            return flows.planar(DIM, key=0, length=layers)
        case "block autoregressive":
            return flows.bnaf(DIM, key=0, layers=layers, width=BLOCK_WIDTH, depth=DEPTH)
    raise ValueError(family)


@jax.jit
def _draws(flow: Flow, key: Array) -> Array:
    base = jax.random.normal(key, (DRAWS, DIM), jnp.float32)
    return batch_map(lambda x: flow.bijection.forward_and_log_det(x)[0], base)
