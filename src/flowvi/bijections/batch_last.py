"""The axis of a batch behind all others, where a machine runs through it fastest.

`jax.vmap` keeps a batch in front, and moves it there again at many operations. In a network of few units, or
a spline of few bins, the last axis is then short: loops over it are slow, and so are the products that give
the gradients of weights. What these functions return has the batch last, and elementwise operations among
such arrays, slices, sums over an axis and matrix products leave it there. Values are the same for any order
of axes.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, Float


def batch_last(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """x as it is, with the axis of a batch last.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections.batch_last import batch_last
        >>> batch_last(jnp.ones(2)).tolist()
        [1.0, 1.0]
    """
    return _reshape.bind(x, shape=x.shape)


def rows(vector: Float[Array, " entries"], count: int) -> Float[Array, "count entries_per_row"]:
    """A vector as so many rows, with the axis of a batch last.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections.batch_last import rows
        >>> rows(jnp.arange(4.0), 2).tolist()
        [[0.0, 1.0], [2.0, 3.0]]
    """
    return _reshape.bind(vector, shape=(count, vector.size // count))


def unstacked(x: Float[Array, "count *shape"]) -> list[Float[Array, "*shape"]]:
    """The parts of x along its first axis, with the axis of a batch last.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections.batch_last import unstacked
        >>> [part.tolist() for part in unstacked(jnp.array([[0.0, 1.0], [2.0, 3.0]]))]
        [[0.0, 1.0], [2.0, 3.0]]
    """
    slices = [jax.lax.slice_in_dim(x, k, k + 1) for k in range(len(x))]
    return [_reshape.bind(part, shape=x.shape[1:]) for part in slices]


def broadcast_like(value: Array | np.ndarray | float, like: Float[Array, "..."]) -> Array:
    """`value` in the shape of `like`, in a batch where either is, whose axis is last.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections.batch_last import broadcast_like
        >>> broadcast_like(1.0, jnp.zeros(2)).tolist()
        [1.0, 1.0]
    """
    value = value if isinstance(value, jax.Array) else jnp.asarray(value, like.dtype)
    return _broadcast.bind(value, jax.lax.stop_gradient(like))


_reshape = Primitive("reshape_batch_last")
_broadcast = Primitive("broadcast_batch_last")


@_reshape.def_impl
def _reshaped(x, *, shape):
    return jnp.reshape(x, shape)


@_broadcast.def_impl
def _broadcasted(value, like):
    return jnp.broadcast_to(value, like.shape)


def _batched_reshape(arrays, axes, *, shape):
    (x,), (axis,) = arrays, axes
    return jnp.reshape(jnp.moveaxis(x, axis, -1), (*shape, x.shape[axis])), len(shape)


def _batched_broadcast(arrays, axes):
    (value, like), (axis, like_axis) = arrays, axes
    if like_axis is None:
        shape = (*like.shape, value.shape[axis])
    else:
        shape = (*like.shape[:like_axis], *like.shape[like_axis + 1 :], like.shape[like_axis])
    value = value[..., None] if axis is None else jnp.moveaxis(value, axis, -1)
    return jnp.broadcast_to(value, shape), len(shape) - 1


def _broadcast_jvp(primals, tangents):
    value, like = primals
    return _broadcast.bind(value, like), _broadcast.bind(ad.instantiate_zeros(tangents[0]), like)


def _broadcast_transpose(cotangent, value, like):
    shape = value.aval.shape
    summed = jnp.sum(cotangent, axis=tuple(range(cotangent.ndim - len(shape))))
    stretched = tuple(axis for axis, size in enumerate(shape) if size != summed.shape[axis])
    return jnp.sum(summed, axis=stretched, keepdims=True), None


_reshape.def_abstract_eval(lambda x, *, shape: x.update(shape=shape))
_broadcast.def_abstract_eval(lambda value, like: value.update(shape=like.shape))
mlir.register_lowering(_reshape, mlir.lower_fun(_reshaped, multiple_results=False))
mlir.register_lowering(_broadcast, mlir.lower_fun(_broadcasted, multiple_results=False))
ad.deflinear2(_reshape, lambda cotangent, x, *, shape: [jnp.reshape(cotangent, x.aval.shape)])
ad.primitive_jvps[_broadcast] = _broadcast_jvp
ad.primitive_transposes[_broadcast] = _broadcast_transpose
batching.primitive_batchers[_reshape] = _batched_reshape
batching.primitive_batchers[_broadcast] = _batched_broadcast
