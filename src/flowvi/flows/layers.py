"""A flow taken apart into its layers."""

from __future__ import annotations

import operator

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from flowvi.bijections import Amortized, Bijection, Chain, Conditioned, Invert, Scan
from flowvi.bijections.leaf import leaf
from flowvi.compiling import Compiled
from flowvi.errors import FlowError
from flowvi.flows.arguments import as_floats
from flowvi.flows.flow import Flow
from flowvi.flows.standardise import StandardisedCondition
from flowvi.flows.unwrapped import unwrapped
from flowvi.flows.whiten import Fixed
from flowvi.memory import batch_map
from flowvi.precision import double_precision


@double_precision
def layers(flow: Flow, condition: Float[Array | np.ndarray, " condition"] | None = None) -> list[Bijection]:
    """The maps f_1, ..., f_K of a flow, in the order in which they are applied to a draw of the base.

        z_0 ~ q0,    z_k = f_k(z_(k-1)),    z_K ~ q

    A `Chain` is taken apart into its members, and a `Scan` into its layers, each of which counts as one: a
    permutation with the coupling it belongs to. `Fixed`, `Invert`, `Conditioned` and `StandardisedCondition`
    are looked into, and `Amortized` where its condition (condition_dim,) is given: its layers are then those
    for this condition. Every layer takes the condition of the flow.

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

    Raises:
        FlowError: points or condition are not real numbers of these shapes, or the condition is missing or
            not wanted.

    Example:
        >>> import flowvi
        >>> import numpy as np
        >>> from flowvi.flows.layers import through_layers
        >>> z, log_det = through_layers(flowvi.flows.real_nvp(2, key=0, layers=2), np.ones((3, 2)))
        >>> z.shape, log_det.shape
        ((5, 3, 2), (5, 3))
    """
    start = as_floats("base_points", base_points, traced=False)
    if start.ndim != 2 or start.shape[1] != flow.dim:
        raise FlowError(
            f"base_points has shape {start.shape}, but the flow has dim {flow.dim}. Give points of shape "
            f"(n, {flow.dim})."
        )
    context = None if condition is None else as_floats("condition", condition, traced=False)
    given = None if context is None else context.shape
    wanted = None if flow.condition_dim is None else (flow.condition_dim,)
    if given != wanted:
        raise FlowError(f"The condition has shape {given}, but the flow takes one of shape {wanted}.")
    points, log_dets = [np.asarray(start)], [np.zeros(len(start))]
    for layer in layers(flow, context):
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
        case Invert():
            return [Invert(part) for part in reversed(_parts(bijection.bijection, condition))]
        case Amortized() if condition is None:
            return [bijection]
        case Amortized() | Conditioned() | Fixed() | StandardisedCondition():
            parts = _parts(*unwrapped(bijection, jnp.zeros(bijection.shape), condition))
            if isinstance(bijection, Amortized | Fixed):
                return parts
            # conditional ones as maps of the condition outside
            return [
                part if part.condition_dim is None else eqx.tree_at(lambda w: w.bijection, bijection, part)
                for part in parts
            ]
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
