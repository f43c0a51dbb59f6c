"""Training an autoencoder by its evidence lower bound."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from flowvi.bijections.leaf import leaf
from flowvi.compiling import Compiled
from flowvi.diagnostics.estimate import Estimate
from flowvi.errors import DataError
from flowvi.flows.arguments import positive_number, seed_of
from flowvi.lines import Lines
from flowvi.objectives.arguments import check_count
from flowvi.precision import double_precision
from flowvi.training.adam import AdamState, beginning, ravel, single_precision, with_parameters
from flowvi.training.batches import endless
from flowvi.training.schedules import factors
from flowvi.training.steps import Descent, scan_steps
from flowvi.vae.autoencoder import Autoencoder, rows_of
from flowvi.vae.bounds import log_weight
from flowvi.vae.warm_up import kl_weights

_SHARE, _MOST = 0.1, 1000
"""Rows held out to choose the best state."""
_LEAST_ROWS = 20


class TrainedAutoencoder(NamedTuple):
    """What `train` gives.

    Attributes:
        model: with the parameters (averaged over some fifty steps) that did best on held-out rows.
        curve: the bound at each step, nats per row, untempered: one draw for each row of the batch.
        held_out_steps: steps done by each look at the held-out rows.
        held_out: the bound of these rows then; one draw each, the same at every look.
        best: the best of them, with the standard error over rows.
        skipped: steps that were not taken because they were not finite.
        interrupted: whether Ctrl-C ended training.
    """

    model: Autoencoder
    curve: Float[np.ndarray, " steps"]
    held_out_steps: Int[np.ndarray, " looks"]
    held_out: Float[np.ndarray, " looks"]
    best: Estimate
    skipped: int
    interrupted: bool


@double_precision
def train(
    model: Autoencoder,
    x: Any,
    *,
    seed: int = 0,
    steps: int = 5000,
    warm_up: int | None = None,
    batch: int = 100,
    step_size: float = 2e-3,
    schedule: str = "cosine",
    chunk: int = 250,
    progress: bool = False,
) -> TrainedAutoencoder:
    """Maximise the bound over all parameters by Adam on mini-batches, in float32.

        minimise mean_i [beta_t (log q(z_i | x_i) - log p(z_i)) - log p(x_i | z_i)],
        beta_t = min(1, 0.01 + t / warm_up)

    A tenth of the rows (1,000 at most) is held out; after every chunk of steps their bound is looked at, and
    the best state is kept. Steps run in compiled chunks; one that is not finite is skipped and counted.
    Ctrl-C ends training and keeps the best state so far. The same data and seed give the same result.

    Args:
        model: trained from where it is; itself unchanged.
        x: (rows, columns).
        warm_up: steps until beta is one; a quarter of all unless given, 0 for none.
        batch: rows in a step, with one draw of the posterior each.
        schedule: the factor on the step size: "cosine", "halving" or "constant".
        progress: print to stderr how training goes.

    Raises:
        DataError: x does not fit the autoencoder, or has fewer than 20 rows.
        ArgumentError: a number is out of range.

    Source: R&M, algorithm 1; the warm-up: Sønderby et al. 2016 (arXiv 1602.02282), section 2.3.

    Example:
        >>> from flowvi import vae
        >>> x = np.random.default_rng(0).integers(2, size=(50, 4))
        >>> model = vae.autoencoder(x, latent=2, width=8, key=0)
        >>> vae.train(model, x, steps=20, chunk=10).held_out.shape
        (3,)
    """
    check_count("steps", steps)
    check_count("batch", batch)
    check_count("chunk", chunk)
    step_size, seed = positive_number("step_size", step_size), seed_of(seed)
    rows = _enough(rows_of(model, x))
    beta = single_precision(kl_weights(steps, steps // 4 if warm_up is None else warm_up))
    step_sizes = single_precision(step_size * factors(schedule, steps))

    rng = np.random.default_rng(seed)
    order = rng.permutation(len(rows))
    held = min(int(np.ceil(_SHARE * len(rows))), _MOST)
    validation, training = rows[order[:held]], order[held:]
    scored = leaf(single_precision(validation)), _noise(rng, (held, model.latent))
    data = leaf(single_precision(rows))

    state, best, curve, looks, interrupted = beginning(model), model, [], [], False
    at_start = np.asarray(_score(model, state.parameters, *scored))
    looks.append((0, at_start.mean()))
    top = _estimate(at_start)
    batches = endless(training, chunk * batch, rng)
    with Lines(progress) as lines:
        try:
            for start in range(0, steps, chunk):
                now = slice(start, min(start + chunk, steps))
                count = now.stop - now.start
                numbers = next(batches).reshape(chunk, batch)[:count]
                noise = _noise(rng, (count, batch, model.latent))
                inputs = leaf(numbers), noise, leaf(beta[now])
                after, met = _steps(model, state, data, inputs, leaf(step_sizes[now]))
                values = np.asarray(_score(model, after.average, *scored))
                # only now is the chunk done: what an interrupted one began is not half kept
                state = after
                curve.append(np.asarray(met, np.float64))
                looks.append((now.stop, values.mean()))
                if np.isfinite(values).all() and not values.mean() <= top.value:
                    best, top = with_parameters(model, np.asarray(state.average)), _estimate(values)
                bound = curve[-1].mean()
                lines.show(
                    f"vae  step {now.stop:,} of {steps:,}  bound {bound:.2f}  held out {top}"
                    f"  {lines.elapsed:.0f} s"
                )
        except KeyboardInterrupt:
            interrupted = True
    done, held_out = zip(*looks, strict=True)
    return TrainedAutoencoder(
        model=best,
        curve=np.concatenate([*curve, np.zeros(0)]),
        held_out_steps=np.array(done, int),
        held_out=np.array(held_out, float),
        best=top,
        skipped=int(state.skipped),
        interrupted=interrupted,
    )


@partial(Compiled, quick=False)
def _steps(
    model: Autoencoder, state: AdamState, data: Array, inputs: tuple[Array, Array, Array], step_sizes: Array
) -> tuple[AdamState, Float[Array, " steps"]]:
    """One chunk as a scan; `model` gives the structure, `state` the parameters."""
    _, unravel = ravel(model)

    def descent(parameters: Array, of_step: tuple[Array, Array, Array]) -> Descent:
        numbers, noise, beta = of_step

        def loss(parameters: Array) -> tuple[Array, Array]:
            model = unravel(parameters)

            def of_row(x: Array, noise: Array) -> tuple[Array, Array]:
                z, log_q = model.posterior_draw(x, noise)
                return log_q - model.prior.log_prob(z), model.likelihood.log_prob(x, model.decoder(z))

            divergence, log_likelihood = jax.vmap(of_row)(data[numbers], noise)
            loss = jnp.mean(beta * divergence - log_likelihood)
            return loss, jnp.mean(log_likelihood - divergence)

        (value, bound), gradient = jax.value_and_grad(loss, has_aux=True)(parameters)
        return Descent(gradient, jnp.isfinite(value), record=bound)

    return scan_steps(descent, state, inputs, step_sizes)


@Compiled
def _score(model: Autoencoder, parameters: Array, x: Array, noise: Array) -> Float[Array, " rows"]:
    _, unravel = ravel(model)
    model = unravel(parameters)
    return jax.vmap(lambda x, noise: log_weight(model, x, noise))(x, noise)


def _estimate(values: np.ndarray) -> Estimate:
    return Estimate(float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values))))


def _noise(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return leaf(rng.standard_normal(shape, np.float32))


def _enough(rows: np.ndarray) -> np.ndarray:
    if len(rows) < _LEAST_ROWS:
        raise DataError(
            f"x has {len(rows)} rows. An autoencoder needs {_LEAST_ROWS} at least: some are held out, to "
            "choose the best state."
        )
    if np.all(rows == rows[0]):
        raise DataError(
            f"All {len(rows)} rows of x are the same: there is nothing for the latent to explain. Give rows "
            "that differ."
        )
    return rows
