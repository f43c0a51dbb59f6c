"""Training a flow to the target by stochastic ascent of the ELBO along the path gradient."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from flowvi.bijections.leaf import leaf
from flowvi.compiling import Compiled
from flowvi.flows import Flow
from flowvi.flows.base_draws import base_draws
from flowvi.flows.score import forward_with_score
from flowvi.inference.gaussian import Gaussian
from flowvi.inference.journal import Journal
from flowvi.memory import batch_map
from flowvi.targets.base import Target
from flowvi.training.adam import AdamState, beginning, ravel, single_precision, with_parameters
from flowvi.training.steps import Descent, scan_steps

BATCH = 128
STEPS = 250
"""Steps in one compiled chunk: a round."""
STEP_SIZE = 1.6e-2
"""Adam's first step in whitened coordinates, where one value serves every model; it halves in every round."""
SMALLEST_STEP_SIZE = 5e-4
_WORTHWHILE = 0.05
"""Gain in ELBO, in nats a round, below which training has come to rest."""


class _Bad(NamedTuple):
    """How many draws of a step the target had no finite value or gradient for, and one of them."""

    count: Int[Array, ""]
    z: Float[Array, " dim"]
    log_density: Float[Array, ""]


class Round(NamedTuple):
    """A flow after a round of training.

    Attributes:
        flow: with the averaged parameters, on the whitened scale.
        elbo: mean over the last fifth of the round's steps.
        gradients: target gradients spent in the round.
        skipped: steps so far that were not taken because they were not finite.
        nonfinite: draws of the round at which the log density was NaN or +inf, or its gradient not finite.
        first_nonfinite: the first of those draws, on the model's unconstrained scale, and the log density
            there; None where there is none.
    """

    flow: Flow
    elbo: float
    gradients: int
    skipped: int
    nonfinite: int
    first_nonfinite: tuple[Float[np.ndarray, " dim"], float] | None


def rounds(
    target: Target,
    whitening: Gaussian,
    flow: Flow,
    rng: np.random.Generator,
    journal: Journal | None = None,
) -> Iterator[Round]:
    """Train a flow on the whitened scale z = location + scale_tril u, for as long as rounds are asked for.

    Maximises E_q[log p(z) - log q(u)] by Adam along the path gradient: with u = f(e), e ~ q0,

        gradient = E[(d u / d parameters)^T (grad log p - grad log q)(u)]

    where log q is differentiated in u alone, so that the gradient has no noise where q = p. The flow is
    trained in float32, the target evaluated in float64 at the very points that the flow gave. A step that is
    not finite is skipped; after three in a row training goes on from the average with a third of the step
    size. The rounds end where a round of the smallest steps gained little. The base's own parameters stay as
    they are.

    Source: STL (arXiv 1703.09194), equation 8; Adam with b2 = 0.99 as in AD20.
    """
    journal = journal or Journal()
    state = beginning(flow)
    best = -np.inf
    for number in count():
        halvings = number + np.arange(STEPS) / STEPS
        step_sizes = leaf(single_precision(np.maximum(STEP_SIZE * 0.5**halvings, SMALLEST_STEP_SIZE)))
        base = leaf(
            single_precision(base_draws(flow.base, rng, STEPS * BATCH)).reshape(STEPS, BATCH, flow.dim)
        )
        arguments = target, whitening, flow, state, base, step_sizes
        state, elbos, bad = journal.call(_train, *arguments, like=(state, 0, _Bad._make([0, 0, 0])))
        elbo = float(np.nanmean(np.asarray(elbos)[-STEPS // 5 :]))
        averaged = with_parameters(flow, np.asarray(state.average))
        counts = np.asarray(bad.count)
        first, nonfinite = np.argmax(counts > 0), int(counts.sum())
        yield Round(
            flow=averaged,
            elbo=elbo,
            gradients=STEPS * BATCH,
            skipped=int(state.skipped),
            nonfinite=nonfinite,
            first_nonfinite=(np.asarray(bad.z)[first], float(bad.log_density[first])) if nonfinite else None,
        )
        if elbo < best + _WORTHWHILE and STEP_SIZE * 0.5**number <= SMALLEST_STEP_SIZE:
            return
        best = max(elbo, best)


@Compiled
def _train(
    target: Target, whitening: Gaussian, flow: Flow, state: AdamState, base: Array, step_sizes: Array
) -> tuple[AdamState, Float[Array, " steps"], _Bad]:
    """One round as a scan over steps; `flow` gives the structure, `state` the parameters."""
    _, unravel = ravel(flow)
    location, scale_tril = jnp.asarray(whitening.location), jnp.asarray(whitening.scale_tril)
    log_det = jnp.log(jnp.diag(scale_tril)).sum()
    whitened = jax.value_and_grad(lambda u: target.log_density(location + scale_tril @ u) + log_det)
    wide, narrow = location.dtype, state.parameters.dtype

    def descent(parameters: Array, base: Array) -> Descent:
        def push(parameters: Array) -> tuple[Array, tuple[Array, Array]]:
            flow = unravel(parameters)
            u, log_q, score = jax.vmap(lambda e: forward_with_score(flow, e))(base)
            return u, (log_q, score)

        u, pull_back, (log_q, score_q) = jax.vjp(push, parameters, has_aux=True)
        at = u.astype(wide)
        log_p, score_p = batch_map(whitened, at)
        usable = jnp.isfinite(log_p) & jnp.isfinite(score_p).all(axis=1)
        count = usable.sum()
        path = jnp.where(usable[:, None], score_q - score_p, 0) / jnp.maximum(count, 1)
        (gradient,) = pull_back(path.astype(narrow))
        elbo = jnp.where(usable, log_p - log_q, 0).sum() / count
        # a density of zero (-inf) is no fault
        bad = ~usable & ~jnp.isneginf(log_p)
        one = jnp.argmax(bad)
        found = _Bad(bad.sum(), location + scale_tril @ at[one], log_p[one] - log_det)
        return Descent(gradient, usable.any() & (2 * bad.sum() < len(bad)), (elbo, found))

    state, (elbos, bad) = scan_steps(descent, state, base, step_sizes)
    return state, elbos, bad
