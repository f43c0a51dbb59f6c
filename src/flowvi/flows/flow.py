"""A flow: a base distribution pushed through a bijection."""

import math
from collections.abc import Callable
from typing import Any, SupportsIndex

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from flowvi.bijections import Bijection
from flowvi.cores import ROWS, map_on_all_cores
from flowvi.errors import FlowError
from flowvi.flows.alone import factorises_rows
from flowvi.flows.arguments import as_draws_shape, as_floats, as_key, compile_quickly, under_trace
from flowvi.flows.distribution import Distribution
from flowvi.flows.torus import check_space, of_angles
from flowvi.precision import double_precision

# numbers and rows per compiled call: enough for what a call costs, few enough for activations of wide layers
_CHUNK = 2**18
_MOST_ROWS = 4 * ROWS


class Flow(eqx.Module):
    """The distribution of z = f(x), x ~ q0.

        log q(z) = log q0(x) - log |det df/dx|,    x = f^-1(z)

    The public methods take any batch shape, compute in float64 whatever JAX's flag says, and give NumPy
    arrays (JAX arrays under a caller's own trace). Points are handled in chunks, so that memory beyond the
    result does not grow with their number; row i of a sample depends on the key and i alone. Inside a trace
    that owns its precision, such as training, use `forward_and_log_prob` and `log_prob` of this module.

    Raises:
        FlowError: the bijection does not map the space of the base, R^dim or the torus, to itself.

    Source: Rezende & Mohamed 2015 (arXiv 1505.05770), equation 5.

    Example:
        >>> from flowvi.bijections import Identity
        >>> from flowvi.flows import Flow, Normal
        >>> flow = Flow(Normal(2), Identity((2,)))
        >>> flow.sample(0, (5,)).shape
        (5, 2)
        >>> flow.log_prob([[0.0, 0.0], [1.0, 2.0]]).round(4).tolist()
        [-1.8379, -4.3379]
    """

    base: Distribution
    bijection: Bijection

    def __check_init__(self):
        if self.bijection.shape != (self.base.dim,) or self.bijection.out_shape != (self.base.dim,):
            raise FlowError(
                f"Flow: the bijection takes shape {self.bijection.shape} to {self.bijection.out_shape}, but "
                f"the base distribution has dim {self.base.dim}. Build both for the same dimension."
            )
        check_space(self.base, self.bijection)

    @property
    def dim(self) -> int:
        """Number of coordinates."""
        return self.base.dim

    @property
    def condition_dim(self) -> int | None:
        """Length of the vector the flow is conditioned on, or None."""
        return self.bijection.condition_dim

    @property
    def periodic(self) -> bool:
        """Whether points are angles: the density is one on the torus, not on R^dim."""
        return of_angles(self.base)

    @double_precision
    def sample(
        self,
        key: PRNGKeyArray | int,
        shape: tuple[SupportsIndex, ...] | SupportsIndex = (),
        condition: Float[Array | np.ndarray, "..."] | None = None,
    ) -> Float[Array | np.ndarray, "*shape dim"]:
        """Independent draws z = f(x), x ~ q0.

        Shapes: result (*shape, dim), (n, dim) for an integer n; `condition` (condition_dim,), or with leading
        axes that broadcast to `shape`, for a draw per condition. `key` is a JAX key or a seed.

        Raises:
            FlowError: `shape` is not sizes, `key` no key or seed; `condition` is missing, not wanted, or of a
                shape that does not fit.
            PrecisionError: called under a caller's trace with x64 off.

        Example:
            >>> import flowvi
            >>> flowvi.flows.real_nvp(3, key=0).sample(1, (10, 2)).shape
            (10, 2, 3)
        """
        return _pushed(self, _push_forward, key, shape, condition)[0]

    @double_precision
    def sample_and_log_prob(
        self,
        key: PRNGKeyArray | int,
        shape: tuple[SupportsIndex, ...] | SupportsIndex = (),
        condition: Float[Array | np.ndarray, "..."] | None = None,
    ) -> tuple[Float[Array | np.ndarray, "*shape dim"], Float[Array | np.ndarray, "*shape"]]:
        """Independent draws with their log densities, in one pass: no inverse is taken.

            z = f(x), x ~ q0,    log q(z) = log q0(x) - log |det df/dx|

        The draws are those of `sample`. Shapes: results (*shape, dim) and (*shape,); `condition` as there.

        Raises:
            FlowError: `shape` is not sizes, `key` no key or seed; `condition` is missing, not wanted, or of a
                shape that does not fit.
            PrecisionError: called under a caller's trace with x64 off.

        Example:
            >>> import flowvi
            >>> z, log_prob = flowvi.flows.real_nvp(3, key=0).sample_and_log_prob(1, (10,))
            >>> z.shape, log_prob.shape
            ((10, 3), (10,))
        """
        z, log_prob = _pushed(self, _push_forward_with_log_prob, key, shape, condition)
        return z, log_prob

    @double_precision
    def log_prob(
        self,
        x: Float[Array | np.ndarray, "*batch dim"],
        condition: Float[Array | np.ndarray, "..."] | None = None,
    ) -> Float[Array | np.ndarray, "..."]:
        """The log density at points on the flow's own side; deterministic.

            log q(x) = log q0(f^-1(x)) + log |det df^-1/dx|

        It is -inf at points with an infinite coordinate, which only R^dim has, and NaN where one is NaN.
        Shapes: `x` (*batch, dim), result (*batch,); `condition` (condition_dim,), or with leading axes that
        broadcast with those of `x`.

        Raises:
            FlowError: `x` is not real numbers or has another last dimension; `condition` is missing, not
                wanted, or does not fit.
            PrecisionError: called under a caller's trace with x64 off.

        Example:
            >>> import flowvi
            >>> flowvi.flows.real_nvp(2, key=0).log_prob([0.0, 0.0]).round(4).item()
            -1.8379
        """
        traced = under_trace(self, x, condition)
        points, condition = as_floats("x", x, traced), _as_condition(condition, traced)
        if points.shape[-1:] != (self.dim,):
            raise FlowError(
                f"The flow has dim {self.dim}, but x has shape {points.shape}. Give x of shape "
                f"(..., {self.dim})."
            )
        batch = _batch_shape(self, points.shape[:-1], condition)
        points, conditions = _rows(points, batch), _rows(condition, batch)
        if traced:
            return _log_prob_of_rows(self, points, conditions).reshape(batch)

        def of_chunk(start: int, rows: int) -> tuple[Array]:
            return (_log_prob_of_rows(self, _chunk(points, start, rows), _chunk(conditions, start, rows)),)

        return _in_chunks(of_chunk, math.prod(batch), self)[0].reshape(batch)


def forward_and_log_prob(
    flow: Flow, base_draw: Float[Array, " dim"], condition: Float[Array, " condition"] | None = None
) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
    """z = f(x) and log q(z) at one draw x of the base, in the precision of the caller's trace.

        log q(z) = log q0(x) - log |det df/dx|

    Shapes: base_draw, z (dim,); condition (condition_dim,).

    Example:
        >>> import flowvi
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from flowvi.flows.flow import forward_and_log_prob
        >>> with jax.enable_x64(True):
        ...     z, log_prob = forward_and_log_prob(flowvi.flows.gaussian(2), jnp.zeros(2))
        >>> z.tolist()
        [0.0, 0.0]
    """
    z, log_det = flow.bijection.forward_and_log_det(base_draw, condition)
    return z, flow.base.log_prob(base_draw) - log_det


def log_prob(
    flow: Flow, z: Float[Array, " dim"], condition: Float[Array, " condition"] | None = None
) -> Float[Array, ""]:
    """log q(z) at one point, in the precision of the caller's trace.

        log q(z) = log q0(f^-1(z)) + log |det df^-1/dz|

    Shapes: z (dim,); condition (condition_dim,).

    Example:
        >>> import flowvi
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from flowvi.flows.flow import log_prob
        >>> with jax.enable_x64(True):
        ...     print(log_prob(flowvi.flows.gaussian(2), jnp.zeros(2)).round(4))
        -1.8379
    """
    x, log_det = flow.bijection.inverse_and_log_det(z, condition)
    return flow.base.log_prob(x) + log_det


# The compiled functions stand here, outside the methods, so that a second call finds them again. The base
# draws are apart from the rest because flows over the same base share them.


@compile_quickly(static=("rows",))
def _base_draws(base: Distribution, key: PRNGKeyArray, start: Array, rows: int) -> Float[Array, "rows dim"]:
    return jax.vmap(lambda i: base.sample(jax.random.fold_in(key, i)))(start + jnp.arange(rows))


@eqx.filter_jit
def _push_forward_with_log_prob(flow: Flow, draws: Array, condition: Array | None) -> tuple[Array, Array]:
    return _in_blocks(lambda x, c: forward_and_log_prob(flow, x, c), draws, condition)


@eqx.filter_jit
def _push_forward(flow: Flow, draws: Array, condition: Array | None) -> tuple[Array]:
    return (_in_blocks(lambda x, c: flow.bijection.forward_and_log_det(x, c)[0], draws, condition),)


@eqx.filter_jit
def _log_prob_of_rows(flow: Flow, z: Array, condition: Array | None) -> Float[Array, " rows"]:
    log_probs = _in_blocks(lambda z, c: log_prob(flow, z, c), z, condition)
    if flow.periodic:
        return log_probs
    # on its way to the base, infinity becomes NaN in most flows
    far = jnp.isinf(z).any(axis=1) & ~jnp.isnan(z).any(axis=1)
    if condition is not None:
        far &= jnp.isfinite(condition).all(axis=1)
    return jnp.where(far, -jnp.inf, log_probs)


def _in_blocks(function: Callable, points: Array, condition: Array | None) -> Any:
    """A batched map, some rows at a time where there are many."""
    if len(points) <= ROWS:
        return jax.vmap(function)(points, condition)
    return jax.lax.map(lambda row: function(*row), (points, condition), batch_size=ROWS)


def _pushed(flow: Flow, push: Callable, key: Any, shape: Any, condition: Any) -> tuple:
    """The outputs of `push` at base draws, each with leading axes `shape`."""
    traced = under_trace(flow, key, condition)
    condition, shape = _as_condition(condition, traced), as_draws_shape(shape)
    if _batch_shape(flow, shape, condition) != shape:
        raise FlowError(
            f"A condition of shape {condition.shape} was given for draws of shape {shape}. Ask for "
            f"shape {condition.shape[:-1]}, or one that this broadcasts to."
        )
    n = math.prod(shape)
    key = as_key(key)
    condition = _rows(condition, shape)
    if traced:
        outputs = push(flow, _base_draws(flow.base, key, jnp.asarray(0), n), condition)
    else:

        def of_chunk(start: int, rows: int) -> tuple[Array, ...]:
            draws = _base_draws(flow.base, key, jnp.asarray(start), rows)
            return push(flow, draws, _chunk(condition, start, rows))

        outputs = _in_chunks(of_chunk, n, flow)
    return tuple(output.reshape(*shape, *output.shape[1:]) for output in outputs)


def _in_chunks(of_chunk: Callable[[int, int], tuple], n: int, flow: Flow) -> tuple[np.ndarray, ...]:
    """The first n rows of of_chunk(0, rows), of_chunk(rows, rows), ..., concatenated on the host.

    The number of rows is a power of two, so that few programs serve every n.
    """
    rows = 1 << (max(1, min(n, _CHUNK // flow.dim, _MOST_ROWS)) - 1).bit_length()

    def on_host(start: int) -> list[np.ndarray]:
        return [np.asarray(array) for array in of_chunk(start, rows)]

    # the first compiles, which threads would do at the same time each
    first, others = on_host(0), range(rows, n, rows)
    rest = map(on_host, others) if factorises_rows(flow) else map_on_all_cores(on_host, others)
    chunks = [first, *rest]
    return tuple(np.concatenate(parts)[:n] for parts in zip(*chunks, strict=True))


def _chunk(array: Any, start: int, rows: int) -> Any:
    """`rows` rows from `start`, with zeros after the last one."""
    if array is None:
        return None
    part = array[start : start + rows]
    return jnp.asarray(np.pad(part, [(0, rows - len(part)), (0, 0)]))


def _as_condition(value: Any, traced: bool) -> Any:
    return None if value is None else as_floats("condition", value, traced)


def _rows(array: Any, batch: tuple[int, ...]) -> Any:
    """The array broadcast to the batch, as one row per point."""
    if array is None:
        return None
    numpy = jnp if isinstance(array, jax.Array) else np
    return numpy.broadcast_to(array, (*batch, array.shape[-1])).reshape(math.prod(batch), array.shape[-1])


def _batch_shape(flow: Flow, batch: tuple[int, ...], condition: Any) -> tuple[int, ...]:
    """The leading axes of points and condition together."""
    if condition is None:
        if flow.condition_dim is not None:
            raise FlowError(
                f"This flow is conditional: give a condition of shape ({flow.condition_dim},) or (..., "
                f"{flow.condition_dim})."
            )
        return batch
    if flow.condition_dim is None:
        raise FlowError(
            f"A condition of shape {condition.shape} was given, but this flow takes none. Build the flow "
            "with condition_dim= to condition it."
        )
    if condition.shape[-1:] != (flow.condition_dim,):
        raise FlowError(
            f"The condition has shape {condition.shape}, but the flow was built with condition_dim="
            f"{flow.condition_dim}. Give a condition of shape (..., {flow.condition_dim})."
        )
    try:
        return np.broadcast_shapes(batch, condition.shape[:-1])
    except ValueError as error:
        raise FlowError(
            f"The condition has leading axes {condition.shape[:-1]}, which do not broadcast with {batch}."
        ) from error
