"""The benchmarks' energies of Rezende & Mohamed: the densities of table 1, and their normalisers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate

from from_benchmarks import load

energies = load("energies")


def _table_1(name, z1, z2):
    """As the paper writes it, with the wall."""
    w1 = np.sin(2 * np.pi * z1 / 4)
    w2 = 3 * np.exp(-0.5 * ((z1 - 1) / 0.6) ** 2)
    w3 = 3 / (1 + np.exp(-(z1 - 1) / 0.3))
    norm = np.hypot(z1, z2)
    wall = 5 * max(norm - 4, 0) ** 2
    bumps = np.exp(-0.5 * ((z1 - 2) / 0.6) ** 2) + np.exp(-0.5 * ((z1 + 2) / 0.6) ** 2)
    if name == "U1":
        return 0.5 * ((norm - 2) / 0.4) ** 2 - np.log(bumps)
    if name == "U2":
        return 0.5 * ((z2 - w1) / 0.4) ** 2 + wall
    first, split = (0.35, w2) if name == "U3" else (0.4, w3)
    two = np.exp(-0.5 * ((z2 - w1) / first) ** 2) + np.exp(-0.5 * ((z2 - w1 + split) / 0.35) ** 2)
    return -np.log(two) + wall


@pytest.mark.parametrize("name", energies.ENERGIES)
def test_densities_are_those_of_table_1(name):
    z = np.array([[0.1, 0.4], [-2.3, 0.5], [1.2, -1.9], [2.5, -2.8], [-3.9, 1.8], [0.9, 0.9]])
    expected = [-_table_1(name, *point) for point in z]
    np.testing.assert_allclose(energies.log_densities(name, z), expected, rtol=1e-9)


@pytest.mark.parametrize("name", energies.ENERGIES)
def test_normaliser_by_adaptive_quadrature(name):
    def along_z2(z1):
        # the density is narrow: where it may lie is told
        breaks = np.linspace(-5, 5, 21)
        return scipy.integrate.quad(
            lambda z2: np.exp(-_table_1(name, z1, z2)), -7, 7, points=breaks, limit=200, epsabs=1e-9
        )[0]

    z1 = np.linspace(-7, 7, 141)
    expected = np.log(scipy.integrate.trapezoid([along_z2(value) for value in z1], z1))
    assert energies.log_normaliser(name) == pytest.approx(expected, abs=1e-4)


def test_normaliser_of_the_first():
    assert energies.log_normaliser("U1") == pytest.approx(1.8775016, abs=1e-6)


@pytest.mark.parametrize("name", energies.ENERGIES)
def test_normaliser_does_not_depend_on_the_grid(name):
    for half, cells in ((9.0, 1000), (6.5, 700)):
        points, area = energies.grid(half, cells)
        coarse = np.log(np.exp(energies.log_densities(name, points)).sum() * area)
        assert coarse == pytest.approx(energies.log_normaliser(name), abs=1e-5)


@pytest.mark.parametrize("name", energies.ENERGIES)
def test_gradients_are_finite_everywhere(name):
    for point in ((0.0, 0.0), (4.0, 0.0), (1.0, 1.0), (30.0, -40.0), (-1e3, 1e3)):
        assert np.all(np.isfinite(jax.grad(energies.ENERGIES[name])(jnp.array(point))))
