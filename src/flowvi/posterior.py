"""What `flowvi.fit` returns."""

from __future__ import annotations

import dataclasses
import inspect
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from flowvi.bijections import TriangularAffine
from flowvi.cache import kept_programs
from flowvi.datatree import ModelRecord, record, record_to_save, require_log_likelihood, to_datatree
from flowvi.diagnostics.estimate import Estimate
from flowvi.display import display
from flowvi.errors import ArgumentError, DataError, ModelError, NoModelError, SamplingError
from flowvi.flows import Flow
from flowvi.inference.budget import Budget, Ledger
from flowvi.inference.chains import CHAINS, run_chains, thinned
from flowvi.inference.correct import LARGEST_CUT, unique_draws, weigh_for_unique
from flowvi.inference.density import Density
from flowvi.inference.judge import Verdict
from flowvi.inference.proposal import Proposal, proposal_of
from flowvi.precision import double_precision
from flowvi.storage import Stored, damage_as_error, read, write
from flowvi.summary import Summary, summarise
from flowvi.targets.base import Draws, Target

if TYPE_CHECKING:
    import xarray as xr

_LEAST_PROPOSED_FOR = 1000
"""Weights of fewer proposals are normalised too roughly, which draws the result towards q."""

CHECKED = 4
"""At so many points the log density is saved, to tell at loading whether it is still the same."""


@dataclass(frozen=True, eq=False, repr=False)
class Posterior:
    """Draws of a posterior, and what there is to say about them.

    Attributes:
        target: the model, or None in a posterior that was loaded without it, or of a simulator.
        q: the fitted flow, on the unconstrained scale.
        z: (draws, dim) the draws on the unconstrained scale.
        draws: parameter -> float64 (draws, *shape) on the model's own scale; unique draws without weights.
        log_weights: (draws,) log p(z, data) - log q(z), which tells where q is off; draws need no weights.
        verdict: whether to trust the draws.
        log_evidence: of the data, for the modes found; None where the verdict says why not.
        elbo: of q.
        stages: stage -> target gradients spent in it.
        density_evaluations: evaluations of the target without its gradient.
        effective_draws: how many independent draws these are worth.
        coordinates: labels of the columns of z.
    """

    target: Target | None
    q: Flow
    z: Float[np.ndarray, "draws dim"]
    draws: Draws
    log_weights: Float[np.ndarray, " draws"]
    verdict: Verdict
    log_evidence: Estimate | None
    elbo: Estimate
    stages: Mapping[str, int]
    density_evaluations: int
    effective_draws: float
    coordinates: tuple[str, ...]
    _saved: ModelRecord | None = None
    _log_density: Float[np.ndarray, " few"] = dataclasses.field(default_factory=lambda: np.empty(0))

    @property
    def gradient_evaluations(self) -> int:
        """Target gradients spent in all stages."""
        return sum(self.stages.values())

    def __repr__(self) -> str:
        n, dim = self.z.shape
        evidence = "None" if self.log_evidence is None else str(self.log_evidence)
        return f"Posterior(dim={dim}, draws={n}, verdict={self.verdict.level!r}, log_evidence={evidence})"

    @double_precision
    def constrain(self, z: Float[Any, "*batch dim"], seed: int = 0) -> Draws:
        """Parameters, and all that follows from them, at points on the unconstrained scale.

        Shapes: z (*batch, dim); results (*batch, *shape). `seed` is that of random generated quantities.

        Raises:
            DataError: z has another last dimension.
            NoModelError: the posterior was loaded without its model.

        Example:
            >>> posterior.constrain(posterior.q.sample(0, (100,)))["theta"].shape
            (100, 8)
        """
        target, z = self._target("constrain"), np.asarray(z, np.float64)
        if z.shape[-1:] != (target.dim,):
            raise DataError(
                f"z has shape {z.shape}; the model has {target.dim} coordinates: give (..., {target.dim})."
            )
        draws = _float64(target.constrain(z.reshape(-1, target.dim), seed))
        return {name: values.reshape(z.shape[:-1] + values.shape[1:]) for name, values in draws.items()}

    @double_precision
    def unconstrain(self, parameters: Mapping[str, Any]) -> Float[np.ndarray, " dim"]:
        """The point on the unconstrained scale of one value for every parameter.

        Raises:
            DataError: a parameter is missing or has the wrong shape.
            SupportError: a value lies outside its support.
            NoModelError: the posterior was loaded without its model.

        Example:
            >>> z = posterior.unconstrain({"mu": 4.0, "tau": 3.0, "standardized": np.zeros(8)})
            >>> posterior.q.log_prob(z).shape
            ()
        """
        return np.asarray(self._target("unconstrain").unconstrain(parameters), np.float64)

    @kept_programs()
    @double_precision
    def sample(self, n: int, seed: int = 0) -> Draws:
        """More draws, corrected as the first ones were; the verdict speaks for both.

        Shapes: results (n, *shape). Other seeds give other draws.

        Raises:
            SamplingError: the weights do not carry so many, or the chains did not mix this time.
            ArgumentError: n is not positive.
            NoModelError: the posterior was loaded without its model.

        Example:
            >>> posterior.sample(20_000, seed=1)["tau"].shape
            (20000,)
        """
        target = self._target("sample")
        if n < 1:
            raise ArgumentError(f"n={n}: ask for at least one draw.")
        # not the stream of a fit with the same seed
        rng = np.random.default_rng([seed, 1])
        with display(progress=False) as silent:
            density = Density(target, Ledger(Budget(), silent))
            proposal = proposal_of(self.q)
            if self.verdict.level == "corrected":
                return _float64(target.constrain(_of_chains(density, proposal, self.z, rng, n), seed))
            try:
                weighted = weigh_for_unique(density, proposal, rng, max(n, _LEAST_PROPOSED_FOR))
            except ArithmeticError as error:
                raise SamplingError(f"No draws: {error}.") from error
        cut = weighted.cut_for(n)
        # by chance these proposals may fare a little worse than those of the fit
        if self.verdict.level == "good" and cut > 2 * LARGEST_CUT:
            raise SamplingError(
                f"The importance weights do not carry {n:,} draws: {cut:.1%} of the weight would be cut off. "
                "Ask for fewer draws, or fit again with a flow that comes closer."
            )
        return _float64(target.constrain(weighted.z[unique_draws(weighted, n, rng)], seed))

    @kept_programs()
    @double_precision
    def predictive(self, *args: Any, seed: int = 0, draws: int | None = None, **model_kwargs: Any) -> Draws:
        """Draws of the model's observed sites, one for each posterior draw.

        Args:
            args, model_kwargs: new data, as the model takes them; without any, the data of the fit.
            seed: of everything random.
            draws: use the first so many of the posterior's draws; all of them by default.

        Shapes: results (draws, *shape of the site).

        Raises:
            CannotSimulateError: the model is a density only.
            DataError: the new data do not suit the model.
            NoModelError: the posterior was loaded without its model.

        Example:
            >>> posterior.predictive(seed=1)["y"].shape
            (4000, 8)
        """
        target = self._target("predictive")
        if draws is not None and not 1 <= draws <= len(self.z):
            raise ArgumentError(f"draws={draws}: the posterior has {len(self.z)}; `sample` gives more.")
        used = {name: values[:draws] for name, values in self.draws.items()}
        return _float64(target.predictive(used, seed, args, model_kwargs))

    @kept_programs()
    @double_precision
    def to_arviz(self, log_likelihood: bool = True) -> xr.DataTree:
        """The posterior in ArviZ's layout, with the model's dims and coords; independent draws are one chain.

        Groups: posterior; sample_stats, with `log_weight` (see `log_weights`); and, where the model has
        observations, observed_data and the pointwise log_likelihood, which `log_likelihood=False` leaves out.

        Raises:
            NoModelError: the log likelihood was not saved, and the posterior was loaded without its model.

        Example:
            >>> posterior.to_arviz().posterior["theta"].shape
            (1, 4000, 8)
        """
        if self.target is not None:
            model = record(self.target, self.draws, log_likelihood)
        else:
            model = self._loaded_record()
            if log_likelihood:
                require_log_likelihood(model)
            else:
                model = dataclasses.replace(model, log_likelihood=None)
        attrs = {"inference_library": "flowvi", "verdict": self.verdict.level}
        return to_datatree(self.draws, {"log_weight": self.log_weights}, model, attrs)

    def summary(self) -> Summary:
        """Mean, sd, quantiles and Monte Carlo error of the mean, per scalar; prints as a table.

        The Monte Carlo error is sd / sqrt(effective_draws); see `flowvi.summary.summarise` for why.

        Example:
            >>> bool(3 < posterior.summary()["tau"].mean < 4.5)
            True
        """
        return summarise(self.draws, self.effective_draws, self.verdict.level)

    @kept_programs()
    @double_precision
    def save(self, path: str | os.PathLike) -> None:
        """Write to a directory that `flowvi.load` reads; what else is in it stays.

        A posterior that was there is replaced at the end in one step: a crash or a full disk leaves it whole.

        Raises:
            SaveError: the directory cannot be written to, or q has parts that are not flowvi's.

        Example:
            >>> posterior.save("run")
            >>> flowvi.load("run").draws["tau"].shape
            (4000,)
        """
        if self.target is None:
            model, log_density = self._loaded_record(), self._log_density
        else:
            model = record_to_save(self.target, self.draws, len(self.z))
            log_density = _log_density_at(self.target, self.z[:CHECKED])
        facts = {
            "coordinates": self.coordinates,
            "verdict": {
                field.name: getattr(self.verdict, field.name) for field in dataclasses.fields(self.verdict)
            },
            "log_evidence": self.log_evidence,
            "elbo": self.elbo,
            "stages": dict(self.stages),
            "density_evaluations": self.density_evaluations,
            "effective_draws": self.effective_draws,
            "dims": model.dims,
            "log_likelihood_left_out": model.left_out,
        }
        arrays = {"z": self.z, "log_weights": self.log_weights, "log_density": log_density}
        groups = {
            "draws": self.draws,
            "observed_data": model.observed_data,
            "log_likelihood": model.log_likelihood or {},
            "coords": model.coords,
        }
        for group, values in groups.items():
            arrays |= {f"{group}/{name}": value for name, value in values.items()}
        write(path, Stored(facts, arrays, self.q))

    def _target(self, method: str) -> Target:
        if self.target is None:
            if np.isnan(self._log_density).all():
                raise NoModelError(
                    f"`{method}` needs a density, and this posterior is of a simulator without one. More "
                    "draws: `amortized.sample(x, n)`; data: call the simulator with `posterior.draws`."
                )
            raise NoModelError(
                f"`{method}` needs the model's density, and this posterior was loaded without its model. "
                "Give that to load: `flowvi.load(path, target=flowvi.Target.from_numpyro(model, *args))`, or "
                "`from_pymc`, `from_stan`, `from_log_density`."
            )
        return self.target

    def _loaded_record(self) -> ModelRecord:
        return self._saved or ModelRecord({}, {}, "", {}, {})


def _of_chains(
    density: Density, proposal: Proposal, z: Float[np.ndarray, "draws dim"], rng: np.random.Generator, n: int
) -> Float[np.ndarray, "n dim"]:
    """n draws by Markov chains that begin at draws of the posterior."""
    starts = z[rng.choice(len(z), CHAINS, replace=len(z) < CHAINS)]
    gaussian = isinstance(proposal.parts()[0].bijection(), TriangularAffine)
    *_, chains = run_chains(density, proposal, starts, "nuts" if gaussian else "hmc", rng, n)
    if not chains.mixed:
        raise SamplingError(
            f"The Markov chains did not mix this time: R-hat = {chains.mixing.worst_rhat:.3f}. Try another "
            f"seed, or fit again with draws={n}."
        )
    return thinned(chains, n)[0].reshape(-1, z.shape[1])[-n:]


@kept_programs()
@double_precision
def load(path: str | os.PathLike, target: Any = None) -> Posterior:
    """A posterior that was saved; nothing in its files is executed.

    Args:
        path: the directory.
        target: the model it was fitted to, a `flowvi.Target`, a `pymc.Model` or a `flowvi.StanModel`; only
            `sample`, `constrain`, `unconstrain` and `predictive` need it.

    Raises:
        SaveError: there is no posterior in the directory, or it is damaged, or of another version.
        ModelError: the model given has other parameters or data, or is a function that needs arguments.

    Example:
        >>> posterior = flowvi.load("run", target=flowvi.Target.from_numpyro(model, y, sigma))
        >>> posterior.sample(100)["tau"].shape
        (100,)
    """
    stored = read(path)
    with damage_as_error(path):
        facts = stored.facts
        groups: dict[str, dict[str, np.ndarray]] = {
            "draws": {},
            "observed_data": {},
            "log_likelihood": {},
            "coords": {},
        }
        for key, array in stored.arrays.items():
            group, slash, name = key.partition("/")
            if slash:
                groups[group][name] = array
        left_out = facts["log_likelihood_left_out"]
        posterior = Posterior(
            target=None,
            q=stored.q,
            z=stored.arrays["z"],
            draws=groups["draws"],
            log_weights=stored.arrays["log_weights"],
            verdict=Verdict(**{**facts["verdict"], "reasons": tuple(facts["verdict"]["reasons"])}),
            log_evidence=None if facts["log_evidence"] is None else Estimate(*facts["log_evidence"]),
            elbo=Estimate(*facts["elbo"]),
            stages=facts["stages"],
            density_evaluations=facts["density_evaluations"],
            effective_draws=facts["effective_draws"],
            coordinates=tuple(facts["coordinates"]),
            _saved=ModelRecord(
                groups["observed_data"],
                None if left_out else groups["log_likelihood"],
                left_out,
                {name: tuple(dims) for name, dims in facts["dims"].items()},
                groups["coords"],
            ),
            _log_density=stored.arrays["log_density"],
        )
        _check_whole(posterior)
    return posterior if target is None else _with_target(posterior, target)


def _with_target(posterior: Posterior, model: Any) -> Posterior:
    from flowvi.targets.of_model import target_of

    _require_no_arguments(model)
    target = target_of(model, (), {})
    if target.coordinates != posterior.coordinates:
        raise ModelError(
            f"The model given has the coordinates {_some(target.coordinates)}; the posterior was fitted to "
            f"one with {_some(posterior.coordinates)}. Give the model of the fit, with its arguments."
        )
    saved = posterior._log_density
    found = _log_density_at(target, posterior.z[:CHECKED])
    if not np.allclose(found, saved, rtol=1e-6, atol=1e-6, equal_nan=True):
        raise ModelError(
            f"The model given has the log density {found[0]:.8g} at the posterior's first draw; that of the "
            f"fit had {saved[0]:.8g}. Its parameters are the same, but its data or priors are not: give the "
            "model of the fit, with the same data."
        )
    return dataclasses.replace(posterior, target=target)


def _require_no_arguments(model: Any) -> None:
    """Raise where a bare function is given in place of a target, and cannot be called so."""
    if not callable(model):
        return
    try:
        inspect.signature(model).bind()
    except TypeError as error:
        raise ModelError(
            f"`target=` is a function that cannot be called as it is: {error}. Give it with its arguments: "
            "flowvi.Target.from_numpyro(model, *args, **kwargs), or, for a JAX log density, "
            "flowvi.Target.from_log_density(log_density, example, supports)."
        ) from None
    except ValueError:
        # no signature to look at
        return


def _log_density_at(target: Target, z: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, " n"]:
    with display(progress=False) as silent:
        return Density(target, Ledger(Budget(), silent)).value(z)


def _check_whole(posterior: Posterior) -> None:
    """Raise ValueError where parts do not belong together."""
    n, dim = posterior.z.shape
    lengths = {len(posterior.log_weights), *(len(values) for values in posterior.draws.values())}
    if len(posterior._log_density) != min(n, CHECKED):
        raise ValueError(f"{len(posterior._log_density)} values of the log density do not fit {n} points")
    if lengths != {n} or len(posterior.coordinates) != dim or posterior.q.dim != dim:
        raise ValueError(f"{n} points of dim {dim} do not fit the draws, the flow or the coordinates")


def _float64(draws: Draws) -> Draws:
    return {name: np.asarray(values, np.float64) for name, values in draws.items()}


def _some(labels: tuple[str, ...]) -> str:
    shown = ", ".join(labels[:6])
    return shown if len(labels) <= 6 else f"{shown} and {len(labels) - 6} more"
