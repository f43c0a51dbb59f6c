"""Modes that differ by an order of labels, and modes that do not."""

from itertools import permutations

import numpy as np
import pytest

from flowvi.diagnostics.label_switching import switched_labels

MU, WEIGHT = np.array([-3.0, 0.0, 4.0]), np.array([0.2, 0.3, 0.5])
ORDERS = [list(order) for order in permutations(range(3))]


def mixture(orders, noise=0.02, **others):
    rng = np.random.default_rng(0)
    means = {"mu": np.stack([MU[order] for order in orders])}
    means |= {"weight": np.stack([WEIGHT[order] for order in orders])}
    means |= {"sigma": np.ones(len(orders))}
    means |= {name: np.asarray(value, float) for name, value in others.items()}
    means = {name: mean + noise * rng.normal(size=mean.shape) for name, mean in means.items()}
    return means, {name: np.full(mean.shape, 0.1) for name, mean in means.items()}


def test_all_orders_of_three_components():
    assert switched_labels(*mixture(ORDERS)) == ("mu", "weight")


def test_one_mode_and_the_same_mode_twice():
    assert switched_labels(*mixture(ORDERS[:1])) == ()
    assert switched_labels(*mixture([ORDERS[0], ORDERS[0]])) == ()


def test_quantities_that_go_through_different_orders_are_no_labels():
    means, sds = mixture(ORDERS[:2])
    means["weight"][1] = WEIGHT[ORDERS[3]]
    assert switched_labels(means, sds) == ()


@pytest.mark.parametrize("other", [[0.0, 1.0], [[0.0, 1.0], [1.0, 1.0]]], ids=["scalar", "of another length"])
def test_modes_that_differ_in_something_else_as_well(other):
    assert switched_labels(*mixture(ORDERS[:2], other=other)) == ()


def test_two_modes_that_are_not_each_others_order():
    assert switched_labels({"x": np.array([[-4.0, 0.0], [4.0, 0.0]])}, {"x": np.ones((2, 2))}) == ()


def test_matrices_are_ordered_by_their_rows():
    means, sds = mixture(ORDERS[:2], row=np.stack([np.outer(MU[order], [1, 2]) for order in ORDERS[:2]]))
    assert switched_labels(means, sds) == ("mu", "row", "weight")


def test_more_labels_than_can_be_tried():
    x = np.arange(8.0)
    means = {"x": np.stack([x, x[::-1]])}
    assert switched_labels(means, {"x": np.full((2, 8), 0.1)}) == ()
