"""flowvi's part of the speed benchmark."""

from __future__ import annotations

import itertools

import jax
import numpy as np
from jax import Array

import flowvi
from flowvi import flows
from flowvi.bijections import Invert
from flowvi.cores import ROWS, on_all_cores
from flowvi.flows import Flow
from speed_sizes import BINS, BLOCK_WIDTH, BOUND, DEPTH, DIM, DRAWS, WIDTH, Work, layers_of, rows

_ROUND = 200
"""At least the steps that `fit_density` compiles as one program."""


def work(family: str, layers: int | None) -> Work:
    """Training through `fit_density`; draws by the compiled map in single precision, in batches on all
    cores as in a fit, and by `Flow.sample`."""
    dense, sampled = built(family, layers_of(family, layers))
    x, seeds = rows(), itertools.count()
    single = jax.tree.map(lambda a: a.astype(np.float32) if a.dtype == np.float64 else a, sampled)

    def train(steps: int) -> int:
        fit = flowvi.fit_density(x, flow=dense, max_steps=steps, progress=False)
        return int(fit.curve.steps[-1])

    return Work(
        train,
        _ROUND,
        lambda: _draws(single, next(seeds)),
        lambda: sampled.sample(next(seeds), (DRAWS,)),
    )


def built(family: str, layers: int) -> tuple[Flow, Flow]:
    """The flow in the direction whose density is fast, and in the one that samples fast."""
    networks = {"key": 0, "width": WIDTH, "depth": DEPTH}
    match family:
        case "affine coupling":
            return _both(flows.real_nvp(DIM, layers=layers, **networks))
        case "spline coupling":
            return _both(flows.neural_spline(DIM, layers=layers, bins=BINS, bound=BOUND, **networks))
        case "additive coupling":
            return _both(flows.nice(DIM, layers=layers, **networks))
        case "affine autoregressive":
            return flows.maf(DIM, layers=layers, **networks), flows.iaf(DIM, layers=layers, **networks)
        case "spline autoregressive":
            flow = flows.neural_spline_autoregressive(DIM, layers=layers, bins=BINS, bound=BOUND, **networks)
            return flow, _turned(flow)
        case "planar":
            flow = flows.planar(DIM, key=0, length=layers)
        case "block autoregressive":
            flow = flows.bnaf(DIM, key=0, layers=layers, width=BLOCK_WIDTH, depth=DEPTH)
        case "continuous":
            return _both(flows.continuous(DIM, key=0, layers=layers, width=WIDTH))
        case _:
            raise ValueError(family)
    return _turned(flow), flow


def _both(flow: Flow) -> tuple[Flow, Flow]:
    return flow, flow


def _turned(flow: Flow) -> Flow:
    return Flow(flow.base, Invert(flow.bijection))


def _draws(flow: Flow, seed: int) -> np.ndarray:
    base = np.random.default_rng(seed).standard_normal((DRAWS, DIM), np.float32)
    return on_all_cores(lambda rows: (_push(flow, rows),), base, 4 * ROWS)[0]


@jax.jit
def _push(flow: Flow, base: Array) -> Array:
    return jax.lax.map(lambda x: flow.bijection.forward_and_log_det(x)[0], base, batch_size=ROWS)
