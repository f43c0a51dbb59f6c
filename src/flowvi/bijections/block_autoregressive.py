"""Block autoregressive networks: a whole network that is triangular and increasing."""

import itertools
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from flowvi.bijections.base import Bijection
from flowvi.bijections.conditioning import conditioned_parameters
from flowvi.bijections.host_random import host_generator
from flowvi.bijections.increasing_root import increasing_root
from flowvi.bijections.leaf import leaf
from flowvi.bijections.log_scale import soft_clamp
from flowvi.bijections.mlp import MLP
from flowvi.errors import FlowError

LEAST_SLOPE = 0.1
"""Of the activation, far out; 1 is the largest."""
CLAMP = 3.0
"""The slope of a coordinate stays within e^-3 and e^3, and so does the steepness of a unit."""


class BlockAutoregressive(Bijection):
    """A network whose output i depends on the inputs up to i, and increases in input i.

        y_i = x_i + (e^s_i - 1) g_i(x) + t_i,    log |det dy/dx| = sum_i log(1 + (e^s_i - 1) dg_i/dx_i)
        h_l = phi(W_l h_(l-1) + b_l; a_l),    g = W_L h_(L-1) + b_L,    h_0 = x
        phi(h; a) = 0.1 h + 0.9 tanh(e^a h) / e^a

    Every coordinate has `width` hidden units of its own. Weights from earlier coordinates are free, those
    from later ones zero, those within a coordinate a softmax; so 0 < dg_i/dx_i <= 1, and no value of the
    parameters makes dy_i/dx_i leave (e^-3, e^3). phi is unbounded in both directions, and so the map is onto
    R^dim. The gates s, like a, are softly clamped; zero ones make it the identity, from which it starts.
    A condition moves the gates, the shifts t and the first layer, by another network.

    The inverse finds one coordinate after the other, each as the root of a network of `width` units. Cost:
    (dim width)^2 per hidden layer in both directions, and in the inverse dim scalar roots besides. Shapes: x,
    y (dim,).

    Source: BNAF, equations 6 to 10, and its gated residual connection; there phi = tanh, which needs a last
    layer to leave the unit cube, and the weights within a coordinate are exponentials.

    Raises:
        FlowError: `width` or `depth` is not positive, or the condition has the wrong size.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowvi.bijections import BlockAutoregressive
        >>> layer = BlockAutoregressive(2, key=0)
        >>> layer.inverse_and_log_det(jnp.array([1.0, 2.0]))[0].round(4).tolist()
        [1.0, 2.0]
    """

    between: tuple[Float[Array, "dim into dim out_of"], ...]
    within: tuple[Float[Array, "dim into out_of"], ...]
    biases: tuple[Float[Array, "dim into"], ...]
    log_steepness: tuple[Float[Array, "dim into"], ...]
    gates: Float[Array, " dim"]
    shifts: Float[Array, " dim"]
    of_condition: MLP | None
    shape: tuple[int, ...] = eqx.field(static=True)
    condition_dim: int | None = eqx.field(static=True)

    def __init__(
        self,
        dim: int,
        *,
        key: PRNGKeyArray | int,
        width: int = 8,
        depth: int = 1,
        condition_dim: int | None = None,
    ):
        if width < 1 or depth < 1:
            raise FlowError(f"BlockAutoregressive: width={width}, depth={depth}. Both must be positive.")
        rng = host_generator(key)
        sizes = list(itertools.pairwise([1, *[width] * depth, 1]))
        self.between = tuple(
            leaf(rng.standard_normal((dim, into, dim, out_of)) / np.sqrt(dim * out_of))
            for out_of, into in sizes
        )
        # a coordinate enters each of its units with weight one, the softmax of a single number
        self.within = tuple(leaf(rng.standard_normal((dim, into, out_of))) for out_of, into in sizes[1:])
        # spread, so that the units of a coordinate bend at different points
        self.biases = tuple(leaf(rng.standard_normal((dim, into))) for _, into in sizes)
        self.log_steepness = tuple(leaf(np.zeros((dim, width))) for _ in range(depth))
        self.gates = leaf(np.zeros(dim))
        self.shifts = leaf(np.zeros(dim))
        self.of_condition = (
            None if condition_dim is None else MLP(condition_dim, dim * (width + 2), key=key, width=32)
        )
        self.shape = (dim,)
        self.condition_dim = condition_dim

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.shape

    def forward_and_log_det(
        self, x: Float[Array, " dim"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        layers, gates, shifts = self._parameters(x, condition)
        (dim,) = self.shape
        earlier = np.tri(dim, k=-1, dtype=bool)[:, None, :, None]
        g, slope = x[:, None], jnp.ones((dim, 1), x.dtype)
        for layer in layers:
            g, slope = layer(g, slope, _from_others(jnp.where(earlier, layer.between, 0), g))
        log_slopes = jnp.log1p(jnp.expm1(gates) * slope[:, 0])
        return x + jnp.expm1(gates) * g[:, 0] + shifts, jnp.sum(log_slopes)

    def inverse_and_log_det(
        self, y: Float[Array, " dim"], condition: Float[Array, " condition"] | None = None
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        def find(inputs: tuple[Array, ...], of_coordinate: tuple) -> tuple[tuple[Array, ...], Array]:
            # the inputs of every layer hold the coordinates found so far, and zeros for the others
            i, target, layers, gate, shift = of_coordinate
            others = [_from_others(layer.between, h) for layer, h in zip(layers, inputs, strict=True)]

            def through(x: Array) -> list[Array]:
                values = [x[None]]
                for layer, from_others in zip(layers, others, strict=True):
                    values.append(layer(values[-1], jnp.ones_like(values[-1]), from_others)[0])
                return values

            def value(x: Array) -> Array:
                return x + jnp.expm1(gate) * through(x)[-1][0] + shift

            reach = 1 + jnp.abs(target)
            x = increasing_root(value, target, target - reach, target + reach)
            found = through(x)[:-1]
            return tuple(h.at[i].set(own) for h, own in zip(inputs, found, strict=True)), x

        parameters = self._parameters(y, condition)
        nothing = tuple(jnp.zeros((y.size, layer.within.shape[-1]), y.dtype) for layer in parameters[0])
        _, x = jax.lax.scan(find, nothing, (jnp.arange(y.size), y, *parameters))
        return x, -self.forward_and_log_det(x, condition)[1]

    def _parameters(self, x: Array, condition: Array | None) -> tuple[tuple["_Layer", ...], Array, Array]:
        """Layers, clamped gates and shifts at a condition, in the precision of x."""
        between, within, biases, log_steepness, gates, shifts = jax.tree.map(
            lambda a: a.astype(x.dtype),
            (self.between, self.within, self.biases, self.log_steepness, self.gates, self.shifts),
        )
        if self.of_condition is not None:
            moved = conditioned_parameters(
                self.of_condition, x[:0], condition, self.condition_dim, (x.size, biases[0].shape[1] + 2)
            )
            biases = (biases[0] + moved[:, 2:], *biases[1:])
            gates, shifts = gates + moved[:, 0], shifts + moved[:, 1]
        layers = itertools.starmap(
            _Layer,
            zip(
                between,
                [
                    jnp.ones_like(biases[0])[..., None],
                    *[jax.nn.softmax(logits, axis=-1) for logits in within],
                ],
                biases,
                [*[soft_clamp(a, CLAMP) for a in log_steepness], None],
                strict=True,
            ),
        )
        return tuple(layers), soft_clamp(gates, CLAMP), shifts


class _Layer(NamedTuple):
    """One layer, of all coordinates or, without the axis in front, of one."""

    between: Array
    within: Array
    bias: Array
    log_steepness: Array | None
    """None in the last layer, which is linear."""

    def __call__(self, h: Array, slope: Array, from_others: Array) -> tuple[Array, Array]:
        """The next h and its derivative, given those of this one and what comes from other coordinates."""
        h = _within(self.within, h) + from_others + self.bias
        slope = _within(self.within, slope)
        if self.log_steepness is None:
            return h, slope
        bent = jnp.tanh(jnp.exp(self.log_steepness) * h)
        value = LEAST_SLOPE * h + (1 - LEAST_SLOPE) * bent * jnp.exp(-self.log_steepness)
        return value, slope * (LEAST_SLOPE + (1 - LEAST_SLOPE) * (1 - bent**2))


def _within(weights: Float[Array, "*dim into out_of"], h: Float[Array, "*dim out_of"]) -> Array:
    return jnp.einsum("...ij,...j->...i", weights, h, precision="highest")


def _from_others(
    weights: Float[Array, "*dim into dim_of out_of"], h: Float[Array, "dim_of out_of"]
) -> Float[Array, "*dim into"]:
    return jnp.einsum("...ijk,jk->...i", weights, h, precision="highest")
