"""What a flow of two dimensions does to the plane: its grid, its areas, its best linear map, its density."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from flowvi.compiling import Compiled
from flowvi.errors import ArgumentError
from flowvi.flows import Flow
from flowvi.flows.arguments import positive_number
from flowvi.memory import batch_map
from flowvi.plots.panels import INK, OFF, outer_labels, panels
from flowvi.plots.plane import POINTS, Condition, box, check_plane, mesh, shown, through, titled
from flowvi.precision import double_precision

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SIZE = (2.5, 2.6)
_LINES = 17
"""Lines of the grid in either direction."""


def warped_grid(flow: Flow, *, most: int = 8, condition: Condition = None) -> Figure:
    """How a square grid over the base is warped, layer by layer.

        z_k = f_k(... f_1(z_0)),    z_0 on a line of the grid

    A panel per layer, the untouched grid first; of more layers than `most - 1`, those evenly spaced and the
    last. The grid spans nearly all draws of the base; lines along the first coordinate are blue, along the
    second red. One pass through the flow, no inverse.

    Raises:
        FlowError: the flow is not of dim 2.
        ArgumentError: `most` is below 2.
        DependencyError: matplotlib is missing.

    Source: Rezende & Mohamed 2015 (arXiv 1505.05770), figure 1.

    Example:
        >>> import flowvi
        >>> from flowvi.plots import warped_grid
        >>> figure = warped_grid(flowvi.flows.real_nvp(2, key=0, layers=2))
        >>> len(figure.axes)
        5
    """
    low, high = box(flow)
    across = np.linspace(0, 1, _LINES)[:, None]
    along = np.linspace(0, 1, POINTS)
    shares = np.stack(np.broadcast_arrays(along, across), -1)
    lines = low + (high - low) * np.stack([shares, shares[..., ::-1]])
    points, _ = through(flow, lines, condition)
    stages = shown(len(points), most)
    figure, axes = panels(len(stages), size=_SIZE, share=True)
    for axis, k in zip(axes, stages, strict=True):
        for family, color in zip(points[k], (INK, OFF), strict=True):
            axis.plot(*family.T, color=color, linewidth=0.5)
        titled(axis, k, len(points) - 1)
    outer_labels(figure, axes, "$z_1$", "$z_2$")
    return figure


def area_magnification(flow: Flow, *, most: int = 8, condition: Condition = None) -> Figure:
    """How the layers magnify area: red where small squares of the base have grown, blue where they shrank.

        log |det dz_k/dz_0| = sum_(j<=k) log |det df_j|    drawn at z_k

    A panel per layer, as in `warped_grid`; one colour scale for all. One pass through the flow, no inverse.

    Raises:
        FlowError: the flow is not of dim 2.
        ArgumentError: `most` is below 2.
        DependencyError: matplotlib is missing.

    Source: Rezende & Mohamed 2015 (arXiv 1505.05770), equations 5 to 7.

    Example:
        >>> import flowvi
        >>> from flowvi.plots import area_magnification
        >>> figure = area_magnification(flowvi.flows.real_nvp(2, key=0, layers=2))
        >>> len(figure.axes)  # the colour bar has its own
        6
    """
    points, log_dets = through(flow, mesh(flow), condition)
    stages = shown(len(points), most)
    figure, axes = panels(len(stages), size=_SIZE, share=True)
    # white where area is kept, whatever the range; some range also for a flow that keeps it everywhere
    largest = max(np.abs(log_dets[stages]).max(), 1e-3)
    for axis, k in zip(axes, stages, strict=True):
        drawn = axis.pcolormesh(
            *np.moveaxis(points[k], -1, 0),
            log_dets[k],
            shading="gouraud",
            cmap="RdBu_r",
            vmin=-largest,
            vmax=largest,
            rasterized=True,
        )
        titled(axis, k, len(points) - 1)
    figure.colorbar(drawn, ax=axes, label="log |det J|")
    outer_labels(figure, axes, "$z_1$", "$z_2$")
    return figure


def density_through_layers(flow: Flow, *, most: int = 8, condition: Condition = None) -> Figure:
    """The density on its way through the chain, from q_0 to q_K.

        log q_k(z_k) = log q_0(z_0) - sum_(j<=k) log |det df_j|    drawn at z_k

    A panel per layer, as in `warped_grid`, each with a colour scale of its own. The mesh moves with the
    points, so that it is fine where the density is high. One pass through the flow, no inverse.

    Raises:
        FlowError: the flow is not of dim 2.
        ArgumentError: `most` is below 2.
        DependencyError: matplotlib is missing.

    Source: Rezende & Mohamed 2015 (arXiv 1505.05770), equation 7 and figure 1.

    Example:
        >>> import flowvi
        >>> from flowvi.plots import density_through_layers
        >>> figure = density_through_layers(flowvi.flows.real_nvp(2, key=0, layers=2))
        >>> len(figure.axes)
        5
    """
    grid = mesh(flow)
    points, log_dets = through(flow, grid, condition)
    densities = np.exp(_base_log_prob(flow, grid) - log_dets)
    stages = shown(len(points), most)
    figure, axes = panels(len(stages), size=_SIZE, share=True)
    for axis, k in zip(axes, stages, strict=True):
        axis.pcolormesh(
            *np.moveaxis(points[k], -1, 0),
            densities[k],
            shading="gouraud",
            cmap="Blues",
            vmin=0,
            rasterized=True,
        )
        titled(axis, k, len(points) - 1, symbol="q")
    outer_labels(figure, axes, "$z_1$", "$z_2$")
    return figure


def local_linear_map(
    flow: Flow,
    at: Float[Array | np.ndarray, " 2"] | None = None,
    *,
    sides: tuple[float, ...] = (1.0, 0.3, 0.1),
    condition: Condition = None,
) -> Figure:
    """The Jacobian as the best linear map near a point: it turns small squares into parallelograms.

        f(a + h) = f(a) + J h + O(|h|^2),    area of the parallelogram = |det J| side^2

    The first panel shows squares around a = `at` (the middle of the base unless given); then, for each side,
    the image of its square (blue) and the parallelogram of J (red, dashed). A title says by how much the two
    differ at most on their edges, relative to the largest |J h|: an error that shrinks with the side.

    Shapes: at (2,), on the side of the base. Cost: one pass, and one Jacobian by differentiation.

    Raises:
        FlowError: the flow is not of dim 2.
        ArgumentError: a side is not positive, or there are none; `at` is no point of the plane.
        DependencyError: matplotlib is missing.

    Source: Rezende & Mohamed 2015 (arXiv 1505.05770), equation 5.

    Example:
        >>> import flowvi
        >>> from flowvi.plots import local_linear_map
        >>> figure = local_linear_map(flowvi.flows.real_nvp(2, key=0, layers=2), at=[0.5, 0.5])
        >>> len(figure.axes)
        4
    """
    check_plane(flow)
    sides = _checked_sides(sides)
    middle = np.mean(box(flow), axis=0) if at is None else _checked_point(at)
    # also what is wrong with the condition is said there
    through(flow, middle[None], condition)
    value, jacobian = _linearised(flow, middle, condition)
    figure, axes = panels(1 + len(sides), size=_SIZE)
    for side in sides:
        axes[0].plot(*(middle + side * _EDGE).T, color=INK, linewidth=1)
    axes[0].set(title="squares in $z_0$", aspect="equal")
    for axis, side in zip(axes[1:], sides, strict=True):
        linear = side * _EDGE @ jacobian.T
        image = through(flow, middle + side * _EDGE, condition)[0][-1]
        off = np.linalg.norm(image - value - linear, axis=-1).max() / np.linalg.norm(linear, axis=-1).max()
        axis.plot(*image.T, color=INK, linewidth=1.2)
        axis.plot(*(value + linear).T, "--", color=OFF, linewidth=1)
        axis.set(title=f"side {side:g}: off by {100 * off:.1f}%", aspect="equal")
    outer_labels(figure, axes, f"|det J| = {abs(np.linalg.det(jacobian)):.3g}", "")
    return figure


def _checked_sides(sides: Any) -> tuple[float, ...]:
    numbers = np.atleast_1d(np.asarray(sides, object))
    if numbers.ndim != 1 or not len(numbers):
        raise ArgumentError(f"sides must be positive numbers, at least one, but is {sides!r}.")
    return tuple(positive_number("sides", side) for side in numbers)


def _checked_point(at: Any) -> np.ndarray:
    try:
        point = np.asarray(at, np.float64)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"at={at!r} is no array of numbers: {error}.") from error
    if point.shape != (2,) or not np.isfinite(point).all():
        raise ArgumentError(f"at={at!r}: give a point of the plane, two finite numbers.")
    return point


_CORNERS = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5], [-0.5, -0.5]])
_EDGE = np.concatenate([np.linspace(a, b, 50) for a, b in itertools.pairwise(_CORNERS)])
"""Once around the unit square."""


@double_precision
def _linearised(flow: Flow, at: np.ndarray, condition: Condition) -> tuple[np.ndarray, np.ndarray]:
    context = None if condition is None else jnp.asarray(condition, float)
    value, jacobian = _value_and_jacobian(flow, jnp.asarray(at), context)
    return np.asarray(value), np.asarray(jacobian)


@Compiled
def _value_and_jacobian(flow: Flow, at: Array, condition: Array | None) -> tuple[Array, Array]:
    def forward(x: Array) -> Array:
        return flow.bijection.forward_and_log_det(x, condition)[0]

    return forward(at), jax.jacrev(forward)(at)


@double_precision
def _base_log_prob(flow: Flow, points: np.ndarray) -> np.ndarray:
    flat = batch_map(flow.base.log_prob, jnp.asarray(points.reshape(-1, 2)))
    return np.asarray(flat).reshape(points.shape[:-1])
