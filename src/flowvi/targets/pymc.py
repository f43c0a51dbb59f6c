"""A PyMC model as a target, through PyTensor's JAX backend."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, cast

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float

from flowvi.errors import DataError, ModelError
from flowvi.precision import double_precision
from flowvi.targets._pymc_predictive import new_data, simulate, sized_by_parameters
from flowvi.targets._pymc_prior import Sampler, prior_sampler, with_observed
from flowvi.targets._pytensor import (
    MinibatchOp,
    MinibatchRandomVariable,
    Program,
    RandomType,
    SharedVariable,
    ancestors,
    evaluate,
    graph_inputs,
    map_rows,
    pm,
    to_jax,
)
from flowvi.targets.base import Draws, Target
from flowvi.targets.inside import require_inside
from flowvi.targets.labels import labels
from flowvi.targets.prior import require_proper_prior

Shapes = tuple[tuple[int, ...], ...]


class _Source:
    """The PyMC model, its data when the target was built, and the programs that only some users need.

    All sources are equal: what a compiled function of a target depends on is in its other fields.
    """

    def __init__(self, model: pm.Model, shapes: Mapping[str, tuple[int, ...]]):
        self.model = model
        self.free = list(model.free_RVs)
        self.values = [model.rvs_to_values[rv] for rv in self.free]
        self.shapes: Shapes = tuple(shapes[rv.name] for rv in self.free)
        self.value_shapes: Shapes = tuple(shapes[var.name] for var in self.values)
        variables = [*model.unobserved_RVs, *model.observed_RVs, *model.potentials]
        variables += model.rvs_to_values.values()
        # Copied, so that a later `pm.set_data` does not reach into a target that was already fitted.
        self.shared: dict[Any, np.ndarray] = {
            var: np.array(var.get_value())
            for var in graph_inputs(variables)
            if isinstance(var, SharedVariable) and not isinstance(var.type, RandomType)
        }
        self.observed_names = [rv.name for rv in model.observed_RVs]
        observed = evaluate([model.rvs_to_values[rv] for rv in model.observed_RVs], self.shared)
        self.observed = dict(zip(self.observed_names, map(np.asarray, observed), strict=True))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Source)

    def __hash__(self) -> int:
        return hash(_Source)

    def density(self) -> tuple[Program, tuple[Array, ...]]:
        return to_jax(self.values, self.value_shapes, [cast("Any", self.model.logp())], self.shared)

    @cached_property
    def constrained(self) -> tuple[Program, tuple[Array, ...]]:
        # Every draw goes through the transforms again: a bound may depend on another parameter.
        outputs = self.model.replace_rvs_by_values(self.model.unobserved_RVs)
        return to_jax(self.values, self.value_shapes, outputs, self.shared)

    @cached_property
    def unconstrained(self) -> tuple[Program, tuple[Array, ...]]:
        outputs = []
        for rv in self.free:
            transform = self.model.rvs_to_transforms[rv]
            outputs.append(rv if transform is None else transform.forward(rv, *rv.owner.inputs))
        return to_jax(self.free, self.shapes, outputs, self.shared)

    @cached_property
    def jacobian(self) -> tuple[Program, tuple[Array, ...]]:
        # PyMC adds the log determinants to the log density of each variable
        both = [cast("Any", self.model.logp(vars=self.free, jacobian=jacobian)) for jacobian in (True, False)]
        return to_jax(self.values, self.value_shapes, [both[0] - both[1]], self.shared)

    @cached_property
    def pointwise(self) -> tuple[Program, tuple[Array, ...]]:
        outputs = cast("list[Any]", self.model.logp(vars=self.model.observed_RVs, sum=False))
        return to_jax(self.values, self.value_shapes, outputs, self.shared)

    @cached_property
    def prior(self) -> Sampler:
        return prior_sampler(self.model, self.shared)

    def rows(self, draws: Mapping[str, Any]) -> list[np.ndarray]:
        """The free variables of the draws, each (n, *shape)."""
        missing = [rv.name for rv in self.free if rv.name not in draws]
        if missing:
            raise DataError(f"{', '.join(missing)} missing; the model needs {', '.join(self.names)}.")
        rows = [np.asarray(draws[name], np.float64) for name in self.names]
        for name, row, shape in zip(self.names, rows, self.shapes, strict=True):
            if row.shape[1:] != shape:
                raise DataError(f"{name} has shape {row.shape[1:]}; in the model it has shape {shape}.")
        return rows

    @property
    def names(self) -> list[str]:
        return [rv.name for rv in self.free]


class PymcTarget(Target):
    """The unnormalised posterior of a PyMC model over its value variables.

    Data (`pm.Data`, other shared variables and constant arrays) are array leaves, as they were when the
    target was built. Single numbers, as the 5 in `pm.Normal("mu", 0, 5)`, are part of the compiled program.

    ```python
    with pm.Model() as model:
        mu = pm.Normal("mu", 0, 5)
        pm.Normal("y", mu, 1, observed=[0.3, 1.2])
    target = PymcTarget.build(model)
    draws = target.constrain(np.zeros((10, target.dim)))
    ```
    """

    dim: int = eqx.field(static=True)
    coordinates: tuple[str, ...] = eqx.field(static=True)
    improper: tuple[str, ...] = eqx.field(static=True)
    data: tuple[Array, ...]
    _program: Program = eqx.field(static=True)
    _shapes: Shapes = eqx.field(static=True)
    _source: _Source = eqx.field(static=True)

    @staticmethod
    @double_precision
    def build(model: pm.Model) -> PymcTarget:
        """A target from a PyMC model.

        Raises:
            ModelError: not a PyMC model, no free variables, a discrete one, mini-batches, single precision,
                or an operation without a JAX version.

        ```python
        with pm.Model() as model:
            pm.Normal("mu", 0, 5)
        target = PymcTarget.build(model)
        ```
        """
        _check(model)
        # Not from `model.initial_point()`, which compiles.
        shapes = {name: tuple(map(int, shape)) for name, shape in model.eval_rv_shapes().items()}
        source = _Source(model, shapes)
        try:
            program, data = source.density()
        except NotImplementedError as error:
            raise ModelError(f"PyMC has no log density for a variable of the model: {error}") from error
        of_each = map(labels, source.names, source.value_shapes)
        coordinates = tuple(itertools.chain.from_iterable(of_each))
        flat = (type(pm.Flat.rv_op), type(pm.HalfFlat.rv_op))
        return PymcTarget(
            dim=len(coordinates),
            coordinates=coordinates,
            improper=tuple(rv.name for rv in source.free if isinstance(rv.owner.op, flat)),
            data=data,
            _program=program,
            _shapes=source.value_shapes,
            _source=source,
        )

    def log_density(self, z: Float[Array, " dim"]) -> Float[Array, ""]:
        (value,) = self._program(*_split(z, self._shapes), *self.data)
        return value

    def explain(self, z: Float[np.ndarray, " dim"]) -> str:
        return ""

    @double_precision
    def constrain(self, z: Float[np.ndarray, "n dim"], seed: int = 0) -> Draws:
        rows = _split(np.asarray(z, np.float64), self._shapes)
        names = [rv.name for rv in self._source.model.unobserved_RVs]
        return _named(names, map_rows(self._source.constrained, rows))

    @double_precision
    def unconstrain(self, parameters: Mapping[str, Any]) -> Float[np.ndarray, " dim"]:
        rows = self._source.rows({name: np.asarray(value)[None] for name, value in parameters.items()})
        z = np.concatenate([out.reshape(-1) for out in map_rows(self._source.unconstrained, rows)])
        values = zip(self._source.names, (row[0] for row in rows), strict=True)
        require_inside(self, z, dict(values))
        return z

    @double_precision
    def predictive(self, draws: Draws, seed: int, args: tuple, kwargs: Mapping[str, Any]) -> Draws:
        if args:
            raise DataError("New data for a PyMC model go by name: `x=new_x` for `pm.Data('x', ...)`.")
        source = self._source
        shared = new_data(source.model, source.shared, kwargs)
        observed = source.model.observed_RVs
        if kwargs:
            observed = [sized_by_parameters(rv, source.shared) for rv in observed]
        rows = source.rows(draws)
        try:
            simulated = simulate(source.free, source.shapes, rows, observed, shared, seed)
        except (TypeError, ValueError, ModelError) as error:
            raise DataError(
                f"The observed variables cannot be drawn with these data: {error}. Give new values for all "
                "data of a length that changes; parameters keep their shape."
            ) from error
        return _named(source.observed_names, simulated)

    @double_precision
    def simulate(self, seed: int) -> tuple[dict[str, np.ndarray], Target]:
        require_proper_prior(self)
        source = self._source
        names = [rv.name for rv in source.model.unobserved_RVs]
        drawn = source.prior(seed)
        observed = dict(zip(source.observed_names, drawn[len(names) :], strict=True))
        return _named(names, drawn[: len(names)]), self.with_data(observed)

    @double_precision
    def with_data(self, data: Mapping[str, Any]) -> PymcTarget:
        """The posterior of the model given other values of observed variables and of `pm.Data`, by name.

        Raises:
            DataError: the model has no data of that name, or of another type or number of dimensions.
        """
        source = self._source
        observed = {name: value for name, value in data.items() if name in source.observed_names}
        rest = {name: value for name, value in data.items() if name not in observed}
        values = new_data(source.model, source.shared, rest)
        return PymcTarget.build(with_observed(source.model, values, observed))

    @double_precision
    def prior_predictive(self, seed: int, n: int) -> tuple[Draws, Draws]:
        require_proper_prior(self)
        source = self._source
        names = [rv.name for rv in source.model.unobserved_RVs]
        seeds = np.random.SeedSequence(seed).generate_state(n, np.uint64)
        drawn = [np.stack(values) for values in zip(*(source.prior(int(s)) for s in seeds), strict=True)]
        parameters, observed = drawn[: len(names)], drawn[len(names) :]
        return _named(names, parameters), _named(source.observed_names, observed)

    @double_precision
    def with_observed(self, observed: Mapping[str, Any]) -> PymcTarget:
        dtypes = {rv.name: rv.dtype for rv in self._source.model.observed_RVs}
        return self.with_data({k: np.asarray(v).astype(dtypes.get(k, float)) for k, v in observed.items()})

    @double_precision
    def unconstrain_rows(self, draws: Draws) -> tuple[Float[np.ndarray, "n dim"], Float[np.ndarray, " n"]]:
        source = self._source
        rows = source.rows(draws)
        z = [out.reshape(len(out), -1) for out in map_rows(source.unconstrained, rows)]
        values = [row.reshape(-1, *shape) for row, shape in zip(z, self._shapes, strict=True)]
        (log_det,) = map_rows(source.jacobian, values)
        return np.concatenate(z, axis=1), log_det

    @double_precision
    def log_likelihood(self, draws: Draws) -> Draws:
        source = self._source
        if not source.observed:
            return {}
        rows = map_rows(source.unconstrained, source.rows(draws))
        return _named(source.observed_names, map_rows(source.pointwise, rows))

    def observed_data(self) -> dict[str, np.ndarray]:
        return dict(self._source.observed)

    def dims(self) -> dict[str, tuple[str, ...]]:
        model = self._source.model
        names = {rv.name for rv in (*model.unobserved_RVs, *model.observed_RVs)}
        return {
            name: tuple(f"{name}_dim_{i}" if dim is None else str(dim) for i, dim in enumerate(dims))
            for name, dims in model.named_vars_to_dims.items()
            if name in names
        }

    def coords(self) -> dict[str, np.ndarray]:
        coords = self._source.model.coords
        return {name: np.asarray(values) for name, values in coords.items() if values is not None}


def _named(names: Iterable[str], values: Iterable[np.ndarray]) -> Draws:
    return {name: np.asarray(value, np.float64) for name, value in zip(names, values, strict=True)}


def _split(z: Any, shapes: Shapes) -> list[Any]:
    """The parts of the last axis of z, in the shapes of the value variables."""
    ends = list(itertools.accumulate(math.prod(shape) for shape in shapes))
    return [
        z[..., start:end].reshape((*z.shape[:-1], *shape))
        for start, end, shape in zip([0, *ends], ends, shapes, strict=False)
    ]


def _check(model: Any) -> None:
    if not isinstance(model, pm.Model):
        raise ModelError(f"Expected a pymc.Model, got {type(model).__name__}.")
    if not model.free_RVs:
        raise ModelError("The model has no free variables, so there is nothing to infer; add a prior.")
    variables = [*model.basic_RVs, *model.potentials, *model.rvs_to_values.values()]
    minibatch = (MinibatchOp, MinibatchRandomVariable)
    if any(var.owner and isinstance(var.owner.op, minibatch) for var in ancestors(variables)):
        raise ModelError(
            "mini-batches are not supported yet; use the full data, without pm.Minibatch and total_size."
        )
    discrete = [rv.name for rv in model.free_RVs if rv.dtype in pm.discrete_types]
    if discrete:
        raise ModelError(
            f"The free variables {', '.join(discrete)} are discrete. Sum them out, for example with "
            "`pymc_extras.marginalize(model, [...])` or a mixture distribution."
        )
    single = [rv.name for rv in model.free_RVs if rv.dtype != "float64"]
    if single:
        raise ModelError(
            f"The free variables {', '.join(single)} are in single precision. Set "
            "`pytensor.config.floatX = 'float64'` before building the model."
        )
