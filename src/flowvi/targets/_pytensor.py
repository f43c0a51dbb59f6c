"""From a PyTensor graph to a JAX function whose data are arguments."""

from __future__ import annotations

import functools
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from flowvi.errors import DependencyError, ModelError
from flowvi.memory import batch_map

# An `enable_x64` context hides the process-wide flag from its own thread only: a fresh thread reads the flag.
with ThreadPoolExecutor(1) as _pool:
    _x64_before = _pool.submit(lambda: jax.config.values["jax_enable_x64"]).result()
try:
    import pymc as pm
    import pytensor.link.jax.dispatch
    import pytensor.tensor
    from pymc.data import MinibatchOp
    from pymc.distributions.multivariate import PosDefMatrix
    from pymc.logprob.utils import CheckParameterValue
    from pymc.variational.minibatch_rv import MinibatchRandomVariable
    from pytensor.compile.function import function as compile_function
    from pytensor.compile.mode import JAX
    from pytensor.compile.sharedvalue import SharedVariable, shared
    from pytensor.graph.basic import Constant
    from pytensor.graph.fg import FunctionGraph
    from pytensor.graph.replace import clone_replace
    from pytensor.graph.traversal import ancestors, graph_inputs, toposort
    from pytensor.link.jax.dispatch.basic import jax_funcify
    from pytensor.raise_op import CheckAndRaise
    from pytensor.scalar.math import Erfcx
    from pytensor.scan.op import Scan
    from pytensor.tensor.blockwise import Blockwise
    from pytensor.tensor.elemwise import CAReduce, DimShuffle, Elemwise
    from pytensor.tensor.random.op import RandomVariable
    from pytensor.tensor.random.type import RandomType
    from pytensor.tensor.subtensor import AdvancedSubtensor, AdvancedSubtensor1, IncSubtensor, Subtensor
    from pytensor.tensor.type import TensorType
except ImportError as error:
    raise DependencyError(
        f"A PyMC model needs PyMC and PyTensor ({error}). Install them with `pip install 'flowvi[pymc]'`."
    ) from error
finally:
    # PyTensor's JAX backend turns double precision on for the whole process when it is imported.
    jax.config.update("jax_enable_x64", _x64_before)

# The guarded imports are used from here by the rest of the front end.
__all__ = [
    "MinibatchOp",
    "MinibatchRandomVariable",
    "Program",
    "RandomType",
    "RandomVariable",
    "SharedVariable",
    "ancestors",
    "clone_replace",
    "evaluate",
    "graph_inputs",
    "map_rows",
    "pm",
    "shared",
    "to_jax",
    "toposort",
    "with_values",
]

pt: Any = pytensor.tensor  # its type information leaves out most of its functions

_WIDE = {"f": "float64", "i": "int64", "u": "int64"}
_INDEXING = (AdvancedSubtensor, AdvancedSubtensor1, Subtensor)
_TRACES_INTEGERS = (Elemwise, DimShuffle, CAReduce, Blockwise, Scan, *_INDEXING)


@jax_funcify.register(Erfcx)
def _erfcx(op: Erfcx, **kwargs: Any) -> Any:
    """The scaled complementary error function, of truncated normals; PyTensor's own needs TensorFlow."""

    def erfcx(x: Array) -> Array:
        # It overflows below -26, where a branch that is not taken would spoil the gradient.
        x = jnp.maximum(x, -20.0)
        return 2 * jnp.exp(jax.scipy.special.log_ndtr(-x * 2**0.5) + x**2)

    return erfcx


class Program:
    """A PyTensor graph as a JAX function, equal to every other program of the same structure.

    As a static argument of a jitted function it lets two models built by the same code share one compiled
    program, since their data are arguments and not part of the graph.

    Raises:
        ModelError: an operation has no JAX version, or needs values that are only known when it runs.
    """

    def __init__(self, inputs: Sequence[Any], outputs: Sequence[Any]):
        self._inputs, self._outputs = inputs, outputs
        self._key = _structure(inputs, outputs)
        self._hash = hash(self._key)
        self._function = _convert(self)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Program) and self._hash == other._hash and self._key == other._key

    def __call__(self, *arrays: Any) -> Sequence[Array]:
        return self._function(*arrays)


def to_jax(
    inputs: Sequence[Any],
    shapes: Sequence[tuple[int, ...]],
    outputs: Sequence[Any],
    shared: Mapping[Any, np.ndarray],
) -> tuple[Program, tuple[Array, ...]]:
    """A program of `(*inputs, *data)` that computes the outputs, and the data.

    Data are the shared variables (with the values given in `shared`) and the constant arrays of the graph.
    Scalar constants stay in the program, and so do integers and masks that JAX has to know, as in a shape.

    Raises:
        ModelError: see `Program`.
    """
    try:
        return _to_jax(inputs, shapes, outputs, shared, trace_integers=True)
    except ModelError:
        return _to_jax(inputs, shapes, outputs, shared, trace_integers=False)


def _to_jax(
    inputs: Sequence[Any],
    shapes: Sequence[tuple[int, ...]],
    outputs: Sequence[Any],
    shared: Mapping[Any, np.ndarray],
    trace_integers: bool,
) -> tuple[Program, tuple[Array, ...]]:
    new: dict[Any, Any] = {}
    for var, shape in zip(inputs, shapes, strict=True):
        new[var] = TensorType(var.type.dtype, shape)(name=var.name)
    arguments, data = list(new.values()), []
    nodes = list(toposort(outputs, blockers=inputs))
    clients: dict[Any, list[tuple[Any, int]]] = defaultdict(list)
    for node in nodes:
        for position, var in enumerate(node.inputs):
            clients[var].append((node.op, position))
    leaves: list[Any] = list(graph_inputs(outputs, blockers=inputs))
    for leaf in leaves:
        if isinstance(leaf.type, RandomType):
            raise ModelError(
                "A deterministic or the log density draws random numbers. Make every random variable a named "
                "one of the model, so that flowvi can infer it, or leave the deterministic out."
            )
        if leaf in new or not isinstance(leaf.type, TensorType):
            continue
        value = shared[leaf] if isinstance(leaf, SharedVariable) else leaf.data
        # A Scan insists on the types that its inner graph was built with.
        if value.dtype.kind in _WIDE and not any(isinstance(op, Scan) for op, _ in clients[leaf]):
            # PyTensor gives constants the narrowest type: 36 is an int8 and 36**2 overflows without a word.
            value = value.astype(_WIDE[value.dtype.kind])
        if _is_traceable(leaf, value, clients[leaf], trace_integers):
            new[leaf] = TensorType(value.dtype, value.shape)(name=leaf.name)
            arguments.append(new[leaf])
            data.append(value)
        elif isinstance(leaf, SharedVariable) or value.dtype != leaf.type.dtype:
            new[leaf] = pt.constant(value, dtype=value.dtype)

    for node in nodes:
        replaced = [new.get(var, var) for var in node.inputs]
        if isinstance(node.op, Subtensor | IncSubtensor):
            # Their scalar indices keep the type that the operation was built with.
            for i, (a, b) in enumerate(zip(replaced, node.inputs, strict=True)):
                if b.type.ndim == 0 and a.type.dtype != b.type.dtype:
                    replaced[i] = b if isinstance(b, Constant) else pt.cast(a, b.type.dtype)
        if isinstance(node.op, CheckAndRaise):
            new[node.outputs[0]] = _without_exception(node.op, *replaced)
        elif isinstance(node.op, PosDefMatrix):
            # The density is NaN there anyway, which is reported by name and value.
            new[node.outputs[0]] = pt.constant(True)
        elif any(a is not b for a, b in zip(replaced, node.inputs, strict=True)):
            rebuilt = node.clone_with_new_inputs(replaced, strict=False)
            new.update(zip(node.outputs, rebuilt.outputs, strict=True))
    program = Program(arguments, [new.get(out, out) for out in outputs])
    with jax.enable_x64(True):
        return program, tuple(jnp.asarray(value) for value in data)


def map_rows(
    program_and_data: tuple[Program, tuple[Array, ...]], rows: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """The outputs of a program for every row of its inputs."""
    return [np.asarray(out) for out in _map_rows(*program_and_data, [jnp.asarray(row) for row in rows])]


@eqx.filter_jit
def _map_rows(program: Program, data: tuple[Array, ...], rows: Sequence[Array]) -> Sequence[Array]:
    return batch_map(lambda row: program(*row, *data), list(rows))


def evaluate(variables: Sequence[Any], shared: Mapping[Any, np.ndarray]) -> list[np.ndarray]:
    """Values that depend on data only."""
    # PyTensor's default mode compiles C for every new graph, which needs a compiler and takes seconds.
    return compile_function([], with_values(variables, shared), mode="FAST_COMPILE")()


def with_values(variables: Sequence[Any], shared: Mapping[Any, np.ndarray]) -> Any:
    """The variables as they are for these values of the shared variables."""
    known = {var: pt.constant(value, dtype=value.dtype) for var, value in shared.items()}
    return clone_replace(list(variables), known, rebuild_strict=False)


def _is_traceable(
    leaf: Any, value: np.ndarray, clients: Sequence[tuple[Any, int]], trace_integers: bool
) -> bool:
    if value.dtype.kind == "f":
        return isinstance(leaf, SharedVariable) or value.size > 1
    if not trace_integers or value.ndim == 0 or value.size < 2:
        return False
    return all(
        isinstance(op, _TRACES_INTEGERS)
        # What is sliced and has few entries may well be a shape, and an index of Subtensor is never traced.
        and not (isinstance(op, Subtensor) and (position > 0 or value.size < 10))
        and not (isinstance(op, AdvancedSubtensor) and position > 0 and value.dtype.kind == "b")
        for op, position in clients
    )


def _without_exception(op: CheckAndRaise, value: Any, *conditions: Any) -> Any:
    """A compiled program cannot raise: outside a parameter's domain the density is zero, as in PyMC."""
    if isinstance(op, CheckParameterValue) and op.can_be_replaced_by_ninf:
        return pt.switch(pt.all([pt.all(condition) for condition in conditions]), value, -np.inf)
    return value


def _structure(inputs: Sequence[Any], outputs: Sequence[Any]) -> tuple:
    index = {var: i for i, var in enumerate(inputs)}

    def reference(var: Any) -> Any:
        return var.signature() if isinstance(var, Constant) else index[var]

    applied = []
    for node in toposort(outputs, blockers=inputs):
        applied.append((node.op, tuple(reference(var) for var in node.inputs)))
        for out in node.outputs:
            index[out] = len(index)
    return tuple(var.type for var in inputs), tuple(applied), tuple(reference(out) for out in outputs)


@functools.lru_cache(maxsize=64)
def _convert(program: Program) -> Any:
    # Rewriting works in place, inside scans as well: the copy keeps the user's model and the key intact.
    graph = FunctionGraph(program._inputs, program._outputs, clone=True).clone(clone_inner_graphs=True)
    rewrite: Any = JAX.optimizer
    arguments = [jax.ShapeDtypeStruct(var.type.shape, var.type.dtype) for var in program._inputs]
    try:
        with jax.enable_x64(True), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rewrite(graph)
            function = jax_funcify(graph)
            jax.eval_shape(function, *arguments)
    except NotImplementedError as error:
        raise ModelError(
            f"The model cannot be translated to JAX: {error}. Replace that operation by one that PyTensor's "
            "JAX backend knows, or give flowvi a JAX function with `example=`."
        ) from error
    except (TypeError, ValueError, IndexError) as error:
        raise ModelError(
            "The model cannot be compiled by JAX, which needs every shape beforehand: make shapes and masks "
            f"constants instead of results of a computation ({error})."
        ) from error
    return function
