"""Pictures of a flow's geometry: the numbers on their axes, not their pixels."""

import re
import sys
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

from flowvi import flows
from flowvi.bijections import trainable
from flowvi.errors import ArgumentError, DependencyError, FlowError
from flowvi.flows.layers import layers, through_layers
from flowvi.plots import area_magnification, density_through_layers, local_linear_map, warped_grid

PICTURES = (warped_grid, area_magnification, density_through_layers, local_linear_map)
LAYERS = 2
_quickly = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


@pytest.fixture(autouse=True)
def _drawn_nowhere():
    mpl.use("Agg")
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def flow():
    return _bent(flows.real_nvp(2, key=0, layers=LAYERS, width=8))


def _bent(flow):
    numbers = np.random.default_rng(1)
    with jax.enable_x64(True):
        parameters, rest = eqx.partition(flow, trainable(flow))
        moved = jax.tree.map(lambda a: jnp.asarray(a + 0.3 * numbers.normal(size=a.shape)), parameters)
        return eqx.combine(moved, rest)


def _forward(flow, k):
    """The map of the first k layers."""

    def of_point(x):
        for layer in layers(flow)[:k]:
            x, _ = layer.forward_and_log_det(x)
        return x

    return of_point


def _meshes(figure):
    """Points (rows, columns, 2) and values of each panel."""
    drawn = [axis.collections[0] for axis in figure.axes if axis.get_title()]
    points = [np.ma.getdata(mesh.get_coordinates()) for mesh in drawn]
    values = [np.ma.getdata(mesh.get_array()) for mesh in drawn]
    return [(p, v.reshape(p.shape[:2])) for p, v in zip(points, values, strict=True)]


def test_lines_of_the_grid_are_the_images_of_those_of_the_base(flow):
    axes = warped_grid(flow).axes
    assert len(axes) == 1 + len(layers(flow))
    base = np.stack([line.get_xydata() for line in axes[0].lines])
    with jax.enable_x64(True):
        for k, axis in enumerate(axes):
            lines = np.stack([line.get_xydata() for line in axis.lines])
            expected = _quickly(jax.vmap(jax.vmap(_forward(flow, k))))(jnp.asarray(base[::6, ::50]))
            np.testing.assert_allclose(lines[::6, ::50], expected, rtol=1e-12, atol=1e-12)
    # half of the lines keep the first coordinate, half the second, and nearly all draws lie between them
    constant = (np.ptp(base, axis=1) == 0).sum(axis=0)
    np.testing.assert_array_equal(constant, len(base) // 2)
    draws = np.random.default_rng(0).normal(size=(1000, 2))
    inside = np.all((draws > base.min((0, 1))) & (draws < base.max((0, 1))), axis=1)
    assert inside.mean() > 0.99


def test_the_last_panel_shows_where_the_flow_takes_points(flow):
    first, *_, last = warped_grid(flow).axes
    x, z = first.lines[3].get_xydata()[::40], last.lines[3].get_xydata()[::40]
    with jax.enable_x64(True):
        back = _quickly(jax.vmap(flow.bijection.inverse_and_log_det))(jnp.asarray(z))[0]
    np.testing.assert_allclose(back, x, rtol=1e-9, atol=1e-9)


def test_magnification_is_the_jacobians_determinant(flow):
    panels = _meshes(area_magnification(flow))
    base, at_start = panels[0]
    np.testing.assert_array_equal(at_start, 0)
    for k, (points, log_dets) in enumerate(panels):
        with jax.enable_x64(True):
            jacobian = _quickly(jax.vmap(jax.jacfwd(_forward(flow, k))))
            jacobians = jacobian(jnp.asarray(base[::40, ::40].reshape(-1, 2)))
        expected = np.linalg.slogdet(jacobians)[1]
        np.testing.assert_allclose(log_dets[::40, ::40].ravel(), expected, rtol=1e-9, atol=1e-12)
        # and the areas on the page are what the colour says
        grown = _areas(points) / _areas(base)
        np.testing.assert_allclose(np.median(grown / np.exp(_middles(log_dets))), 1, atol=1e-3)


def test_density_of_every_panel_integrates_to_one(flow):
    panels = _meshes(density_through_layers(flow))
    assert len(panels) == 1 + len(layers(flow))
    for points, density in panels:
        assert np.sum(_middles(density) * _areas(points)) == pytest.approx(1, abs=0.003)


def test_density_of_the_last_panel_is_the_flows(flow):
    points, density = _meshes(density_through_layers(flow))[-1]
    np.testing.assert_allclose(density[::20, ::20], np.exp(flow.log_prob(points[::20, ::20])), rtol=1e-9)


def test_parallelogram_is_the_jacobians_and_its_error_shrinks_with_the_square(flow):
    at, step = np.array([0.4, -0.7]), 1e-5
    figure = local_linear_map(flow, at, sides=(0.4, 0.2, 0.1))
    with jax.enable_x64(True):
        forward = _quickly(_forward(flow, len(layers(flow))))
        ahead, back = (
            np.stack([forward(jnp.asarray(at + s * row)) for row in np.eye(2)], axis=1) for s in (step, -step)
        )
        jacobian, value = (ahead - back) / (2 * step), np.asarray(forward(jnp.asarray(at)))
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) / 2
    errors = []
    for axis, side in zip(figure.axes[1:], (0.4, 0.2, 0.1), strict=True):
        image, parallelogram = (line.get_xydata() for line in axis.lines)
        np.testing.assert_allclose(parallelogram[::50], value + side * corners @ jacobian.T, atol=1e-7)
        with jax.enable_x64(True):
            expected = [forward(jnp.asarray(corner)) for corner in at + side * corners]
        np.testing.assert_allclose(image[::50], expected, rtol=1e-12)
        errors.append(float(re.search(r"([\d.]+)%", axis.get_title())[1]))
    # halving the square halves the relative error, but for rounding in the titles
    np.testing.assert_allclose(np.divide(errors[:-1], errors[1:]), 2, rtol=0.2)
    assert f"{abs(np.linalg.det(jacobian)):.3g}" in figure.get_supxlabel()


def test_of_many_layers_some_are_shown():
    long = flows.real_nvp(2, key=0, layers=20, width=2)
    titles = [axis.get_title() for axis in warped_grid(long, most=5).axes]
    assert titles == [
        "$z_{0}$: the base",
        "$z_{6}$: layer 6",
        "$z_{11}$: layer 11",
        "$z_{16}$: layer 16",
        "$z_{22}$: the flow",
    ]


def test_a_flow_that_moves_nothing_can_be_drawn():
    for picture in PICTURES:
        picture(flows.gaussian(2))


def test_pictures_see_the_condition():
    flow = _bent(flows.real_nvp(2, key=0, layers=2, width=4, condition_dim=1))
    last = [warped_grid(flow, condition=np.array([c])).axes[-1].lines[0].get_xydata() for c in (-1.0, 1.0)]
    assert np.abs(last[0] - last[1]).max() > 0.01
    points, density = _meshes(density_through_layers(flow, condition=np.array([1.0])))[-1]
    expected = np.exp(flow.log_prob(points[::50, ::50], np.array([1.0])))
    np.testing.assert_allclose(density[::50, ::50], expected, rtol=1e-9)
    local_linear_map(flow, condition=np.array([1.0]))


@pytest.mark.parametrize("picture", PICTURES)
def test_errors_name_what_is_wrong(picture, monkeypatch, as_users_run_it):
    with pytest.raises(FlowError, match="dim 3, but only the plane"):
        picture(flows.gaussian(3))
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(DependencyError, match=r"pip install 'flowvi\[plots\]'"):
        picture(flows.gaussian(2))


def test_wrong_arguments_are_errors(as_users_run_it):
    for most in (1, "a", 2.5, None):
        with pytest.raises(ArgumentError, match=f"most is {most!r}"):
            warped_grid(flows.gaussian(2), most=most)
    for sides in ((), (0.5, 0.0), "a", (0.5, "a"), ((0.5,),), None):
        with pytest.raises(ArgumentError, match="sides"):
            local_linear_map(flows.gaussian(2), sides=sides)
    for at in ([1, 2, 3], "a", [[1, 2]], [np.nan, 0], 1.0, [[1], [2, 3]]):
        with pytest.raises(ArgumentError, match="at="):
            local_linear_map(flows.gaussian(2), at=at)


def test_wrong_conditions_are_errors(as_users_run_it):
    conditional = flows.real_nvp(2, key=0, layers=1, width=2, condition_dim=1)
    for flow, condition in (
        (conditional, None),
        (conditional, np.zeros(2)),
        (flows.gaussian(2), np.zeros(1)),
    ):
        for picture in PICTURES:
            with pytest.raises(FlowError, match="The condition has shape"):
                picture(flow, condition=condition)


@pytest.mark.parametrize("points", [np.zeros((4, 3)), np.zeros(2), "a", [[1.0], [2.0, 3.0]]])
def test_points_that_do_not_fit_the_layers_are_errors(points, as_users_run_it):
    with pytest.raises(FlowError, match="base_points"):
        through_layers(flows.gaussian(2), points)


def _areas(points):
    """Of the quadrilaterals of a mesh, by their diagonals."""
    first = points[1:, 1:] - points[:-1, :-1]
    second = points[:-1, 1:] - points[1:, :-1]
    return np.abs(first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]) / 2


def _middles(values):
    return (values[1:, 1:] + values[:-1, 1:] + values[1:, :-1] + values[:-1, :-1]) / 4
