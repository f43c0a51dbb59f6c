"""Programs that factorise a matrix for each row would wait for each other without end, side by side."""

import importlib

import numpy as np
import pytest

from flowvi import flows

module = importlib.import_module("flowvi.flows.flow")

ALONE = {
    "residual": (flows.residual(2, key=0), None),
    "conditional gaussian": (flows.gaussian(3, key=0, condition_dim=2), np.ones(2)),
}


@pytest.mark.parametrize("name", ALONE)
def test_many_rows_go_one_batch_after_the_other(name, monkeypatch):
    def threads(*_):
        raise AssertionError("several batches at once")

    flow, condition = ALONE[name]
    x = np.random.default_rng(0).normal(size=(9000, flow.dim))
    monkeypatch.setattr(module, "map_on_all_cores", threads)
    many = flow.log_prob(x, condition)
    np.testing.assert_allclose(many[-3:], flow.log_prob(x[-3:], condition), rtol=1e-5)
