"""The game between a generator and a critic."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from flowvi.bijections import MLP
from flowvi.bijections.leaf import leaf
from flowvi.compiling import Compiled
from flowvi.families.generators import Generator, generate
from flowvi.flows.base_draws import base_draws
from flowvi.training.adam import AdamState, adam_step, beginning, ravel, single_precision, with_parameters

Loss = Literal["non_saturating", "wasserstein"]
_MOMENTUM = 0.0
"""Adam's b1: with more of it the two players run after each other."""
_CRITIC: dict[Loss, float] = {"non_saturating": 1.0, "wasserstein": 10.0}
"""Factor on the step size of the critic; an estimate of a distance must be ahead of the generator."""
_CHUNK = 250
"""Steps in a compiled call."""


class Played(NamedTuple):
    """How a game ended.

    Attributes:
        generator: with the parameters averaged over some fifty steps.
        losses: of generator and critic at each step.
        skipped: steps of either that were not taken because they were not finite.
        interrupted: whether Ctrl-C ended training.
    """

    generator: Generator
    losses: Float[np.ndarray, "steps 2"]
    skipped: int
    interrupted: bool


def play(
    generator: Generator,
    critic: MLP,
    rows: Float[np.ndarray, "rows dim"],
    rng: np.random.Generator,
    *,
    loss: Loss,
    steps: int,
    batch: int,
    critic_steps: int,
    step_sizes: Float[np.ndarray, " steps"],
    penalty: float,
) -> Played:
    """So many steps of the generator, each after some of the critic, on standardised rows.

        non_saturating:  critic      -E log s(D(x)) - E log s(-D(G(u))),      s(a) = 1 / (1 + e^-a)
                         generator   -E log s(D(G(u)))
        wasserstein:     critic      E D(G(u)) - E D(x) + penalty E (|grad D(x')| - 1)^2
                         generator   -E D(G(u))

    x' is uniform on the line between a row and a draw.

    Source: Goodfellow et al. 2014 (arXiv 1406.2661), section 3; Gulrajani et al. 2017 (arXiv 1704.00028),
    equation 3; step sizes of two: Heusel et al. 2017 (arXiv 1706.08500).
    """
    data, states = leaf(single_precision(rows)), (beginning(generator), beginning(critic))
    losses, interrupted = [], False
    try:
        for start in range(0, steps, _CHUNK):
            count = min(_CHUNK, steps - start)
            inputs = _inputs(generator, rng, len(rows), (count, critic_steps, batch))
            now = leaf(single_precision(step_sizes[start : start + count]))
            after, met = _steps(generator, critic, states, data, inputs, now, loss, penalty)
            losses.append(np.stack([np.asarray(of_player, np.float64) for of_player in met], axis=1))
            states = after
    except KeyboardInterrupt:
        interrupted = True
    return Played(
        generator=with_parameters(generator, np.asarray(states[0].average)),
        losses=np.concatenate([*losses, np.zeros((0, 2))]),
        skipped=int(states[0].skipped) + int(states[1].skipped),
        interrupted=interrupted,
    )


class _Inputs(NamedTuple):
    """What the steps draw: row numbers, noise and places on lines for the critic, noise for the generator."""

    numbers: Array
    noise: Array
    places: Array
    own_noise: Array


def _inputs(
    generator: Generator, rng: np.random.Generator, rows: int, shape: tuple[int, int, int]
) -> _Inputs:
    steps, _, batch = shape

    def noise(*shape: int) -> Array:
        drawn = base_draws(generator.base, rng, int(np.prod(shape)))
        return leaf(single_precision(drawn).reshape(*shape, -1))

    return _Inputs(
        numbers=leaf(rng.integers(rows, size=shape)),
        noise=noise(*shape),
        places=leaf(single_precision(rng.uniform(size=(*shape, 1)))),
        own_noise=noise(steps, batch),
    )


@partial(Compiled, quick=False)
def _steps(
    generator: Generator,
    critic: MLP,
    states: tuple[AdamState, AdamState],
    data: Array,
    inputs: _Inputs,
    step_sizes: Array,
    loss: Loss,
    penalty: float,
) -> tuple[tuple[AdamState, AdamState], tuple[Array, Array]]:
    """One chunk as a scan; the modules give the structure, the states the parameters."""
    _, generator_at = ravel(generator)
    _, critic_at = ravel(critic)

    def draws(parameters: Array, noise: Array) -> Array:
        built = generator_at(parameters)
        return jax.vmap(lambda noise: generate(built, noise))(noise)

    def of_critic(parameters: Array, real: Array, fake: Array, places: Array) -> Array:
        built = critic_at(parameters)
        score: Callable[[Array], Array] = lambda x: built(x)[0]  # noqa: E731
        on_real, on_fake = jax.vmap(score)(real), jax.vmap(score)(fake)
        if loss == "non_saturating":
            return jnp.mean(jax.nn.softplus(-on_real) + jax.nn.softplus(on_fake))
        between = places * real + (1 - places) * fake
        slopes = jax.vmap(jax.grad(score))(between)
        # the root has no derivative at zero
        norms = jnp.sqrt(jnp.sum(slopes**2, axis=1) + 1e-12)
        return jnp.mean(on_fake - on_real) + penalty * jnp.mean((norms - 1) ** 2)

    def of_generator(parameters: Array, critic_parameters: Array, noise: Array) -> Array:
        built = critic_at(critic_parameters)
        scores = jax.vmap(lambda x: built(x)[0])(draws(parameters, noise))
        return jnp.mean(jax.nn.softplus(-scores) if loss == "non_saturating" else -scores)

    def step(states: tuple[AdamState, AdamState], of_step: tuple[_Inputs, Array]):
        (own, other), (inputs, step_size) = states, of_step

        def criticise(state: AdamState, of_critic_step: tuple[Array, Array, Array]):
            numbers, noise, places = of_critic_step
            fake = draws(own.parameters, noise)
            value, gradient = jax.value_and_grad(of_critic)(state.parameters, data[numbers], fake, places)
            critic_size = _CRITIC[loss] * step_size
            return adam_step(state, gradient, jnp.isfinite(value), critic_size, _MOMENTUM), value

        other, met = jax.lax.scan(criticise, other, (inputs.numbers, inputs.noise, inputs.places))
        value, gradient = jax.value_and_grad(of_generator)(own.parameters, other.parameters, inputs.own_noise)
        own = adam_step(own, gradient, jnp.isfinite(value), step_size, _MOMENTUM)
        return (own, other), (value, met[-1])

    return jax.lax.scan(step, states, (inputs, step_sizes))
