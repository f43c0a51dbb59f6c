"""Which arrays of a flow are trained."""

from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Float, PyTree


class Constant(eqx.Module):
    """A floating array that is never trained: the bounds of an interval, a standardisation.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import Constant, trainable
        >>> jax.tree.leaves(trainable(Constant(jnp.ones(3))))
        [False]
    """

    value: Float[Array, "..."]


def trainable(tree: PyTree) -> PyTree[bool]:
    """The filter, for `equinox.partition`, of the arrays to train: all floating ones outside `Constant`.

    Shapes: the structure of `tree`, with a bool for every leaf.

    Example:
        >>> import equinox as eqx
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import LocationScale, trainable
        >>> flow = LocationScale(jnp.zeros(2), jnp.ones(2))
        >>> parameters, rest = eqx.partition(flow, trainable(flow))
        >>> len(jax.tree.leaves(parameters))
        2
    """

    def of_node(node: Any) -> Any:
        if isinstance(node, Constant):
            return jax.tree.map(lambda _: False, node)
        return eqx.is_inexact_array(node)

    return jax.tree.map(of_node, tree, is_leaf=lambda node: isinstance(node, Constant))
