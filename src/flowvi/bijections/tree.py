"""The supports of all parameters of a model at once."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from flowvi.bijections.base import Bijection
from flowvi.errors import SupportError


class SupportTree(eqx.Module):
    """R^dim onto a pytree of constrained arrays: one support per leaf, in the order of the leaves.

        y_p = f_p(x_p) with x = [x_1, ..., x_P],    log |det| = sum_p log |det df_p|

    Not itself a `Bijection`, since it gives a tree rather than an array. Shapes: x (dim,), y as the tree of
    supports with an array of `out_shape` for each.

    Raises:
        SupportError: a tree to invert has another structure or other shapes.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import Positive, Simplex, SupportTree
        >>> tree = SupportTree({"p": Simplex((3,)), "tau": Positive(())})
        >>> tree.dim
        3
        >>> tree.forward_and_log_det(jnp.zeros(3))[0]["tau"].item()
        1.0
    """

    supports: PyTree[Bijection]

    @property
    def dim(self) -> int:
        return sum(math.prod(support.shape) for support in self._leaves())

    def forward_and_log_det(
        self, x: Float[Array, " dim"]
    ) -> tuple[PyTree[Float[Array, "..."]], Float[Array, ""]]:
        """The constrained parameters and log |det|, a scalar."""
        leaves, total, start = [], jnp.zeros((), x.dtype), 0
        for support in self._leaves():
            stop = start + math.prod(support.shape)
            y, log_det = support.forward_and_log_det(x[start:stop].reshape(support.shape))
            leaves.append(y)
            total, start = total + log_det, stop
        return jax.tree.unflatten(self._structure(), leaves), total

    def inverse_and_log_det(
        self, y: PyTree[Float[Array, "..."]]
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        """The unconstrained vector of a tree of parameters, and log |det| of this direction."""
        if jax.tree.structure(y) != self._structure():
            raise SupportError(
                f"The parameters have the structure {jax.tree.structure(y)}, but the supports "
                f"{self._structure()}. Give one array for each support."
            )
        parts, total = [], 0.0
        for support, (path, leaf) in zip(self._leaves(), jax.tree.leaves_with_path(y), strict=True):
            if jnp.shape(leaf) != support.out_shape:
                raise SupportError(
                    f"The parameter {jax.tree_util.keystr(path)} has shape {jnp.shape(leaf)}, but its "
                    f"support {support.out_shape}. Give a value of that shape."
                )
            x, log_det = support.inverse_and_log_det(jnp.asarray(leaf))
            parts.append(x.ravel())
            total = total + log_det
        return jnp.concatenate(parts) if parts else jnp.zeros(0), jnp.asarray(total)

    def _leaves(self) -> list[Bijection]:
        return jax.tree.leaves(self.supports, is_leaf=lambda node: isinstance(node, Bijection))

    def _structure(self):
        return jax.tree.structure(self.supports, is_leaf=lambda node: isinstance(node, Bijection))
