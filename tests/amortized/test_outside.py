"""Data outside what was simulated: warned of by whatever conditions on them."""

import warnings

import numpy as np
import pytest
from amortized_cases import briefly, normal

from flowvi.amortized import familiar as familiar_module
from flowvi.amortized import result as result_module
from flowvi.amortized.familiar import Familiar, outside
from flowvi.amortized.layout import Batch
from flowvi.amortized.summary import Flatten


def test_one_data_set_is_outside_below_a_hundredth():
    assert outside(np.array([0.0099])).tolist() == [0]
    assert outside(np.array([0.0101])).tolist() == []


def test_of_many_data_sets_some_are_far_out_by_chance():
    rng = np.random.default_rng(0)
    found = [len(outside(rng.uniform(size=1000))) > 0 for _ in range(500)]
    # about one in a hundred calls
    assert np.mean(found) < 0.01 + 4 * np.sqrt(0.01 / 500)
    shares = rng.uniform(size=1000)
    shares[[17, 400]] = 1e-9
    assert outside(shares).tolist() == [17, 400]
    shares[100:600] = rng.uniform(0, 0.004, size=500)
    assert len(outside(shares)) >= 500


def test_summaries_that_are_not_finite_are_outside():
    rng = np.random.default_rng(0)
    seen, held_out = (Batch(rng.normal(size=(n, 3)).astype(np.float32), None) for n in (300, 100))
    held_out.values[3, 1] = np.nan
    familiar = Familiar.of(Flatten(3), seen, held_out)
    assert len(familiar.distances) == 99
    x = Batch(np.array([[0.1, 0.2, -0.3], [0.1, np.nan, 0.3]], np.float32), None)
    shares = familiar.share_beyond(x.values.astype(float), x)
    assert shares[0] > 0.05
    assert shares[1] == 0


@pytest.fixture(scope="module")
def of_normal():
    return briefly(normal)


FAR = 1e3 * np.ones(4)
CALLS = {
    "sample": lambda amortized, x: amortized.sample(x, 3),
    "log_prob": lambda amortized, x: amortized.log_prob({"mu": np.zeros(np.shape(x)[:-1])}, x),
    "posterior": lambda amortized, x: amortized.posterior(x, 100),
}


@pytest.mark.slow
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_each_call_warns_once_where_it_is_made(of_normal, call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call(of_normal, FAR)
    (one,) = caught
    assert "The data lie outside what was simulated: 0.00%" in str(one.message)
    assert one.filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        call(of_normal, np.array([0.3, -0.2, 1.1, 0.5]))


@pytest.mark.slow
def test_of_several_data_sets_it_is_told_which(of_normal):
    x = np.zeros((6, 4))
    x[[2, 5]] = FAR
    for call in (CALLS["sample"], CALLS["log_prob"]):
        with pytest.warns(UserWarning, match=r"2 of 6 data sets, first x\[2\], lie outside"):
            call(of_normal, x)


@pytest.mark.slow
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_summaries_are_computed_once(of_normal, call, monkeypatch):
    calls = []

    def counted(*args):
        calls.append(1)
        return summaries(*args)

    summaries = result_module.summaries
    for module in (result_module, familiar_module):
        monkeypatch.setattr(module, "summaries", counted)
    call(of_normal, np.zeros(4))
    assert len(calls) == 1
