"""The rounds of training, what is held out from them, and how they went."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from flowvi.amortized.elbo import Bound
from flowvi.amortized.network import Network, summaries
from flowvi.amortized.supply import LEAST_PAIRS, ExhaustedError, Supply
from flowvi.amortized.training import (
    BATCH,
    FEWEST_STEPS,
    MOST_STEPS,
    Rows,
    rounds,
    score,
    steps_of_round,
    with_noise,
)
from flowvi.density.rows import split
from flowvi.diagnostics.estimate import Estimate
from flowvi.errors import DataError, DensityError
from flowvi.training.early_stopping import Curve, Round, follow

_FIRST = 5
"""One in so many simulations is drawn before training, where the others are drawn on the way."""
_LOOKS = 10
"""Rounds, as far as the bounds on their steps allow, where every pair is seen once."""


class Trained(NamedTuple):
    """A network after training.

    Attributes:
        curve, held_out: in nats per pair, on the unconstrained scale or of the bound.
        ended: why there were no more simulations, where that ended training too early.
        seen, unseen: the first pairs, without those that decided when to stop.
        unseen_numbers: which of them were not seen.
    """

    network: Network
    curve: Curve
    held_out: Estimate
    skipped: int
    interrupted: bool
    ended: str
    seen: Rows
    unseen: Rows
    unseen_numbers: Int[np.ndarray, " unseen"]


def at_first(total: int) -> int:
    """How many of so many simulations tell scales and when to stop, where the others are drawn on the way."""
    return max(total // _FIRST, LEAST_PAIRS)


def least_fresh(max_steps: int) -> int:
    """How many simulations a round of training takes where each is seen once."""
    needed = min(FEWEST_STEPS, max_steps) * BATCH
    return max(-(-needed * _FIRST // (_FIRST - 1)), needed + LEAST_PAIRS)


def train(
    network: Network,
    supply: Supply,
    bound: Bound | None,
    *,
    fresh: bool,
    max_steps: int,
    seed: int,
    progress: bool,
) -> Trained:
    """Train until held-out pairs stop to gain, `max_steps` are taken, there are no more simulations, or
    Ctrl-C; always the best so far is kept.

    Args:
        bound: what the evidence lower bound needs, where that is the objective.
        fresh: whether every pair is new, rather than one of the first, gone through again and again.

    Raises:
        DensityError: the objective was not finite in any step.
        DataError: the simulator gave no pairs for a first round.
    """
    rng = np.random.default_rng(seed)
    rows = supply.first_rows
    parts = split(len(rows.u), rng)
    source: Any = (lambda n: supply.fresh(n, rng)) if fresh else rows.take(parts.train)
    steps = steps_of_round(len(parts.train))
    if fresh:
        max_steps = min(max_steps, supply.left // BATCH)
        steps = min(MOST_STEPS, max_steps // min(_LOOKS, max(1, max_steps // FEWEST_STEPS)))
    steps = min(steps, max_steps)
    # the bound has it in the density of the model
    log_scale = float(np.log(supply.scale).sum()) if bound is None else 0.0
    ended: list[str] = []

    def while_it_can() -> Iterator[Round]:
        try:
            for round_ in rounds(network, source, rows.take(parts.validation), rng, steps, max_steps, bound):
                if round_.skipped == round_.steps:
                    raise _nothing_finite(network, rows, bound)
                yield round_
        except ExhaustedError as end:
            ended.append(str(end))

    followed = follow(network, while_it_can(), "amortize", log_scale, progress)
    if ended and not len(followed.curve.steps):
        raise DataError(f"There were too few simulations for {steps} steps: {ended[0] or supply.failed}.")
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
        ended="".join(ended),
        seen=rows.take(parts.train),
        unseen=unseen,
        unseen_numbers=parts.test,
    )


def _nothing_finite(network: Network, rows: Rows, bound: Bound | None) -> DensityError:
    """What to say where every step of the first round was skipped: the network is then as it was before."""
    finite = np.asarray(np.isfinite(summaries(network.summary, rows.x)).all(axis=1))
    if not finite.all():
        return DensityError(
            "No step of training was finite: the summary network gives NaN or infinities for "
            f"{(~finite).sum():,} of {finite.size:,} simulated data sets. Look at what it computes, for "
            "logarithms and divisions."
        )
    what = "log q(z | x) of simulated pairs" if bound is None else "the evidence lower bound"
    return DensityError(
        f"No step of training was finite: {what} is NaN or infinite before anything is trained. Look for "
        "extreme values among the simulations, and try another `flow=`."
    )
