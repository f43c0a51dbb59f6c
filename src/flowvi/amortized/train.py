"""The rounds of training, what is held out from them, and how they went."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from flowvi.amortized.elbo import Bound
from flowvi.amortized.network import Network
from flowvi.amortized.supply import Supply
from flowvi.amortized.training import BATCH, Rows, rounds, score, steps_of_round, with_noise
from flowvi.density.result import Curve
from flowvi.density.rows import split
from flowvi.diagnostics.estimate import Estimate
from flowvi.training.early_stopping import Round

_SECONDS_BETWEEN_LINES = 5.0


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
    history: list[Round] = []
    interrupted = False
    show = _printer(progress, log_scale)
    try:
        for round_ in rounds(network, source, rows.take(parts.validation), rng, steps, max_steps, bound):
            history.append(round_)
            network = round_.model
            show(round_)
    except KeyboardInterrupt:
        interrupted = True
    unseen = rows.take(parts.test)
    tested = unseen if bound is None else with_noise(network, unseen, rng)
    value, error = score(network, tested, bound)
    return Trained(
        network=network,
        curve=Curve(
            np.array([round_.steps for round_ in history], int),
            np.array([round_.training for round_ in history]) - log_scale,
            np.array([round_.validation for round_ in history]) - log_scale,
        ),
        held_out=Estimate(value - log_scale, error),
        skipped=history[-1].skipped if history else 0,
        interrupted=interrupted,
        seen=rows.take(parts.train),
        unseen=unseen,
        unseen_numbers=parts.test,
    )


def _printer(progress: bool, log_scale: float) -> Callable[[Round], None]:
    """Prints a round at most every few seconds."""
    start = last = time.monotonic()

    def show(round_: Round) -> None:
        nonlocal last
        now = time.monotonic()
        if progress and now - last >= _SECONDS_BETWEEN_LINES:
            last = now
            print(
                f"amortize  step {round_.steps:,}  validation {round_.validation - log_scale:.3f} nats"
                f"  {now - start:.0f} s",
                file=sys.stderr,
                flush=True,
            )

    return show
