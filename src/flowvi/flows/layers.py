"""A flow taken apart into its layers."""

from __future__ import annotations

import operator

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from flowvi.bijections import Amortized, Bijection, Chain, Invert, Scan
from flowvi.bijections.leaf import leaf
from flowvi.compiling import Compiled
from flowvi.flows.flow import Flow
from flowvi.flows.whiten import Fixed
from flowvi.memory import batch_map
from flowvi.precision import double_precision


@double_precision
def layers(flow: Flow, condition: Float[Array | np.ndarray, " condition"] | None = None) -> list[Bijection]:
    """The maps f_1, ..., f_K of a flow, in the order in which they are applied to a draw of the base.

        z_0 ~ q0,    z_k = f_k(z_(k-1)),    z_K ~ q

    A `Chain` is taken apart into its members, and a `Scan` into its layers, each of which counts as one: a
    permutation with the coupling it belongs to. `Fixed` and `Invert` are looked into, and `Amortized`
    where its condition (condition_dim,) is given: its layers are then those for this condition.

    Example:
        >>> import flowvi
        >>> from flowvi.flows.layers import layers
        >>> [type(layer).__name__ for layer in layers(flowvi.flows.real_nvp(2, key=0, layers=2))]
        ['Chain', 'Chain', 'Permutation', 'LocationScale']
    """
    return _parts(flow.bijection, None if condition is None else jnp.asarray(condition, float))


@double_precision
def through_layers(
    flow: Flow,
    base_points: Float[np.ndarray, "n dim"],
    condition: Float[Array | np.ndarray, " condition"] | None = None,
) -> tuple[Float[np.ndarray, "layers_plus_1 n dim"], Float[np.ndarray, "layers_plus_1 n"]]:
    """Points of the base after 0, 1, ..., K layers, and the log |det| of the layers up to there.

        z_k = f_k(... f_1(z_0)),    log |det dz_k/dz_0| = sum_(j<=k) log |det df_j|

    Layers of equal structure share one compiled program. Shapes: base_points (n, dim), results
    (K + 1, n, dim) and (K + 1, n), with z_0 and zeros first; condition (condition_dim,).

    Example:
        >>> import flowvi
        >>> import numpy as np
        >>> from flowvi.flows.layers import through_layers
        >>> z, log_det = through_layers(flowvi.flows.real_nvp(2, key=0, layers=2), np.ones((3, 2)))
        >>> z.shape, log_det.shape
        ((5, 3, 2), (5, 3))
    """
    points, log_dets = [np.asarray(base_points, np.float64)], [np.zeros(len(base_points))]
    context = None if condition is None else np.asarray(condition, np.float64)
    for layer in layers(flow, condition):
        moved, log_det = _moved(layer, points[-1], context)
        points.append(np.asarray(moved))
        log_dets.append(log_dets[-1] + np.asarray(log_det))
    return np.stack(points), np.stack(log_dets)


def _parts(bijection: Bijection, condition: Array | None) -> list[Bijection]:
    match bijection:
        case Chain():
            return [part for member in bijection.bijections for part in _parts(member, condition)]
        case Scan():
            return _unstacked(bijection.layers)
        case Fixed():
            return _parts(bijection.bijection, condition)
        case Invert():
            return [Invert(part) for part in reversed(_parts(bijection.bijection, condition))]
        case Amortized() if condition is not None:
            return _parts(bijection.at(jnp.zeros(bijection.shape), condition), None)
        case _:
            return [bijection]


def _unstacked(stacked: Bijection) -> list[Bijection]:
    arrays, rest = eqx.partition(stacked, eqx.is_array)
    # on the host, where taking a row compiles nothing
    on_host = jax.tree.map(np.asarray, arrays)
    count = len(jax.tree.leaves(on_host)[0])
    rows = [jax.tree.map(operator.itemgetter(k), on_host) for k in range(count)]
    return [eqx.combine(jax.tree.map(leaf, row), rest) for row in rows]


@Compiled
def _moved(layer: Bijection, points: Array, condition: Array | None) -> tuple[Array, Array]:
    return batch_map(lambda x: layer.forward_and_log_det(x, condition), points)
