"""Plain JAX log densities as targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from flowvi.bijections import Bijection, Identity, SupportTree, support
from flowvi.errors import CannotSimulateError, DataError, ModelError, SupportError
from flowvi.memory import batch_map
from flowvi.precision import double_precision
from flowvi.targets.arguments import Arguments, require_callable_with, trace_with
from flowvi.targets.base import Draws, Target
from flowvi.targets.inside import require_inside
from flowvi.targets.labels import labels


@final
class JaxTarget(Target):
    """The density proportional to exp(log_density(params, *args, **kwargs)) of a pytree of parameters.

    `log_density` takes the parameters on their own scale and leaves Jacobians out; log |det| of the
    supports is added here. Draws are named by the paths of the tree's leaves, joined by "/"; a tree that
    is a single array is named "x".

    Example:
        >>> import jax.numpy as jnp
        >>> target = Target.from_log_density(
        ...     lambda p: -jnp.log(p["tau"]) ** 2, example={"tau": 1.0}, supports={"tau": "positive"}
        ... )
        >>> target.coordinates
        ('tau',)
    """

    dim: int = eqx.field(static=True)
    coordinates: tuple[str, ...] = eqx.field(static=True)
    improper: tuple[str, ...] = eqx.field(static=True)
    function: Callable = eqx.field(static=True)
    names: tuple[str, ...] = eqx.field(static=True)
    supports: SupportTree
    given: Arguments

    @staticmethod
    @double_precision
    def build(
        log_density: Callable,
        example: PyTree,
        supports: Mapping[str, Any] | None = None,
        args: tuple = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> JaxTarget:
        """Describe the parameters by an example, which gives shapes only, never values.

        Raises:
            ModelError: the example has no parameters, one of integers, or two of the same name, or the
                function takes other arguments.
            SupportError: a support names no parameter, is unknown, or does not fit.
            DensityError: the function does not return a scalar (see `flowvi.inference.preflight`).
        """
        require_callable_with(
            log_density, (example, *args), kwargs or {}, "It is called with the parameters, then the data."
        )
        leaves, structure = jax.tree.flatten_with_path(example)
        if not leaves:
            raise ModelError(
                "`example` has no parameters. Give a pytree of arrays with the parameters' shapes."
            )
        names = tuple(_name(path) for path, _ in leaves)
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ModelError(
                f"`example` has more than one parameter named {', '.join(map(repr, twice))}, since names are "
                "the keys on the way joined by '/'. Rename the key that holds a '/'."
            )
        supports = dict(supports or {})
        unknown = [name for name in supports if name not in names]
        if unknown:
            raise SupportError(
                f"`supports` names {unknown}, but the parameters in `example` are {list(names)}."
            )
        each = [
            _support(name, leaf, supports.get(name, "real"))
            for name, (_, leaf) in zip(names, leaves, strict=True)
        ]
        tree = SupportTree(jax.tree.unflatten(structure, each))
        given, _ = trace_with(
            Arguments.split(args, kwargs or {}),
            lambda given: eqx.filter_eval_shape(_evaluate, log_density, tree, given, jnp.zeros(tree.dim)),
        )
        return JaxTarget(
            dim=tree.dim,
            coordinates=tuple(
                label for name, b in zip(names, each, strict=True) for label in labels(name, b.shape)
            ),
            improper=(),
            function=log_density,
            names=names,
            supports=tree,
            given=given,
        )

    def log_density(self, z: Float[Array, " dim"]) -> Any:
        """log_density(params) + log |det d params / dz|; no scalar is reported where it is used."""
        return _evaluate(self.function, self.supports, self.given, z)

    def explain(self, z: Float[np.ndarray, " dim"]) -> str:
        """Empty: a log density is only a number."""
        return ""

    @double_precision
    def constrain(self, z: Float[np.ndarray, "n dim"], seed: int = 0) -> Draws:
        """The parameters at unconstrained points (n, dim), by name; `seed` has no effect."""
        leaves = jax.tree.leaves(_constrain(self.supports, jnp.asarray(z)))
        return {name: np.asarray(leaf, np.float64) for name, leaf in zip(self.names, leaves, strict=True)}

    @double_precision
    def unconstrain(self, parameters: Mapping[str, Any]) -> Float[np.ndarray, " dim"]:
        """The unconstrained point of one value for every parameter, by name.

        Raises:
            DataError: a parameter is missing or has the wrong shape.
            SupportError: a value lies outside its support.
        """
        missing = [name for name in self.names if name not in parameters]
        if missing:
            raise DataError(f"No value for {missing}; the parameters are {list(self.names)}.")
        structure = jax.tree.structure(self.supports.supports, is_leaf=_is_support)
        given = [np.asarray(parameters[name], float) for name in self.names]
        shapes = [b.out_shape for b in jax.tree.leaves(self.supports.supports, is_leaf=_is_support)]
        for name, value, shape in zip(self.names, given, shapes, strict=True):
            if value.shape != shape:
                raise DataError(f"Parameter '{name}' has shape {value.shape}; the model's is {shape}.")
        z = np.asarray(
            self.supports.inverse_and_log_det(jax.tree.unflatten(structure, list(map(jnp.asarray, given))))[0]
        )
        require_inside(self, z, dict(zip(self.names, given, strict=True)))
        return z

    @double_precision
    def unconstrain_rows(self, draws: Draws) -> tuple[Float[np.ndarray, "n dim"], Float[np.ndarray, " n"]]:
        """See `Target.unconstrain_rows`.

        Raises:
            DataError: a parameter is missing or has the wrong shape.
        """
        leaves = jax.tree.leaves(self.supports.supports, is_leaf=_is_support)
        for name, bijection in zip(self.names, leaves, strict=True):
            if name not in draws or np.shape(draws[name])[1:] != bijection.out_shape:
                given = f"shape {np.shape(draws[name])[1:]}" if name in draws else "no value"
                raise DataError(f"Parameter '{name}' has shape {bijection.out_shape}, but was given {given}.")
        structure = jax.tree.structure(self.supports.supports, is_leaf=_is_support)
        given = [jnp.asarray(draws[name], float) for name in self.names]
        z, log_det = _unconstrain_rows(self.supports, jax.tree.unflatten(structure, given))
        return np.asarray(z), -np.asarray(log_det)

    def predictive(self, draws: Draws, seed: int, args: tuple, kwargs: Mapping[str, Any]) -> Draws:
        """Always an error: a log density cannot simulate."""
        raise CannotSimulateError(
            "A log density cannot simulate data. Bring a NumPyro, PyMC or Stan model to draw its observed "
            "sites."
        )

    def log_likelihood(self, draws: Draws) -> Draws:
        """Empty: the density is one number."""
        return {}

    def observed_data(self) -> dict[str, np.ndarray]:
        """Empty: the density does not say what was observed."""
        return {}

    def dims(self) -> dict[str, tuple[str, ...]]:
        """Empty."""
        return {}

    def coords(self) -> dict[str, np.ndarray]:
        """Empty."""
        return {}


def _evaluate(function: Callable, supports: SupportTree, given: Arguments, z: Array) -> Any:
    params, log_det = supports.forward_and_log_det(z)
    args, kwargs = given.join()
    value = function(params, *args, **kwargs)
    # a function may return anything
    return jnp.asarray(value) + log_det if isinstance(value, float | int | jax.Array | np.ndarray) else value


def _is_support(node: Any) -> bool:
    return isinstance(node, Bijection)


@eqx.filter_jit
def _constrain(supports: SupportTree, z: Float[Array, "n dim"]) -> PyTree:
    return batch_map(lambda one: supports.forward_and_log_det(one)[0], z)


@eqx.filter_jit
def _unconstrain_rows(supports: SupportTree, parameters: PyTree) -> tuple[Array, Array]:
    return batch_map(supports.inverse_and_log_det, parameters)


def _support(name: str, leaf: Any, spec: Any) -> Bijection:
    # a jax.ShapeDtypeStruct is as good an example as an array
    array = leaf if hasattr(leaf, "shape") and hasattr(leaf, "dtype") else np.asarray(leaf)
    if not jnp.issubdtype(array.dtype, jnp.floating) and not isinstance(leaf, int):
        raise ModelError(
            f"Parameter '{name}' in `example` is of type {array.dtype}; flows need continuous parameters. "
            "Give floats, or sum a discrete parameter out of the density."
        )
    try:
        return Identity(array.shape) if spec == "real" else support(spec, array.shape)
    except SupportError as error:
        raise SupportError(f"Parameter '{name}' of shape {array.shape}: {error}") from error


def _name(path: tuple) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/") or "x"
