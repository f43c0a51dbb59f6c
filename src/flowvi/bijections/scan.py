"""Many equal layers compiled as one."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from flowvi.bijections.base import Bijection
from flowvi.bijections.leaf import leaf
from flowvi.errors import FlowError
from flowvi.precision import is_traced


class Scan(Bijection):
    """K layers of equal structure in one `jax.lax.scan`, so that compile time does not grow with K.

        y = f_K(... f_1(x)),    log |det dy/dx| = sum_k log |det df_k|

    `layers` is one bijection whose every array has a leading axis of length K: made by
    `Scan.stack([...])`. Cost: K times that of a layer. Shapes: x and y as one layer, which must keep its
    shape.

    Raises:
        FlowError: a layer changes the shape, or the layers to stack are none or differ in structure.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import LocationScale, Scan
        >>> scan = Scan.stack([LocationScale(jnp.ones(2), 2 * jnp.ones(2)) for _ in range(3)])
        >>> scan.forward_and_log_det(jnp.zeros(2))[0].round(4).tolist()
        [7.0, 7.0]
    """

    layers: Bijection

    def __init__(self, layers: Bijection):
        if layers.shape != layers.out_shape:
            raise FlowError(
                f"Scan: a layer takes shape {layers.shape} but gives {layers.out_shape}. Only layers that "
                "keep the shape can be repeated; put others beside the Scan in a Chain."
            )
        self.layers = layers

    @staticmethod
    def stack(layers: Sequence[Bijection]) -> "Scan":
        """Stack the arrays of equal layers along a new leading axis."""
        if not layers:
            raise FlowError("Scan.stack was given no layers. Give at least one.")
        arrays, rests = zip(*(eqx.partition(layer, eqx.is_array) for layer in layers), strict=True)
        kinds = [(jax.tree.map(jnp.shape, a), rest) for a, rest in zip(arrays, rests, strict=True)]
        for k, kind in enumerate(kinds):
            if not eqx.tree_equal(kind, kinds[0]):
                raise FlowError(
                    f"Scan.stack: layer {k} differs from layer 0 in type, settings or array shapes. Give "
                    "what differs (masks, permutations) as arrays, or use a Chain."
                )
        # on the host where possible: a stack of each shape would be compiled
        numpy = jnp if is_traced(layers) else np
        stacked = jax.tree.map(lambda *leaves: leaf(numpy.stack(leaves)), *arrays)
        return Scan(eqx.combine(stacked, rests[0]))

    @property
    def shape(self) -> tuple[int, ...]:
        return self.layers.shape

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.layers.out_shape

    @property
    def condition_dim(self) -> int | None:
        return self.layers.condition_dim

    def forward_and_log_det(
        self, x: Float[Array, "..."], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, "..."], Float[Array, ""]]:
        return self._scan(lambda layer, x: layer.forward_and_log_det(x, condition), x, reverse=False)

    def inverse_and_log_det(
        self, y: Float[Array, "..."], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, "..."], Float[Array, ""]]:
        return self._scan(lambda layer, y: layer.inverse_and_log_det(y, condition), y, reverse=True)

    def _scan(self, apply, x, *, reverse):
        arrays, rest = eqx.partition(self.layers, eqx.is_array)

        def step(carry, layer_arrays):
            x, total = carry
            y, log_det = apply(eqx.combine(layer_arrays, rest), x)
            # a carry keeps its dtype, also where parameters are of higher precision than x
            return (y.astype(x.dtype), (total + log_det).astype(x.dtype)), None

        carry, _ = jax.lax.scan(step, (x, jnp.zeros((), x.dtype)), arrays, reverse=reverse)
        return carry
