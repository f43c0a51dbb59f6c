"""zuko's part of the speed benchmark."""

from __future__ import annotations

import torch
import zuko
from zuko.lazy import Flow, LazyInverse
from zuko.transforms import AdditiveTransform, MonotonicRQSTransform

from speed_sizes import BATCH, BINS, DEPTH, DIM, DRAWS, STEP_SIZE, WIDTH, Work, layers_of, rows

_FEW = 10
"""Steps: nothing is compiled, so that any number will do."""


def work(family: str, layers: int | None) -> Work:
    """Training by the loop of zuko's own examples, the rows in memory and shuffled in every epoch."""
    number = layers_of(family, layers)
    x = torch.from_numpy(rows())
    sampled = fast_to_sample(family, number)

    def train(steps: int) -> int:
        flow = fast_density(family, number)
        optimiser = torch.optim.Adam(flow.parameters(), lr=STEP_SIZE)
        taken = 0
        while taken < steps:
            for batch in torch.randperm(len(x)).split(BATCH)[:-1][: steps - taken]:
                loss = -flow().log_prob(x[batch]).mean()
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                taken += 1
        return taken

    def sample() -> object:
        with torch.no_grad():
            return sampled().sample((DRAWS,)).numpy()

    return Work(train, _FEW, sample)


def fast_density(family: str, layers: int) -> Flow:
    """The flow, whose density is its fast direction."""
    if family == "continuous":
        return zuko.flows.CNF(DIM, hidden_features=[WIDTH], activation=torch.nn.SiLU)
    size = {"features": DIM, "transforms": layers}
    networks = {"hidden_features": [WIDTH] * DEPTH, "activation": torch.nn.SiLU}
    spline = {"univariate": MonotonicRQSTransform, "shapes": [(BINS,), (BINS,), (BINS - 1,)]}
    additive = {"univariate": AdditiveTransform, "shapes": [()]}
    build, settings = {
        "affine coupling": (zuko.flows.RealNVP, {}),
        "spline coupling": (zuko.flows.RealNVP, spline),
        "additive coupling": (zuko.flows.NICE, additive),
        "affine autoregressive": (zuko.flows.MAF, {}),
        "spline autoregressive": (zuko.flows.MAF, spline),
    }[family]
    return build(**size, **networks, **settings)


def fast_to_sample(family: str, layers: int) -> Flow:
    """The same turned around where that matters."""
    flow = fast_density(family, layers)
    if family.endswith("coupling") or family == "continuous":
        return flow
    return Flow(LazyInverse(flow.transform), flow.base)
