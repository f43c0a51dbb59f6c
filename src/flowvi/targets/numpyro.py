"""NumPyro models as targets."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from math import prod
from typing import Any, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from flowvi.errors import DataError, DependencyError, ModelError
from flowvi.memory import batch_map
from flowvi.precision import double_precision
from flowvi.targets.arguments import Arguments, overlay, require_callable_with, trace_with
from flowvi.targets.base import Draws, Target
from flowvi.targets.inside import require_inside
from flowvi.targets.labels import labels
from flowvi.targets.prior import require_proper_prior

try:
    from numpyro import handlers
    from numpyro.distributions import ImproperUniform, Unit, biject_to
    from numpyro.infer import Predictive, log_likelihood
    from numpyro.infer.util import constrain_fn, potential_energy

    from flowvi.targets._enumeration import first_free_dim, is_enumerated, summed_log_density, with_discrete
    from flowvi.targets._numpyro_prior import Unobserved, draw_prior, replica
except ImportError as error:
    raise DependencyError("NumPyro models need NumPyro: pip install 'flowvi[numpyro]'.") from error


class _Site(eqx.Module):
    """What tracing tells of a latent site."""

    name: str
    shape: tuple[int, ...]
    unconstrained_shape: tuple[int, ...]


class _Enumeration(NamedTuple):
    """Discrete sites that are summed out, and the first axis left of all plates."""

    first_dim: int
    names: tuple[str, ...]


@final
class NumpyroTarget(Target):
    """The posterior of a NumPyro model given its arguments.

    Arrays and floats among the arguments are traced, so that new data of the same shapes compile nothing;
    ints, strings and everything else are static. A model that needs the values of its data while it is
    traced gets them as constants. Draws are constrained by replaying the model, so supports may depend on
    other parameters.

    Example:
        >>> import numpyro, numpyro.distributions as dist
        >>> def model(y):
        ...     mu = numpyro.sample("mu", dist.Normal(0, 1))
        ...     numpyro.sample("y", dist.Normal(mu, 1), obs=y)
        >>> Target.from_numpyro(model, np.array([0.3, 1.2])).coordinates
        ('mu',)
    """

    dim: int = eqx.field(static=True)
    coordinates: tuple[str, ...] = eqx.field(static=True)
    improper: tuple[str, ...] = eqx.field(static=True)
    model: Callable = eqx.field(static=True)
    sites: tuple[_Site, ...] = eqx.field(static=True)
    enumeration: _Enumeration | None = eqx.field(static=True)
    given: Arguments

    @staticmethod
    @double_precision
    def build(model: Callable, args: tuple = (), kwargs: Mapping[str, Any] | None = None) -> NumpyroTarget:
        """Trace the model abstractly and describe its latent sites.

        Raises:
            ModelError: the model has no parameters, a discrete latent that is not enumerated, a subsampling
                plate or `numpyro.param` sites, or takes other arguments.
            DataError: an argument is an array that is not numeric.
        """
        require_callable_with(
            model,
            args,
            kwargs or {},
            "Data follow the model: flowvi.fit(model, *data). A JAX log density needs `example=` as well.",
        )
        given, (sites, improper, enumeration) = trace_with(
            Arguments.split(args, kwargs or {}), lambda given: _latent_sites(model, given)
        )
        if not sites:
            raise ModelError(
                f"The NumPyro model {_name(model)} has no parameters: every `numpyro.sample` site is "
                f"observed. "
                "Nothing is left to infer."
            )
        return NumpyroTarget(
            dim=sum(prod(s.unconstrained_shape) for s in sites),
            coordinates=tuple(label for s in sites for label in labels(s.name, s.unconstrained_shape)),
            improper=improper,
            model=model,
            sites=sites,
            enumeration=enumeration,
            given=given,
        )

    def log_density(self, z: Float[Array, " dim"]) -> Float[Array, ""]:
        """log p(parameters, data) + log |det d parameters / dz|, by NumPyro's own replay of the model."""
        args, kwargs = self.given.join()
        if self.enumeration is not None:
            first_dim = self.enumeration.first_dim
            return summed_log_density(self.model, first_dim, args, kwargs, self._unravel(z))
        return jnp.negative(potential_energy(self.model, args, kwargs, self._unravel(z)))

    def explain(self, z: Float[np.ndarray, " dim"]) -> str:
        """Empty: NumPyro raises nothing while it is traced."""
        return ""

    @double_precision
    def constrain(self, z: Float[np.ndarray, "n dim"], seed: int = 0) -> Draws:
        """Latent and deterministic sites at unconstrained points (n, dim); enumerated sites are drawn, by
        `seed`, given the others and the data."""
        if self.enumeration is None:
            return _float64(_constrain(self, jnp.asarray(z)))
        keys = jax.random.split(jax.random.key(seed), len(z))
        return _float64(_constrain_and_draw(self, self.enumeration, jnp.asarray(z), keys))

    @double_precision
    def unconstrain(self, parameters: Mapping[str, Any]) -> Float[np.ndarray, " dim"]:
        """The unconstrained point of one value for every latent site.

        Raises:
            DataError: a site is missing or has the wrong shape.
            SupportError: a value lies outside the support of its site.
        """
        for site in self.sites:
            if site.name not in parameters:
                raise DataError(
                    f"No value for parameter '{site.name}'; the model's are {[s.name for s in self.sites]}."
                )
            if np.shape(parameters[site.name]) != site.shape:
                raise DataError(
                    f"Parameter '{site.name}' has shape {np.shape(parameters[site.name])}; the model's is "
                    f"{site.shape}."
                )
        values = {s.name: np.asarray(parameters[s.name], float) for s in self.sites}
        z = np.asarray(_unconstrain(self, {name: jnp.asarray(value) for name, value in values.items()}))
        require_inside(self, z, values)
        return z

    @double_precision
    def predictive(self, draws: Draws, seed: int, args: tuple, kwargs: Mapping[str, Any]) -> Draws:
        """Draws of the observed sites, with the model's own arguments where no new ones are given.

        Raises:
            DataError: the model takes no such arguments.
        """
        args, kwargs = overlay(self.model, self.given.join(), (args, kwargs))
        observed = list(self.observed_data())
        predictive = Predictive(
            Unobserved(self.model), posterior_samples=self._latents(draws), return_sites=observed
        )
        out = predictive(jax.random.key(seed), *args, **kwargs)
        return {name: np.asarray(out[name]) for name in observed}

    @double_precision
    def simulate(self, seed: int) -> tuple[dict[str, np.ndarray], Target]:
        """Latent and deterministic sites drawn from the prior, and the posterior given observed sites drawn
        with them; what else the model does with its data is done with those it was called with.

        Raises:
            CannotSimulateError: the prior is improper, nothing is observed, or the model has factors.
        """
        require_proper_prior(self)
        parameters, observed = draw_prior(self.model, self.given, jax.random.key(seed))
        model, given = replica(self.model, self.given, observed)
        return _float64(parameters), dataclasses.replace(self, model=model, given=given)

    @double_precision
    def prior_predictive(self, seed: int, n: int) -> tuple[Draws, Draws]:
        """Latent, deterministic and observed sites drawn together, n times.

        Raises:
            CannotSimulateError: the prior is improper, nothing is observed, or the model has factors.
        """
        require_proper_prior(self)
        keys = jax.random.split(jax.random.key(seed), n)
        parameters, observed = _draw_prior_rows(self.model, self.given, keys)
        return _float64(parameters), _float64(observed)

    @double_precision
    def with_observed(self, observed: Mapping[str, Any]) -> Target:
        """The posterior given other values of observed sites; what else the model does with its data is done
        with those it was called with."""
        model, given = replica(self.model, self.given, {k: jnp.asarray(v) for k, v in observed.items()})
        return dataclasses.replace(self, model=model, given=given)

    @double_precision
    def unconstrain_rows(self, draws: Draws) -> tuple[Float[np.ndarray, "n dim"], Float[np.ndarray, " n"]]:
        """See `Target.unconstrain_rows`.

        Raises:
            DataError: a site is missing or has the wrong shape.
        """
        for site in self.sites:
            if site.name not in draws or np.shape(draws[site.name])[1:] != site.shape:
                given = np.shape(draws[site.name])[1:] if site.name in draws else "none"
                raise DataError(
                    f"Parameter '{site.name}' has shape {site.shape} in the model; the values given have "
                    f"shape {given}."
                )
        z, log_det = _unconstrain_rows(self, self._latents(draws))
        return np.asarray(z), np.asarray(log_det)

    @double_precision
    def log_likelihood(self, draws: Draws) -> Draws:
        """Pointwise log likelihood of each observed site; `numpyro.factor` terms have none, nor have models
        with enumerated sites, over which a point's likelihood would be a sum."""
        if self.enumeration is not None:
            return {}
        args, kwargs = self.given.join()
        out = log_likelihood(self.model, self._latents(draws), *args, parallel=False, **kwargs)
        return {name: np.asarray(out[name]) for name in self.observed_data()}

    @double_precision
    def observed_data(self) -> dict[str, np.ndarray]:
        """The observed values, by site."""
        return {name: np.asarray(value) for name, value in _observed(self).items()}

    @double_precision
    def dims(self) -> dict[str, tuple[str, ...]]:
        """Plate names along the axes that are plates, of sampled and deterministic sites; other axes keep
        ArviZ's default name."""
        named = {}
        for name, site in _described(self).items():
            plates = {frame.dim: frame for frame in site.get("cond_indep_stack", ())}
            if not plates or site["type"] not in ("sample", "deterministic"):
                continue
            if site["type"] == "deterministic":
                shape = np.shape(site["value"])
                # a deterministic does not tell: all its axes to the right of the plates' are its own
                event_ndim = max(0, len(shape) + min(plates))
            elif isinstance(site["fn"], Unit):
                continue
            else:
                shape, event_ndim = site["fn"].shape(), site["fn"].event_dim
            axes = {dim - event_ndim: frame for dim, frame in plates.items()}
            named[name] = tuple(
                axes[axis - len(shape)].name
                if axis - len(shape) in axes and axes[axis - len(shape)].size == length
                else f"{name}_dim_{axis}"
                for axis, length in enumerate(shape)
            )
        return named

    @double_precision
    def coords(self) -> dict[str, np.ndarray]:
        """Indices along each plate."""
        return {
            name: np.arange(site["args"][0])
            for name, site in _described(self).items()
            if site["type"] == "plate"
        }

    def _unravel(self, z: Float[Array, " dim"]) -> dict[str, Array]:
        ends = np.cumsum([prod(s.unconstrained_shape) for s in self.sites])
        parts = jnp.split(z, ends[:-1])
        return {s.name: p.reshape(s.unconstrained_shape) for s, p in zip(self.sites, parts, strict=True)}

    def _latents(self, draws: Draws) -> dict[str, Array]:
        return {s.name: jnp.asarray(draws[s.name]) for s in self.sites}


def _float64(draws: dict[str, Array]) -> Draws:
    return {name: np.asarray(value, np.float64) for name, value in draws.items()}


@eqx.filter_jit
def _constrain(target: NumpyroTarget, z: Float[Array, "n dim"]) -> dict[str, Array]:
    args, kwargs = target.given.join()
    replay = partial(constrain_fn, target.model, args, kwargs, return_deterministic=True)
    return batch_map(lambda one: replay(target._unravel(one)), z)


@eqx.filter_jit
def _constrain_and_draw(
    target: NumpyroTarget, enumeration: _Enumeration, z: Float[Array, "n dim"], keys: Array
) -> dict[str, Array]:
    args, kwargs = target.given.join()

    def one(z_and_key: tuple[Array, Array]) -> dict[str, Array]:
        z, key = z_and_key
        return with_discrete(target.model, *enumeration, target._unravel(z), key, args, kwargs)

    return batch_map(one, (z, keys))


@eqx.filter_jit
def _unconstrain(target: NumpyroTarget, parameters: dict[str, Array]) -> Float[Array, " dim"]:
    args, kwargs = target.given.join()
    model = handlers.substitute(handlers.seed(target.model, jax.random.key(0)), data=parameters)
    sites = handlers.trace(model).get_trace(*args, **kwargs)
    parts = [biject_to(sites[s.name]["fn"].support).inv(parameters[s.name]).ravel() for s in target.sites]
    return jnp.concatenate(parts)


@eqx.filter_jit
def _draw_prior_rows(
    model: Callable, given: Arguments, keys: Array
) -> tuple[dict[str, Array], dict[str, Array]]:
    return batch_map(lambda key: draw_prior(model, given, key), keys)


@eqx.filter_jit
def _unconstrain_rows(
    target: NumpyroTarget, latents: dict[str, Array]
) -> tuple[Float[Array, "n dim"], Float[Array, " n"]]:
    args, kwargs = target.given.join()

    def one(latents: dict[str, Array]) -> tuple[Array, Array]:
        model = handlers.substitute(handlers.seed(target.model, jax.random.key(0)), data=latents)
        sites = handlers.trace(model).get_trace(*args, **kwargs)
        parts, total = [], jnp.zeros(())
        for site in target.sites:
            bijection: Any = biject_to(sites[site.name]["fn"].support)
            x = bijection.inv(latents[site.name])
            total = total + jnp.sum(bijection.log_abs_det_jacobian(x, latents[site.name]))
            parts.append(x.ravel())
        return jnp.concatenate(parts), total

    return batch_map(one, latents)


def _latent_sites(
    model: Callable, given: Arguments
) -> tuple[tuple[_Site, ...], tuple[str, ...], _Enumeration | None]:
    """Names and shapes of the latent sites, which of them have improper priors, and which are to be summed
    out; nothing is computed."""
    found: list[_Site] = []
    improper: list[str] = []
    discrete: list[str] = []
    first_dim = -1

    def describe(given: Arguments) -> None:
        nonlocal first_dim
        args, kwargs = given.join()
        sites = _trace_inside_support(model, args, kwargs)
        first_dim = first_free_dim(sites)
        for name, site in sites.items():
            _check(model, name, site)
            if _is_discrete_latent(site):
                discrete.append(name)
            elif site["type"] == "sample" and not site["is_observed"]:
                shape = site["fn"].shape()
                found.append(_Site(name, shape, biject_to(site["fn"].support).inverse_shape(shape)))
                base = site["fn"]
                while hasattr(base, "base_dist"):
                    base = base.base_dist
                if isinstance(base, ImproperUniform):
                    improper.append(name)

    eqx.filter_eval_shape(describe, given)
    return tuple(found), tuple(improper), _Enumeration(first_dim, tuple(discrete)) if discrete else None


def _is_discrete_latent(site: Mapping[str, Any]) -> bool:
    return site["type"] == "sample" and not site["is_observed"] and site["fn"].support.is_discrete


def _trace_inside_support(model: Callable, args: tuple, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The model's sites with every latent at the image of zero: improper priors cannot be sampled from."""

    def inside(site: dict[str, Any]) -> Array | None:
        if site["type"] != "sample" or site["is_observed"] or site["fn"].support.is_discrete:
            return None
        bijection = biject_to(site["fn"].support)
        return bijection(jnp.zeros(bijection.inverse_shape(site["fn"].shape())))

    seeded = handlers.seed(handlers.substitute(model, substitute_fn=inside), jax.random.key(0))
    return handlers.trace(seeded).get_trace(*args, **kwargs)


def _check(model: Callable, name: str, site: dict[str, Any]) -> None:
    if site["type"] == "param":
        raise ModelError(
            f"'{name}' in {_name(model)} is a `numpyro.param`, which has no prior. Give it one with "
            f"`numpyro.sample`."
        )
    if site["type"] == "plate" and site["args"][1] is not None and site["args"][1] < site["args"][0]:
        raise ModelError(
            f"Plate '{name}' in {_name(model)} subsamples {site['args'][1]} of {site['args'][0]} rows; "
            f"mini-batches are not "
            "supported. Remove `subsample_size`: gradients are evaluated in chunks that fit in memory."
        )
    if _is_discrete_latent(site) and not is_enumerated(site):
        raise ModelError(
            f"Parameter '{name}' in {_name(model)} is discrete ({type(site['fn']).__name__}); flows need "
            f"continuous "
            "parameters. Where it has finitely many values, mark it to be summed out, with "
            'infer={"enumerate": "parallel"}; or sum it out in the model, for example with '
            "`dist.MixtureSameFamily` or a `numpyro.factor` of its log-sum-exp."
        )


@eqx.filter_jit
def _observed(target: NumpyroTarget) -> dict[str, Array]:
    return {
        name: jnp.asarray(site["value"])
        for name, site in _sites(target).items()
        if site["type"] == "sample" and site["is_observed"] and not isinstance(site["fn"], Unit)
    }


def _sites(target: NumpyroTarget) -> dict[str, Any]:
    args, kwargs = target.given.join()
    return _trace_inside_support(target.model, args, kwargs)


def _described(target: NumpyroTarget) -> dict[str, Any]:
    """The sites with shapes and plates and no values; nothing is computed."""
    sites: dict[str, Any] = {}
    eqx.filter_eval_shape(lambda target: sites.update(_sites(target)), target)
    return sites


def _name(model: Callable) -> str:
    return getattr(model, "__name__", type(model).__name__)
