"""Markov chains where importance weights do not carry: many short ones, in coordinates that a flow or a
Gaussian has made nearly standard normal."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from scipy.special import gammaincinv

from flowvi.bijections import Bijection
from flowvi.bijections.leaf import leaf
from flowvi.compiling import Compiled, meanwhile
from flowvi.diagnostics.mixing import Mixing, import_arviz, mixing
from flowvi.flows import DefensiveNormal
from flowvi.inference.correct import LEAST_ESS
from flowvi.inference.density import VALUES, Density, scalar_log_density
from flowvi.inference.gaussian import Gaussian
from flowvi.inference.proposal import Proposal, base_log_prob
from flowvi.inference.single_precision import flow_in_single_precision
from flowvi.targets.base import Target

CHAINS = 32
NUTS_CHAINS = 16
"""Fewer where trajectories are long: each has to get somewhere for the gradients allowed."""

_GROUPS = 2
"""Of chains, each run by itself, on a core of its own where there are several."""

LARGEST_RHAT = 1.01
LARGEST_DIVERGENT = 0.01
"""Share of iterations that may diverge: where the integrator cannot go, the posterior is not drawn."""

_ENOUGH_ESS = 1500
"""Effective draws of every scalar at which chains end."""

_BLOCK = 10
"""Iterations in one compiled call."""

_CHECK = 10
_CHECK_GROWTH = (1.15, 1.5)
_AIM = 1.05
"""Blocks before the first look at the mixing; the next is when they seem to be enough, by a margin, within
these factors."""

_WARMUP = (5, 6, 6)
"""Blocks in the windows of the warm-up; the metric is estimated after each."""

_USUAL_BLOCKS = 60
"""With those of the warm-up, from which the time is estimated before there is anything to go by."""

_MOST_GRADIENTS = 600_000
"""For one kernel; chains that would need more are given up."""

_TRIED, _HOPELESS = 400, 2.0
"""Chains are given up after so many iterations where they seem to need so many times what is allowed."""

_ACCEPTANCE = 0.9
"""Wanted of the step size."""

_GAIN = 2.0
"""Of the log step size on the acceptance."""

_USUAL_STEPS = (0.5, 1.2)
_LOG_SMALL_STEPS = (math.log(0.02), math.log(0.5))
_SMALL_SHARE = 0.3
"""Factors on the step size, by iteration, and the share of small ones: where the density is much narrower
than elsewhere only small steps are accepted, and chains that take none would stay there."""

_NEVER_HELD = 0.6
_SMALL_SHARE_THEN = 0.1
"""Acceptance of usual steps, in every chain of the last window of the warm-up, from which few small steps are
taken: nowhere were they needed."""

_TRAJECTORY = 2.0
"""Length of a trajectory in standard coordinates, about a third of the period of a standard normal."""
_TRAJECTORY_JITTER = (0.5, 1.5)
_MOST_STEPS = 128
_LOWEST = -1e100
"""Log density below which it is taken for zero."""

_DOUBLINGS = 8
"""Of a NUTS trajectory, at most."""

Kernel = Literal["hmc", "nuts"]


class Chains(NamedTuple):
    """What Markov chains drew.

    Attributes:
        z: on the model's unconstrained scale.
        log_density: of the target.
        divergences: iterations, after the warm-up, at which the integrator lost the energy.
        mixing: of the coordinates of z and, last, of the log density.
        kernel: "hmc" in the base space of the flow, or "nuts" in the coordinates of the Gaussian.
    """

    z: Float[np.ndarray, "iterations chains dim"]
    log_density: Float[np.ndarray, "iterations chains"]
    divergences: int
    mixing: Mixing
    kernel: Kernel

    @property
    def mixed(self) -> bool:
        """Whether the draws may stand for the target, as far as chains can tell."""
        return self.mixing.worst_rhat <= LARGEST_RHAT and self.mixing.least_ess >= LEAST_ESS


def share_near(chains: Chains, place: Gaussian) -> float:
    """Share of the draws within the ellipsoid that holds 90% of a Gaussian."""
    z = chains.z.reshape(-1, chains.z.shape[-1])
    distance = (place.pull(z)[0] ** 2).sum(axis=1)
    return float((distance < 2 * gammaincinv(z.shape[1] / 2, 0.9)).mean())


class _State(NamedTuple):
    """Of every chain, in base coordinates; fields as blackjax's HMCState has them."""

    position: Float[Array, "chains dim"]
    logdensity: Float[Array, " chains"]
    logdensity_grad: Float[Array, "chains dim"]


class _Trace(NamedTuple):
    """Of one block; `position` is z in the base space, `log_det` that of the map at it."""

    z: Float[np.ndarray, "iterations chains dim"]
    log_density: Float[np.ndarray, "iterations chains"]
    position: Float[np.ndarray, "iterations chains dim"]
    log_det: Float[np.ndarray, "iterations chains"]
    acceptance: Float[np.ndarray, "iterations chains"]
    divergent: Bool[np.ndarray, "iterations chains"]


class _Trajectories(NamedTuple):
    """Of the iterations of a block: numbers of steps, their size, and whether that is a small one."""

    lengths: Int[np.ndarray, " block"]
    steps: Float[np.ndarray, " block"]
    small: Bool[np.ndarray, " block"]


def thinned(chains: Chains, draws: int) -> tuple[np.ndarray, np.ndarray]:
    """Evenly spaced iterations of all chains, at least so many draws where there are: z (iterations, chains,
    dim) and the log density (iterations, chains)."""
    iterations, count, _ = chains.z.shape
    kept = np.linspace(0, iterations - 1, min(-(-draws // count), iterations)).round().astype(int)
    return chains.z[kept], chains.log_density[kept]


def compile_ahead(target: Target, proposal: Proposal) -> None:
    """Compile what HMC in the base space of q will need, while something else is done."""
    exact = proposal.parts()[0].bijection()
    bijection = flow_in_single_precision(exact)
    base, each = np.zeros((CHAINS // _GROUPS, target.dim)), np.zeros(CHAINS // _GROUPS)
    lengths, steps, metric = np.ones(_BLOCK, int), np.ones(_BLOCK), np.eye(target.dim)
    _begin.ahead(target, exact, bijection, base)
    state = _State(leaf(base), leaf(each), leaf(base))
    _block.ahead(target, bijection, "hmc", state, jax.random.key(0), lengths, steps, metric)
    meanwhile(import_arviz)


def run_chains(
    density: Density,
    proposal: Proposal,
    starts: Float[np.ndarray, "chains dim"],
    kernel: Kernel,
    rng: np.random.Generator,
    draws: int = 0,
) -> Iterator[Chains]:
    """What was drawn so far, until there are so many draws and every scalar has mixed, or that cannot be had
    for the gradients allowed.

    The chains move in the base space of q's map z = f(u), where the target has the density
    p(f(u)) |det df/du|; between blocks of such moves each may jump. Of a mixture, each block moves in the
    base space of one part, drawn at random. In the warm-up the step size follows the acceptance, and the
    metric the covariance of all chains.

    Args:
        starts: on the model's unconstrained scale.

    Source: NeuTra (arXiv 1903.03704), section 3.
    """
    ensemble = _Ensemble(density, proposal, starts, kernel, rng)
    for blocks in _WARMUP:
        ensemble.adapt(blocks)
    z, log_density, divergences, check = [], [], 0, _CHECK
    while True:
        while len(z) < check:
            trace = ensemble.advance()
            z.append(trace.z)
            log_density.append(trace.log_density)
            divergences += int(trace.divergent.sum())
            if density.ledger.exhausted():
                break
        drawn, values = np.concatenate(z), np.concatenate(log_density)
        mixed = mixing(np.concatenate([drawn, values[..., None]], axis=-1))
        chains = Chains(drawn, values, divergences, mixed, kernel)
        yield chains
        spent = ensemble.gradients
        # what is asked for comes in proportion to what is spent
        missing = _ENOUGH_ESS / max(mixed.least_ess, 1)
        needed = spent * missing
        check = math.ceil(len(z) * np.clip(_AIM * missing, *_CHECK_GROWTH))
        density.ledger.show(seconds_left=ensemble.seconds * (needed / spent - 1))
        hopeless = not chains.mixed and len(drawn) >= _TRIED and needed > _HOPELESS * _MOST_GRADIENTS
        enough = chains.mixed and mixed.least_ess >= _ENOUGH_ESS and values.size >= draws
        # many draws of chains that have mixed are wanted, whatever they cost
        too_many = spent > _MOST_GRADIENTS and not chains.mixed
        if enough or hopeless or too_many or density.ledger.exhausted():
            return


class _Ensemble:
    """Chains that share a step size and, in the base space of each part, a metric."""

    def __init__(
        self,
        density: Density,
        proposal: Proposal,
        starts: Float[np.ndarray, "chains dim"],
        kernel: Kernel,
        rng: np.random.Generator,
    ) -> None:
        dim = starts.shape[1]
        self._density = density
        self._parts = proposal.parts()
        self._weights = proposal.part_weights()
        self._exact = [part.bijection() for part in self._parts]
        self._bijections = [flow_in_single_precision(bijection) for bijection in self._exact]
        self._defensive = proposal.with_base(DefensiveNormal(dim))
        self._kernel: Kernel = kernel
        self._rng = rng
        self._began = time.monotonic()
        self._metric = np.eye(dim)
        self._log_step = np.log(0.5 * dim**-0.25)
        self._small_share = _SMALL_SHARE
        self.gradients = 0
        self._blocks: list[float] = []
        self._z = starts
        self._traced: set[int] = set()

    @property
    def seconds(self) -> float:
        """Since the chains began."""
        return time.monotonic() - self._began

    def advance(self) -> _Trace:
        """A block of local moves, from wherever the chains jumped to before."""
        return self._advance(self._trajectories())

    def _advance(self, trajectories: _Trajectories) -> _Trace:
        k = int(self._rng.choice(len(self._parts), p=self._weights))
        exact, bijection = self._exact[k], self._bijections[k]
        target, call = self._density.target, self._density.journal.call
        lengths, steps, _ = trajectories

        def moved(group: tuple[Array, np.ndarray]) -> tuple[_Trace, Int[np.ndarray, "iterations chains"]]:
            key, z = group
            state = call(_begin, target, exact, bijection, z, like=_State._make([0, 0, 0]))
            arguments = target, bijection, self._kernel, state, key, lengths, steps, self._metric
            trace, spent = call(_block, *arguments, like=((0,) * 6, 0))
            return _Trace._make(map(np.asarray, trace)), np.asarray(spent)

        keys = [jax.random.key(int(seed)) for seed in self._rng.integers(2**63, size=_GROUPS)]
        groups = list(zip(keys, np.array_split(self._z, _GROUPS), strict=True))
        # the first time by one thread, so that nothing is compiled twice
        parts = self._density.map(moved, groups) if k in self._traced else [moved(group) for group in groups]
        self._traced.add(k)
        traces, counts = zip(*parts, strict=True)
        trace = _Trace._make(np.concatenate(column, axis=1) for column in zip(*traces, strict=True))
        spent = len(self._z) + int(sum(count.sum() for count in counts))
        self.gradients += spent
        self._density.ledger.spend(spent)
        self._z = self._jump(trace)
        return trace

    def adapt(self, blocks: int) -> None:
        """A window of the warm-up: the step size after every block, the metric at its end."""
        seen, steps, usual = [], [], []
        for number in range(blocks):
            if self._density.ledger.exhausted():
                return
            began = self.seconds
            trajectories = self._trajectories()
            trace = self._advance(trajectories)
            self._blocks.append(self.seconds - began)
            # the first has the compiling in it
            left = max(_USUAL_BLOCKS - len(self._blocks), 0) * float(np.median(self._blocks[-3:]))
            self._density.ledger.show(seconds_left=left)
            acceptance = np.nan_to_num(trace.acceptance)
            self._log_step += _GAIN / np.sqrt(1 + number) * float(acceptance.mean() - _ACCEPTANCE)
            usual.append(acceptance[~trajectories.small])
            seen.append(trace.position)
            steps.append(self._log_step)
        # the last steps are noisy about the right one
        self._log_step = float(np.mean(steps[blocks // 2 :]))
        held = np.concatenate(usual).mean(axis=0).min() < _NEVER_HELD
        self._small_share = _SMALL_SHARE if held else _SMALL_SHARE_THEN
        # in the base space of one part of a mixture the chains of all are no ellipsoid
        if len(self._parts) == 1:
            self._metric = _shrunk_covariance(np.concatenate(seen[1:]))

    def _trajectories(self) -> _Trajectories:
        usual = np.exp(self._log_step)
        if self._kernel == "nuts":
            # which finds its own length, a long one where steps are small
            return _Trajectories(np.ones(_BLOCK, int), np.full(_BLOCK, usual), np.zeros(_BLOCK, bool))
        small = self._rng.uniform(size=_BLOCK) < self._small_share
        factors = np.where(
            small,
            np.exp(self._rng.uniform(*_LOG_SMALL_STEPS, _BLOCK)),
            self._rng.uniform(*_USUAL_STEPS, _BLOCK),
        )
        trajectories = _TRAJECTORY * self._rng.uniform(*_TRAJECTORY_JITTER, _BLOCK)
        most = min(2 * np.ceil(_TRAJECTORY / usual), _MOST_STEPS)
        steps = usual * factors
        return _Trajectories(np.clip(np.ceil(trajectories / steps), 1, most).astype(int), steps, small)

    def _jump(self, trace: _Trace) -> Float[np.ndarray, "chains dim"]:
        """Let every chain jump from its last place to one of many draws of a defensive mixture m around q, or
        stay.

        The new place is chosen among the current one and the draws with probabilities in proportion to
        p / m, which leaves the target unchanged whatever m is. Chains come into modes and tails this way
        that local moves do not find.

        Source: iterated sampling importance resampling, Andrieu, Lee & Vihola 2018, section 2; with a flow
        and local moves, Samsonov et al. 2022 (arXiv 2111.02702), algorithm 2.
        """
        z = trace.z[-1]
        chains, dim = z.shape
        # far draws overflow on their way through a flow, and have weight zero
        with np.errstate(all="ignore"):
            drawn, log_m = self._defensive(self._rng, VALUES)
            log_weights = self._density.value(drawn) - log_m
            here = trace.log_density[-1] - self._log_defensive(trace)
        log_weights = np.where(np.isfinite(log_weights), log_weights, -np.inf).reshape(chains, -1)
        log_weights = np.concatenate([here[:, None], log_weights], axis=1)
        chosen = (log_weights + self._rng.gumbel(size=log_weights.shape)).argmax(axis=1)
        places = np.concatenate([z[:, None], drawn.reshape(chains, -1, dim)], axis=1)
        return places[np.arange(chains), chosen]

    def _log_defensive(self, trace: _Trace) -> Float[np.ndarray, " chains"]:
        """log m at the last places, which the moves of a single part have found already."""
        if len(self._parts) > 1:
            return self._defensive.log_prob(trace.z[-1])
        return base_log_prob(self._defensive.base, trace.position[-1]) - trace.log_det[-1]


def _shrunk_covariance(
    positions: Float[np.ndarray, "iterations chains dim"],
) -> Float[np.ndarray, "dim dim"]:
    """The covariance of all positions, drawn towards the identity, which it is where q is right."""
    iterations, chains, dim = positions.shape
    covariance = np.cov(positions.reshape(-1, dim).T).reshape(dim, dim)
    # neighbouring iterations count as one fourth
    n = iterations * chains / 4
    return (n * covariance + 2 * dim * np.eye(dim)) / (n + 2 * dim)


def _base_density(target: Target, bijection: Bijection, u: Float[Array, " dim"]) -> Float[Array, ""]:
    z, log_det = bijection.forward_and_log_det(u)
    total = scalar_log_density(target, z) + log_det
    # an energy beyond all bounds meets a momentum beyond them, and their sum may be anything
    return jnp.where(total > _LOWEST, total, -jnp.inf)


@partial(Compiled, quick=False)
def _begin(target: Target, exact: Bijection, bijection: Bijection, z: Array) -> _State:
    """At z, by the inverse of the exact map."""
    base = jax.vmap(exact.inverse_and_log_det)(z)[0]
    value, grad = jax.vmap(jax.value_and_grad(lambda u: _base_density(target, bijection, u)))(base)
    return _State(base, value, grad)


@partial(Compiled, quick=False)
def _block(
    target: Target,
    bijection: Bijection,
    kernel: Kernel,
    state: _State,
    key: Array,
    lengths: Array,
    step_sizes: Array,
    metric: Array,
) -> tuple[tuple[Array, ...], Int[Array, "iterations chains"]]:
    """`_BLOCK` iterations of all chains, as in `_Trace`, and how many gradients each took."""
    from blackjax.mcmc import hmc, nuts

    def log_density(u: Array) -> Array:
        return _base_density(target, bijection, u)

    # blackjax's kernels take arrays where their signatures say numbers
    move: Any = hmc.build_kernel() if kernel == "hmc" else nuts.build_kernel()

    def one(key: Array, state: _State, length: Array, step_size: Array) -> tuple[_State, tuple]:
        steps = length if kernel == "hmc" else _DOUBLINGS
        new, info = move(key, state, log_density, step_size, metric, steps)
        state = _State(new.position, new.logdensity, new.logdensity_grad)
        z, log_det = bijection.forward_and_log_det(state.position)
        value = state.logdensity - log_det
        trace = z, value, state.position, log_det, info.acceptance_rate, info.is_divergent
        return state, (trace, info.num_integration_steps)

    def iteration(state: _State, inputs: tuple[Array, Array, Array]) -> tuple[_State, tuple]:
        key, length, step_size = inputs
        keys = jax.random.split(key, len(state.logdensity))
        return jax.vmap(one, in_axes=(0, 0, None, None))(keys, state, length, step_size)

    return jax.lax.scan(iteration, state, (jax.random.split(key, _BLOCK), lengths, step_sizes))[1]
