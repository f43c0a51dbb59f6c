"""What `amortize` returns."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np
from jaxtyping import Float

from flowvi.amortized.arguments import whole
from flowvi.amortized.checks import Checks, check_draws
from flowvi.amortized.correction import corrected, uncorrected
from flowvi.amortized.drawing import draw
from flowvi.amortized.familiar import Familiar, outside
from flowvi.amortized.layout import Batch, Layout
from flowvi.amortized.likelihood import Likelihood, Model
from flowvi.amortized.network import Network, summaries
from flowvi.amortized.parameters import Parameters
from flowvi.amortized.simulators import Pairs, Simulator
from flowvi.amortized.summary import Summary
from flowvi.amortized.supply import fitting
from flowvi.amortized.warned import warn
from flowvi.bijections import Conditioned
from flowvi.cache import kept_programs
from flowvi.diagnostics.estimate import Estimate
from flowvi.errors import DataError
from flowvi.flows import Flow
from flowvi.flows.standardise import standardise_by
from flowvi.posterior import Posterior
from flowvi.precision import double_precision
from flowvi.targets.base import Draws
from flowvi.training.early_stopping import Curve


@final
@dataclass(frozen=True, eq=False, repr=False)
class Amortized:
    """q(z | x), trained on simulations: draws and densities of the parameters given any data set.

    One data set has the shape of the simulated ones; several go in as one array with an axis more in front,
    or, where their sizes vary, as a list.

    Attributes:
        curve: how training went, in nats per pair.
        held_out: mean log q(z | x) of pairs that neither training nor stopping has seen; after training by
            the evidence lower bound, that of such data sets.
        failed: why simulations were dropped -> how many were; errors of one type together, under the message
            of the first.
        simulations: how many were used.
        notes: sentences on what else there is to know.
        skipped: training steps that were not taken because they were not finite.
        interrupted: whether Ctrl-C ended training.
    """

    curve: Curve
    held_out: Estimate
    failed: Mapping[str, int]
    simulations: int
    notes: tuple[str, ...]
    skipped: int
    interrupted: bool
    _network: Network
    _location: Float[np.ndarray, " dim"]
    _scale: Float[np.ndarray, " dim"]
    _parameters: Parameters
    _layout: Layout
    _familiar: Familiar
    _simulate: Simulator | None
    _unseen: Pairs
    _given: Likelihood | None
    _observed: str

    @property
    def summary(self) -> Summary:
        """The network that makes summaries of data."""
        return self._network.summary

    @cached_property
    def flow(self) -> Flow:
        """q of the unconstrained parameters, conditioned on summaries."""
        return standardise_by(self._network.flow, self._location, self._scale)

    @property
    def coordinates(self) -> tuple[str, ...]:
        """Labels of the unconstrained parameters."""
        return self._parameters.coordinates

    def __repr__(self) -> str:
        dim = len(self.coordinates)
        notes = [f"{count:,} simulations dropped ({why})" for why, count in self.failed.items()]
        notes += [f"{self.skipped} steps skipped"] if self.skipped else []
        notes += ["interrupted"] if self.interrupted else []
        steps = self.curve.steps[-1] if len(self.curve.steps) else 0
        return (
            f"Amortized posterior of {dim} coordinate{'' if dim == 1 else 's'} given {self.summary.size} "
            f"summaries: held out {self.held_out} nats per pair; "
            + "; ".join([f"{self.simulations:,} simulations", f"{steps:,} steps", *notes])
        )

    @double_precision
    def summaries(self, x: Any) -> Float[np.ndarray, ...]:
        """What the flow is conditioned on: (size,) for one data set, (data sets, size) for several.

        Raises:
            DataError: x is of another shape than the simulated data, or not finite.
        """
        batch, single = self._layout.read(x)
        found = summaries(self.summary, batch)
        return found[0] if single else found

    @kept_programs()
    @double_precision
    def sample(self, x: Any, n: int = 1000, seed: int = 0) -> Draws:
        """Draws of q(parameters | x) as it is, without correction.

        Shapes: results (n, *shape) for one data set, (data sets, n, *shape) for several. What depends on the
        data beside the parameters is left out, and in `posterior(x).draws`: a model's discrete sites that are
        summed out, and deterministics of these or of the data.

        Warns where data lie outside what was simulated; see `outlying`.

        Raises:
            DataError: x is of another shape than the simulated data, or not finite.
            ArgumentError: n is not positive, or the seed is negative.
        """
        n, seed = whole("n", n, 1), whole("seed", seed, 0)
        batch, single = self._layout.read(x)
        condition, _ = self._summarise(batch, single)
        drawn = self._draws(condition, n, seed)
        return {name: values[0] for name, values in drawn.items()} if single else drawn

    @kept_programs()
    @double_precision
    def log_prob(self, parameters: Mapping[str, Any], x: Any) -> Float[np.ndarray, ...]:
        """The log density q(parameters | x) on the parameters' own scale.

            log q(parameters | x) = log q(z | x) - log |det d parameters / dz|

        Shapes: parameters (*batch, *shape) and one data set, result (*batch,); or several data sets and
        parameters (data sets, *batch, *shape), result (data sets, *batch).

        Warns where data lie outside what was simulated; see `outlying`.

        Raises:
            DataError: x or a parameter is of another shape, a parameter is missing, or x is not finite.
        """
        batch, single = self._layout.read(x)
        condition, _ = self._summarise(batch, single)
        axes, rows = self._flat(parameters)
        if not single and axes[:1] != (len(condition),):
            raise DataError(
                f"There are {len(condition)} data sets, but the parameters have leading axes {axes}: the "
                "first has to be that of the data sets."
            )
        z, log_det = self._parameters.unconstrain(rows)
        # a value outside its support has density zero
        inside = np.isfinite(z).all(axis=1) & np.isfinite(log_det)
        z = np.where(inside[:, None], z, 0.0).reshape(*axes, -1)
        condition = (
            condition[0] if single else condition.reshape(-1, *[1] * (len(axes) - 1), condition.shape[-1])
        )
        log_q = np.asarray(self.flow.log_prob(z, condition)) - np.where(inside, log_det, 0.0).reshape(axes)
        return np.where(inside.reshape(axes), log_q, -np.inf)

    @kept_programs()
    @double_precision
    def posterior(self, x: Any, draws: int = 4000, seed: int = 0) -> Posterior:
        """The posterior given one data set: corrected by importance weights where the model has a
        likelihood, with the verdict on whether they carry.

        For a simulator there is nothing to check draws against, and the verdict says so: inconclusive.

        Warns where the data lie outside what was simulated, of which the verdict tells too; see `outlying`.

        Raises:
            DataError: x is not one data set of the shape of the simulated ones, or not finite, or has
                fractions where the model takes integers.
            ArgumentError: draws is not positive, or the seed is negative.
        """
        draws, seed = whole("draws", draws, 1), whole("seed", seed, 0)
        batch, single = self._layout.read(x)
        if not single:
            raise DataError("`posterior` takes one data set; `sample` takes several at once.")
        condition, warned = self._summarise(batch, single)
        q = self._flow_given(condition[0])
        warnings = (*self.notes, *warned)
        if self._given is None:
            return uncorrected(q, self._parameters, draws, seed, warnings)
        return corrected(q, self._given(np.asarray(x, float)), draws, seed, warnings)

    @double_precision
    def flow_given(self, x: Any) -> Flow:
        """q(z | x) for one data set, an unconditional flow of the unconstrained parameters."""
        condition = self.summaries(x)
        if condition.ndim != 1:
            raise DataError("`flow_given` takes one data set.")
        return self._flow_given(condition)

    @double_precision
    def outlying(self, x: Any) -> Float[np.ndarray, ...]:
        """The share of simulated data sets that lie as far out as x, by summaries, mean, sd and extremes.

        Below 0.01 the data are unlike what q was trained on: the model does not fit, or its prior leaves them
        out, and q extrapolates. `posterior`, `sample` and `log_prob` then warn; of several data sets, of
        those that are too many or too far out to be among simulated ones (by the false discovery rate, at a
        hundredth). Beyond all that was simulated, the share is extrapolated.

        Shapes: result () for one data set, (data sets,) for several.

        Source: Schmitt et al. 2021 (arXiv 2112.08866) on detecting this by summaries.

        Raises:
            DataError: x is of another shape than the simulated data, or not finite.
        """
        batch, single = self._layout.read(x)
        share = self._familiar.share_beyond(summaries(self.summary, batch), batch)
        return share[0] if single else share

    @kept_programs()
    @double_precision
    def save(self, path: str | os.PathLike) -> None:
        """Write to one file that `Amortized.load` reads.

        It is replaced in one step, so that a crash leaves what was there. Code is not stored: a model, a
        simulator, and a summary of your own go to `load` again.

        Raises:
            SaveError: the file cannot be written, or the flow has parts that are not flowvi's.
        """
        from flowvi.amortized.files import save

        save(self, path)

    @staticmethod
    @kept_programs()
    @double_precision
    def load(
        path: str | os.PathLike,
        model: Any = None,
        *args: Any,
        simulate: Callable[..., Any] | None = None,
        prior: Callable[..., Any] | None = None,
        summary: Any = None,
        example: Any = None,
        supports: Mapping[str, Any] | None = None,
        **model_kwargs: Any,
    ) -> Amortized:
        """What `save` wrote: the same draws and densities, bit for bit. Nothing in the file is executed.

        Args:
            model, args, model_kwargs, example, supports: as they were given to `flowvi.amortize`, where a
                model was; of its data, only the shape matters.
            simulate, prior: as they were, for `check` to draw new data sets; without them it goes through the
                simulations that training has not seen.
            summary: your own module or function, where one was given.

        Raises:
            SaveError: the file is missing, damaged or of something else, or a summary has to be given.
            NoModelError: a model has to be given.
            ModelError: the model has other coordinates or supports.
            ArgumentError: what is given does not go with the file.
        """
        from flowvi.amortized.files import load

        given = Model(model, args, model_kwargs, example, supports)
        return load(path, given, simulate, prior, summary)

    @double_precision
    def check(self, simulations: int = 500, seed: int = 1, draws: int = 199) -> Checks:
        """Calibration, coverage, recovery and contraction of q over new simulated data sets.

        Where simulations were stored, or q was loaded without its simulator, those that neither training nor
        stopping has seen are used, as many as there are. What `sample` leaves out is left out.

        Args:
            draws: of q for each data set, among which true values are ranked.

        Raises:
            ArgumentError: there are fewer than two simulations or draws, or the seed is negative.
            DataError: fewer than two simulations succeeded.

        Source: Talts et al. 2018 (arXiv 1804.06788) for the ranks; Radev et al. 2020 (arXiv 2003.06281) for
        recovery; contraction: Schad et al. 2019 (arXiv 1904.12765).
        """
        simulations, draws = whole("simulations", simulations, 2), whole("draws", draws, 2)
        seed = whole("seed", seed, 0)
        pairs = self._unseen if self._simulate is None else self._simulate(seed, simulations)
        pairs = fitting(pairs, self._layout)
        if len(pairs.x) < 2:
            raise DataError(f"{len(pairs.x)} of {simulations} simulations can be used: {dict(pairs.failed)}.")
        count = min(simulations, len(pairs.x))
        condition = summaries(self.summary, self._layout.batch(pairs.x[:count]))
        truth = {name: values[:count] for name, values in pairs.parameters.items()}
        checks = check_draws(truth, self._draws(condition, draws, seed), seed)
        return dataclasses.replace(checks, failed=pairs.failed)

    def _summarise(
        self, batch: Batch, single: bool
    ) -> tuple[Float[np.ndarray, "sets size"], tuple[str, ...]]:
        """The summaries of data, and what there was to warn of them."""
        found = summaries(self.summary, batch)
        shares = self._familiar.share_beyond(found, batch)
        far = outside(shares)
        if not len(far):
            return found, ()
        which = (
            "The data lie" if single else f"{len(far):,} of {len(found):,} data sets, first x[{far[0]}], lie"
        )
        text = (
            f"{which} outside what was simulated: {shares[far[0]]:.2%} of simulated data sets, at most, "
            "lie as far out. The model does not fit them, or its prior leaves them out, and q extrapolates."
        )
        warn(text)
        return found, (text,)

    def _flow_given(self, condition: Float[np.ndarray, " size"]) -> Flow:
        return Flow(self.flow.base, Conditioned(self.flow.bijection, condition))

    def _draws(self, condition: Float[np.ndarray, "sets size"], n: int, seed: int) -> Draws:
        """Each (data sets, n, *shape)."""
        sets = len(condition)
        u = draw(self._network.flow, condition, n, seed)
        z = self._location + self._scale * u.reshape(sets * n, -1)
        draws = self._parameters.constrain(z)
        return {name: values.reshape(sets, n, *values.shape[1:]) for name, values in draws.items()}

    def _flat(self, parameters: Mapping[str, Any]) -> tuple[tuple[int, ...], Draws]:
        """Leading axes, and the parameters with one in their place."""
        example = self._parameters.constrain(np.zeros((1, len(self.coordinates))))
        ndims = {name: values.ndim - 1 for name, values in example.items()}
        arrays = {name: np.asarray(value, float) for name, value in parameters.items() if name in ndims}
        leading = {a.shape[: a.ndim - ndims[name]] for name, a in arrays.items()} or {()}
        if len(leading) > 1:
            raise DataError(f"Parameters have the leading axes {sorted(leading)}: give the same for all.")
        (axes,) = leading
        return axes, {name: a.reshape(-1, *a.shape[len(axes) :]) for name, a in arrays.items()}
