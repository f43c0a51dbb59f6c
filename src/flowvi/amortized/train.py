"""The rounds of training, what is held out from them, and how they went."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from flowvi.amortized.elbo import Bound
from flowvi.amortized.network import Network
from flowvi.amortized.supply import Supply
from flowvi.amortized.training import BATCH, Rows, rounds, score, steps_of_round, with_noise
from flowvi.density.rows import split
from flowvi.diagnostics.estimate import Estimate
from flowvi.training.early_stopping import Curve, follow


class Trained(NamedTuple):
    """A network after training.

    Attributes:
        curve, held_out: in nats per pair, on the unconstrained scale or of the bound.
        seen, unseen: the first pairs, without those that decided when to stop.
        unseen_numbers: which of them were not seen.
    """

    network: Network
    curve: Curve
    held_out: Estimate
    skipped: int
    interrupted: bool
    seen: Rows
    unseen: Rows
    unseen_numbers: Int[np.ndarray, " unseen"]


def train(
    network: Network,
    supply: Supply,
    bound: Bound | None,
    *,
    fresh: int,
    max_steps: int,
    seed: int,
    progress: bool,
) -> Trained:
    """Train until held-out pairs stop to gain, `max_steps` are taken, or Ctrl-C, which keeps the best so far.

    Args:
        bound: what the evidence lower bound needs, where that is the objective.
        fresh: how many pairs to draw in all, each seen once; 0 to go through the first ones again and again.
    """
    rng = np.random.default_rng(seed)
    rows = supply.first_rows
    parts = split(len(rows.u), rng)
    source: Any = (lambda n: supply.fresh(n, rng)) if fresh else rows.take(parts.train)
    steps = min(steps_of_round(len(parts.train)), max_steps)
    if fresh:
        max_steps = min(max_steps, max(steps, (fresh - len(rows.u)) // BATCH))
    # the bound has it in the density of the model
    log_scale = float(np.log(supply.scale).sum()) if bound is None else 0.0
    training = rounds(network, source, rows.take(parts.validation), rng, steps, max_steps, bound)
    followed = follow(network, training, "amortize", log_scale, progress)
    network = followed.model
    unseen = rows.take(parts.test)
    tested = unseen if bound is None else with_noise(network, unseen, rng)
    value, error = score(network, tested, bound)
    return Trained(
        network=network,
        curve=followed.curve,
        held_out=Estimate(value - log_scale, error),
        skipped=followed.skipped,
        interrupted=followed.interrupted,
        seen=rows.take(parts.train),
        unseen=unseen,
        unseen_numbers=parts.test,
    )
