"""The tasks of benchmarks/amortized.py, against what their definitions imply."""

import numpy as np
import pytest

from from_benchmarks import load

tasks = load("amortized_tasks")
N = 40_000


@pytest.mark.parametrize("task", tasks.TASKS)
def test_simulations_are_finite_and_within_the_prior(task):
    parameters, x = tasks.simulated(task, 500, 0)
    assert len(parameters) == len(x) == 500
    assert np.isfinite(x).all()
    support = tasks.TASKS[task].support
    if support != "real":
        assert np.all((parameters > support[1]) & (parameters < support[2]))


def test_points_of_slcp_have_the_covariance_of_the_definition():
    parameters = np.repeat([[0.7, -2.9, -1.2, 0.9, 0.6]], N, axis=0)
    x = tasks.slcp(parameters, np.random.default_rng(0)).reshape(N, 4, 2)
    s1, s2, rho = 1.2**2, 0.9**2, np.tanh(0.6)
    covariance = np.array([[s1**2, rho * s1 * s2], [rho * s1 * s2, s2**2]])
    np.testing.assert_allclose(x.mean(axis=(0, 1)), [0.7, -2.9], atol=0.03)
    np.testing.assert_allclose(np.cov(x.reshape(-1, 2).T), covariance, atol=0.03)
    # the four points are independent
    assert abs(np.corrcoef(x[:, 0, 0], x[:, 1, 0])[0, 1]) < 4 / N**0.5


def test_moons_do_not_tell_the_sign_of_a_sum():
    rng = np.random.default_rng(0)
    one, two = (tasks.two_moons(np.repeat([p], N, axis=0), rng) for p in ([0.5, 0.2], [-0.2, -0.5]))
    np.testing.assert_allclose(one.mean(axis=0), two.mean(axis=0), atol=0.01)
    # a half circle of radius 0.1: the mean of its cosine is 2 / pi
    wanted = [0.25 + 0.1 * 2 / np.pi - 0.7 / np.sqrt(2), -0.3 / np.sqrt(2)]
    np.testing.assert_allclose(one.mean(axis=0), wanted, atol=0.01)


def test_statistics_of_the_glm_are_those_of_its_design():
    parameters = np.zeros((N, 10))
    x = tasks.bernoulli_glm(parameters, np.random.default_rng(0))
    np.testing.assert_allclose(x.mean(axis=0), 0.5 * tasks.DESIGN.sum(axis=0), atol=0.2)
    assert tasks.DESIGN[5, 3] == tasks.DESIGN[3, 1]
    assert abs(tasks.DESIGN[0, 1] - 0.496714) < 1e-6


def test_the_prior_of_the_glm_has_the_precision_of_the_definition():
    draws = tasks.glm_prior(np.random.default_rng(0), N)
    d = np.eye(9) - np.eye(9, k=-1)
    f = d @ d + np.diag(np.sqrt(np.arange(9) / 9))
    precision = np.zeros((10, 10))
    precision[0, 0], precision[1:, 1:] = 0.5, f.T @ f
    root = np.linalg.cholesky(precision)
    np.testing.assert_allclose(np.cov((draws @ root).T), np.eye(10), atol=0.04)
