"""Tables, functions and whatever else people give: taken, or refused in words."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from amortized_cases import briefly, model, normal

from flowvi.amortized.arguments import plain, whole
from flowvi.amortized.checks import check_draws
from flowvi.amortized.layout import layout_of
from flowvi.amortized.simulators import FromFunctions
from flowvi.amortized.statistics import Statistics, WithStatistics
from flowvi.amortized.stored import Stored
from flowvi.errors import ArgumentError, DataError

pd = pytest.importorskip("pandas")
RNG = np.random.default_rng(0)
MU, X = RNG.normal(size=300), RNG.normal(size=(300, 4))


def test_ragged_lists_are_said_to_be():
    layout = layout_of(list(X))
    with pytest.raises(DataError, match=r"x\[0\] has shape \(3,\)"):
        layout.read([[1, 2, 3], [1, 2]])
    with pytest.raises(DataError, match=r"x\[1\] has shape \(2,\)"):
        layout.read([[1, 2, 3, 4], [1, 2]])
    sets = layout_of([np.ones((2, 2)), np.zeros((3, 2))], sizes_vary=True)
    with pytest.raises(DataError, match=r"x\[0\] is not an array of numbers"):
        sets.read([[[1, 2], [1]], [[1, 2]]])


def test_a_table_of_data_sets_is_read_by_row():
    layout = layout_of(list(X))
    batch, single = layout.read(pd.DataFrame(X[:5], columns=list("abcd")))
    assert not single
    np.testing.assert_array_equal(batch.values, layout.batch(list(X[:5])).values)
    assert layout.read(pd.Series(X[0]))[1]
    assert plain([1, 2]) == [1, 2]


def test_stored_tables():
    table = pd.DataFrame(X, columns=list("abcd"))
    for stored in (Stored.of(({"mu": MU}, table)), Stored.of((pd.DataFrame({"mu": MU}), table))):
        pairs = stored(0, 300)
        order = np.random.default_rng(0).permutation(300)
        np.testing.assert_array_equal(pairs.parameters["mu"], MU[order])
        np.testing.assert_array_equal(np.stack(pairs.x), X[order])


STORED = {
    "no pair": (pd.DataFrame(X), "whole number, or a pair"),
    "words": ("many", "whole number, or a pair"),
    "no parameters": (({}, X), "empty dict"),
    "an array": ((MU, X), "a dict of arrays"),
    "words for parameters": (({"mu": ["a"] * 300}, X), "Parameter 'mu' came as a list"),
    "words for data": (({"mu": MU}, ["a"] * 300), "Data set 0 came as a str"),
    "a number": (({"mu": MU}, 3.0), "Stored data are a float"),
}


@pytest.mark.parametrize(("simulations", "match"), STORED.values(), ids=STORED)
def test_other_stored_simulations_are_refused(simulations, match):
    with pytest.raises(ArgumentError, match=match):
        Stored.of(simulations)


RETURNED = {
    "no parameters": (({}, X[0]), "empty dict"),
    "nested parameters": (({"a": {"b": 1.0}}, X[0]), "'a' came as a dict: give arrays by name, 'a/b'"),
    "words": (({"a": "x"}, X[0]), "Parameter 'a' came as a str, 'x'"),
    "nothing in a parameter": (({"a": []}, X[0]), r"'a' has shape \(0,\)"),
    "words as data": (({"a": 1.0}, "x"), "simulated data came as a str"),
    "ragged data": (({"a": 1.0}, [[1.0], [1.0, 2.0]]), "simulated data came as a list"),
}


@pytest.mark.parametrize(("pair", "match"), RETURNED.values(), ids=RETURNED)
def test_what_a_simulator_may_not_return_is_no_failed_draw(pair, match):
    with pytest.raises(ArgumentError, match=match):
        FromFunctions(lambda rng: pair, None, "y")(0, 10)
    with pytest.raises(ArgumentError, match=match):
        FromFunctions(lambda parameters, rng: pair[1], lambda rng: pair[0], "y")(0, 10)


def test_numbers_have_to_be_whole():
    assert whole("n", np.int64(3), 1) == 3
    for value in (True, 2.0, -1, "3", None):
        with pytest.raises(ArgumentError, match=r"n=.*: give a whole number, 0 or more"):
            whole("n", value, 0)


NUMBERS = {
    "a fraction": (lambda: briefly(normal, simulations=300.5), "simulations=300.5"),
    "not a number": (lambda: briefly(normal, simulations=np.nan), "simulations=nan"),
    "stored beside a simulator": (lambda: briefly(normal, simulations=({"mu": MU}, X)), "neither"),
    "no data": (lambda: briefly(model=model), "missing a required argument: 'y'"),
}


@pytest.mark.parametrize(("call", "match"), NUMBERS.values(), ids=NUMBERS)
def test_arguments_that_cannot_be_are_refused(call, match):
    with pytest.raises(ArgumentError, match=match):
        call()


@pytest.mark.slow
def test_whole_numbers_may_be_floats_and_seeds_are_not_negative():
    amortized = briefly(normal, simulations=3e2)
    assert amortized.simulations == 300
    for call in (amortized.sample, amortized.posterior):
        with pytest.raises(ArgumentError, match="seed=-1"):
            call(np.zeros(4), 3, seed=-1)
    with pytest.raises(ArgumentError, match="seed=-1"):
        amortized.check(seed=-1)
    with pytest.raises(ArgumentError, match="simulations=1: give a whole number, 2 or more"):
        amortized.check(1)
    with pytest.raises(ArgumentError, match="draws=1"):
        amortized.check(2, draws=1)
    assert amortized.check(2).simulations == 2


def test_nothing_contracts_where_the_truth_is_the_same():
    checks = check_draws({"mu": np.ones(3)}, {"mu": RNG.normal(size=(3, 50))})
    assert np.isnan(checks.scalars["mu"].contraction)


class Bad(eqx.Module):
    how: object = eqx.field(static=True)

    def __call__(self, x):
        return self.how(x)


MODULES = {
    "an index too many": (lambda x: x[..., 7, :], r"data set of shape \(4,\): IndexError"),
    "a name": (lambda x: {}["a"], "KeyError: 'a'"),
    "a tuple": (lambda x: (x, x), "made a tuple of one data set"),
    "nothing": (lambda x: x[:0], "with numbers in it"),
}


@pytest.mark.parametrize(("how", "match"), MODULES.values(), ids=MODULES)
def test_a_module_that_does_not_fit_is_said_to(how, match):
    with pytest.raises(ArgumentError, match=match):
        briefly(normal, summary=Bad(how))


def test_grey_images_have_one_scale():
    images = [RNG.normal(3, 2, size=(6, 5)) for _ in range(200)]
    grey = layout_of(images, one_scale=True)
    assert grey.location.shape == grey.scale.shape == ()
    # one of thousands of pixels has the same
    assert abs(grey.location - 3) < 0.2
    assert abs(grey.scale - 2) < 0.2
    assert abs(grey.batch(images).values.std() - 1) < 1e-5
    colours = [RNG.normal(size=(6, 5, 3)) for _ in range(10)]
    assert layout_of(colours, one_scale=True).location.shape == (3,)
    assert layout_of(images).location.shape == (5,)


@pytest.mark.slow
def test_images_are_grey_by_the_name_of_the_summary():
    def simulate(rng):
        mu = rng.normal()
        return {"mu": mu}, rng.normal(mu, 1.0, size=(6, 6))

    amortized = briefly(simulate, summary="image", max_steps=2)
    assert amortized._layout.location.shape == ()
    assert amortized.sample(np.zeros((6, 6)), 5)["mu"].shape == (5,)


def moments(x):
    return np.array([x.mean(), x.std()])


def jax_moments(x):
    return jnp.stack([jnp.mean(x), jnp.std(x)])


def test_statistics_are_vectors_of_the_data_as_they_are():
    sets = [RNG.normal(5.0, 2.0, size=n) for n in RNG.integers(3, 9, size=50)]
    layout = layout_of(sets, statistics=Statistics(moments))
    assert layout.varies
    batch, single = layout.read(sets[3])
    assert single
    np.testing.assert_allclose(batch.values[0] * layout.scale + layout.location, moments(sets[3]), rtol=1e-5)
    assert layout.read(sets[:7])[0].values.shape == (7, 2)
    with pytest.raises(DataError, match="summary= failed for these data: IndexError"):
        layout_of(sets, statistics=Statistics(lambda x: [x[2]])).read(np.ones(2))
    with pytest.raises(DataError, match="for simulated data it gave 1 finite"):
        layout_of(sets, statistics=Statistics(lambda x: np.where(x[0] == 7, np.nan, x[0]))).read([7.0, 1.0])


def test_simulations_without_statistics_are_dropped():
    def fussy(x):
        if x[0] > 1:
            raise ValueError(f"no moments of {x[0]}")
        return np.nan if x[0] < -1 else x.sum()

    pairs = WithStatistics(FromFunctions(normal, None, "y"), Statistics(fussy))(0, 200)
    assert set(pairs.failed) >= {"statistics with NaN or infinite values"}
    assert len(pairs.failed) == 2
    assert len(pairs.x) + sum(pairs.failed.values()) == 200
    for function, match in (
        (lambda x: "a", "returned a str"),
        (lambda x: np.ones((2, 2)), r"shape \(2, 2\)"),
        (lambda x: x[: 1 + (x[0] > 0)], r"vectors of \[1, 2\]"),
    ):
        with pytest.raises(ArgumentError, match=match):
            WithStatistics(FromFunctions(normal, None, "y"), Statistics(function))(0, 200)


@pytest.mark.slow
@pytest.mark.parametrize("summary", [moments, jax_moments])
def test_sufficient_statistics_are_enough(summary):
    amortized = briefly(normal, summary=summary, simulations=2000, max_steps=400)
    assert amortized.summary.size == 2
    x = np.array([0.2, 1.0, -0.4, 0.6])
    draws = amortized.sample(x, 4000)["mu"]
    sd = 5**-0.5
    # q is off by a fifth of an sd at most after so short a training
    assert abs(draws.mean() - x.sum() / 5) < (0.2 + 4 / np.sqrt(4000)) * sd
    assert abs(draws.std() / sd - 1) < 0.2


@pytest.mark.slow
def test_statistics_beside_a_likelihood():
    y = np.array([[0.7, -1.2], [1.1, -0.4], [0.4, -0.9]])
    amortized = briefly(
        model=model, y=np.zeros_like(y), summary=lambda x: x.mean(axis=0), simulations=2000, max_steps=300
    )
    assert amortized.posterior(y).verdict.level == "good"
    by_bound = briefly(model=model, y=np.zeros_like(y), summary=lambda x: x.mean(axis=0), objective="elbo")
    assert np.isfinite(by_bound.held_out.value)
