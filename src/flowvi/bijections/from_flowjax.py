"""Bijections of FlowJAX as bijections of flowvi."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from flowvi.bijections.base import Bijection
from flowvi.bijections.trainable import Constant
from flowvi.errors import DependencyError, FlowError

if TYPE_CHECKING:
    from flowjax.bijections import AbstractBijection


class FromFlowJAX(Bijection):
    """A FlowJAX bijection, to be used wherever one of flowvi's own is.

        y, log |det dy/dx| = transform_and_log_det(x, condition)

    Whether its parameters may take any finite value, how exact its inverse is and what either direction costs
    is as FlowJAX has it. `flowvi.trainable` leaves out what FlowJAX calls non-trainable. The map of a whole
    FlowJAX flow is `flow.bijection`. It cannot be saved, since a file holds flowvi's own classes only: save
    its arrays with `equinox.tree_serialise_leaves`.

    Shapes: x, y (*shape,) as the bijection's `shape`; condition (condition_dim,), of its `cond_shape`.

    Raises:
        FlowError: it is not a FlowJAX bijection, its condition is not a vector, or FlowJAX lacks a direction
            that is asked for.
        DependencyError: FlowJAX is missing.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowjax.bijections import Affine
        >>> from flowvi.bijections import FromFlowJAX
        >>> layer = FromFlowJAX(Affine(jnp.ones(2), 2 * jnp.ones(2)))
        >>> layer.forward_and_log_det(jnp.ones(2))[0].round(4).tolist()
        [3.0, 3.0]
    """

    # with the arrays that are not trained inside `Constant`
    marked: Any
    shape: tuple[int, ...] = eqx.field(static=True)
    condition_dim: int | None = eqx.field(static=True)

    def __init__(self, bijection: AbstractBijection):
        try:
            from flowjax.bijections import AbstractBijection
            from paramax import NonTrainable
        except ImportError as error:
            raise DependencyError("FromFlowJAX needs FlowJAX: pip install flowjax.") from error
        if not isinstance(bijection, AbstractBijection):
            raise FlowError(
                f"FromFlowJAX: a {type(bijection).__name__} was given. Give one of flowjax.bijections; of a "
                "FlowJAX distribution, its `bijection`."
            )
        condition_shape = bijection.cond_shape
        if condition_shape is not None and len(condition_shape) != 1:
            raise FlowError(
                f"FromFlowJAX: the bijection takes a condition of shape {condition_shape}, but conditions "
                "are vectors. Wrap it in flowjax.bijections.EmbedCondition with a reshape."
            )

        def marked(node: Any) -> Any:
            if isinstance(node, NonTrainable):
                return jax.tree.map(lambda a: Constant(a) if eqx.is_inexact_array(a) else a, node)
            return node

        self.marked = jax.tree.map(marked, bijection, is_leaf=lambda node: isinstance(node, NonTrainable))
        self.shape = tuple(bijection.shape)
        self.condition_dim = None if condition_shape is None else condition_shape[0]

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.shape

    def forward_and_log_det(
        self, x: Float[Array, ...], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, ...], Float[Array, ""]]:
        return _called(self._theirs().transform_and_log_det, x, self._checked(condition))

    def inverse_and_log_det(
        self, y: Float[Array, ...], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, ...], Float[Array, ""]]:
        return _called(self._theirs().inverse_and_log_det, y, self._checked(condition))

    def _theirs(self) -> AbstractBijection:
        def unmarked(node: Any) -> Any:
            return node.value if isinstance(node, Constant) else node

        return jax.tree.map(unmarked, self.marked, is_leaf=lambda node: isinstance(node, Constant))

    def _checked(self, condition: Array | None) -> Array | None:
        """The condition, or None where the map takes none: in a chain the others may."""
        if self.condition_dim is None:
            return None
        if condition is None or condition.shape != (self.condition_dim,):
            given = "none" if condition is None else f"one of shape {condition.shape}"
            raise FlowError(
                f"This map needs a condition of shape ({self.condition_dim},) but was given {given}."
            )
        return condition


def _called(
    method: Callable[[Array, Array | None], tuple[Array, Array]], x: Array, condition: Array | None
) -> tuple[Array, Array]:
    """What a method gives, in the precision of x."""
    try:
        try:
            y, log_det = method(x, condition)
        except TypeError:
            # loops for numerical inverses run in JAX's default precision, and refuse any other
            if x.dtype == jnp.result_type(float):
                raise
            y, log_det = method(x.astype(float), condition)
    except NotImplementedError as error:
        raise FlowError(
            f"FromFlowJAX: FlowJAX has no {method.__name__} of this map ({error}). Use it in the other "
            "direction (`Invert`, or `invert=` of FlowJAX's builders), or with other settings."
        ) from error
    return y.astype(x.dtype), log_det.astype(x.dtype)
