"""Adversarial networks as a family: trained by a game, with a likelihood only where a flow generates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Array, Float

from flowvi.bijections.host_random import host_generator
from flowvi.compiling import Compiled
from flowvi.density.rows import Moments
from flowvi.errors import NoDensityError
from flowvi.families.adversarial import Loss, Played, play
from flowvi.families.family import Family, Fitted
from flowvi.families.generators import Generator, NetworkGenerator, generate, generator_of
from flowvi.families.rows import moments_of, new_rows, read_rows
from flowvi.flows import Flow
from flowvi.flows.arguments import number_of_draws, positive_number, seed_of
from flowvi.flows.base_draws import base_draws
from flowvi.flows.standardise import standardise_by
from flowvi.memory import batch_map
from flowvi.objectives.arguments import check_choice, check_count
from flowvi.precision import double_precision
from flowvi.training.schedules import factors
from flowvi.vae.network import random_mlp


@final
@dataclass(frozen=True, eq=False, repr=False)
class FittedGAN(Fitted):
    """A generator trained against a critic.

    Attributes:
        played: how training went, with the generator of standardised rows.
        moments: of the columns, by which rows were standardised.
    """

    played: Played
    moments: Moments

    def __repr__(self) -> str:
        exact = "none" if isinstance(self.played.generator, NetworkGenerator) else "exact"
        notes = [f"{len(self.played.losses):,} steps"]
        notes += [f"{self.played.skipped} steps skipped"] if self.played.skipped else []
        notes += ["interrupted"] if self.played.interrupted else []
        return f"FittedGAN of {len(self.moments.location)} columns; likelihood: {exact}; " + "; ".join(notes)

    @property
    def flow(self) -> Flow:
        """The generator on the scale of the data, where it is a flow.

        Raises:
            NoDensityError: it is a network.
        """
        if isinstance(self.played.generator, NetworkGenerator):
            raise NoDensityError(
                "This adversarial network has a network for a generator, whose draws have no density that "
                "can be computed. Fit GAN(generator='real_nvp') or a Flow, or compare draws."
            )
        return standardise_by(self.played.generator, *self.moments)

    @double_precision
    def sample(self, n: int, seed: int = 0) -> Float[np.ndarray, "n columns"]:
        """Independent draws, on the scale of the data."""
        generator = self.played.generator
        noise = base_draws(generator.base, np.random.default_rng(seed_of(seed)), number_of_draws(n))
        return self.moments.location + self.moments.scale * np.asarray(_generated(generator, noise))

    def log_prob(self, x: Any) -> Float[np.ndarray, " rows"]:
        """The exact log density of each row, where the generator is a flow, in nats.

        Raises:
            NoDensityError: the generator is a network.
            DataError: x has other columns, or values that are not finite.
        """
        return np.asarray(self.flow.log_prob(new_rows(x, len(self.moments.location))))


@Compiled
def _generated(generator: Generator, noise: Array) -> Array:
    return batch_map(lambda noise: generate(generator, noise), noise)


@final
@dataclass(frozen=True)
class GAN(Family):
    """A generative adversarial network.

    Args:
        loss: "non_saturating", or "wasserstein" with gradient penalty.
        generator: "network"; or a flow, which has an exact likelihood: "real_nvp", "neural_spline", "nice",
            "glow", "iaf", "planar", "sylvester", "residual" or a `Flow` of standardised rows.
        latent: coordinates of the noise of a network; as many as columns, but 8 at least, unless given.
        width: of critic and generator network, which have `depth` hidden layers.
        steps: of the generator, each after `critic_steps` of the critic (1, or 5 for Wasserstein, unless
            given), on batches of `batch` rows.
        step_size: of Adam, ten times as large for a Wasserstein critic; it falls to zero by a cosine.
        penalty: factor of the gradient penalty.

    Raises (in `fit`):
        DataError: values are missing, rows are too few, or a column is constant.
        ArgumentError: a name is unknown or a number out of range.
        FlowError: the flow does not fit the data.

    Source: Goodfellow et al. 2014 (arXiv 1406.2661); Gulrajani et al. 2017 (arXiv 1704.00028); a flow as
    generator: Grover et al. 2018 (arXiv 1705.08868).

    Example:
        >>> x = np.random.default_rng(0).normal(size=(100, 2))
        >>> fitted = flowvi.families.GAN(generator="planar", width=8, steps=10).fit(x)
        >>> fitted.log_prob(fitted.sample(5)).shape
        (5,)
    """

    loss: Loss = "non_saturating"
    generator: str | Flow = "network"
    latent: int | None = None
    width: int = 128
    depth: int = 3
    steps: int = 5000
    batch: int = 256
    step_size: float = 5e-4
    critic_steps: int | None = None
    penalty: float = 10.0

    @double_precision
    def fit(self, x: Any, seed: int = 0) -> FittedGAN:
        """Train on rows of data (rows, columns)."""
        self._check()
        seed = seed_of(seed)
        rows = read_rows(x)
        moments = moments_of(rows)
        columns = rows.shape[1]
        rng = host_generator(seed)
        of_generator, of_critic = rng.integers(2**63, size=2).tolist()
        generator = generator_of(
            self.generator,
            columns,
            latent=max(columns, 8) if self.latent is None else self.latent,
            width=self.width,
            depth=self.depth,
            seed=of_generator,
        )
        played = play(
            generator,
            random_mlp(columns, 1, key=of_critic, width=self.width, depth=self.depth),
            (rows - moments.location) / moments.scale,
            rng,
            loss=self.loss,
            steps=self.steps,
            batch=self.batch,
            critic_steps=self.critic_steps or {"non_saturating": 1, "wasserstein": 5}[self.loss],
            step_sizes=self.step_size * factors("cosine", self.steps),
            penalty=self.penalty,
        )
        return FittedGAN(played, moments)

    def _check(self) -> None:
        check_choice("loss", self.loss, ("non_saturating", "wasserstein"))
        for name in ("latent", "width", "depth", "steps", "batch", "critic_steps"):
            if getattr(self, name) is not None:
                check_count(name, getattr(self, name))
        for name in ("step_size", "penalty"):
            positive_number(name, getattr(self, name))
