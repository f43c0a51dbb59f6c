"""What of a model depends on its data: left out of draws, found for the lower bound, never rounded."""

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from amortized_cases import briefly

import flowvi
from flowvi.amortized.contrast import contrasts
from flowvi.amortized.likelihood import Likelihood, Model
from flowvi.amortized.parameters import ModelParameters
from flowvi.errors import ArgumentError, CannotSimulateError, DataError


def parameters_of(model, n=50, seed=0, **kwargs):
    """The parameters of a model, by its own simulations."""
    whole = Model(model, (), kwargs, None, None)
    target = whole.target("test")
    simulated, observed = target.prior_predictive(seed, n)
    x = [np.asarray(one) for one in observed["y"]]
    given = Likelihood.of(whole, target, "y", False, x)
    return ModelParameters.of(given(x[0]), [given(one) for one in contrasts(x)], simulated), x


def mixture(y):
    mu = numpyro.sample("mu", dist.Normal(3, 0.1))
    with numpyro.plate("n", 4):
        k = numpyro.sample("k", dist.Bernoulli(0.5), infer={"enumerate": "parallel"})
        numpyro.deterministic("mean", mu * k)
        numpyro.deterministic("twice", 2 * mu * jnp.ones(4))
        numpyro.sample("y", dist.Normal(mu * k, 1), obs=y)


@pytest.mark.slow
def test_sites_that_are_summed_out_are_no_function_of_the_parameters():
    parameters, _ = parameters_of(mixture, y=np.zeros(4))
    assert set(parameters.names) == {"mu", "twice"}


def rarely(y):
    mu = numpyro.sample("mu", dist.Normal())
    k = numpyro.sample("k", dist.Bernoulli(0.5), infer={"enumerate": "parallel"})
    numpyro.deterministic("sign", 2.0 * k - 1)
    # whatever the data, the site is next to certain given them
    numpyro.sample("y", dist.Normal(100 * k + mu, 1), obs=y)


@pytest.mark.slow
def test_deterministics_of_sites_that_are_certain_given_the_data_are_left_out_too():
    target = flowvi.Target.from_numpyro(rarely, np.array(0.0))
    simulated, _ = target.prior_predictive(0, 50)
    others = [target.with_observed({"y": y}) for y in (np.array(0.1), np.array(-0.3))]
    assert ModelParameters.of(target, others, simulated).names == ("mu",)


def binary(y):
    p = numpyro.sample("p", dist.Beta(1, 1))
    numpyro.deterministic("odd", p - y[1])
    # nothing at the origin of the unconstrained scale tells this from zero
    numpyro.deterministic("centred", (p - 0.5) * y[0])
    numpyro.deterministic("square", p**2)
    numpyro.sample("y", dist.Bernoulli(p).expand([2]).to_event(1), obs=y)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_deterministics_of_discrete_data_are_left_out_by_every_seed(seed):
    parameters, _ = parameters_of(binary, 20, seed, y=np.zeros(2, int))
    assert set(parameters.names) == {"p", "square"}


def test_contrasts_differ_where_the_data_vary():
    rng = np.random.default_rng(0)
    x = [np.zeros(5), *(rng.integers(0, 2, size=5).astype(float) for _ in range(30)), np.zeros(5)]
    found = contrasts(x)
    assert len(found) <= 3
    assert all(np.any(np.stack(found) != 0, axis=0))
    assert len(contrasts(list(rng.normal(size=(10, 3))))) == 1
    assert contrasts([np.zeros(2), np.ones(3)])[0].shape == (3,)


def test_a_support_that_depends_on_the_data_is_refused():
    def bounded(y):
        a = numpyro.sample("a", dist.Uniform(0, jnp.exp(y[0])))
        numpyro.sample("y", dist.Normal(a, 1).expand([2]).to_event(1), obs=y)

    one, other = (flowvi.Target.from_numpyro(bounded, y) for y in (np.zeros(2), np.ones(2)))
    with pytest.raises(CannotSimulateError, match="support of 'a' depends on the data"):
        ModelParameters.of(one, [other], {"a": np.array([0.2, 0.5])})


@pytest.mark.slow
def test_draws_of_a_mixture_do_not_claim_sites_that_they_do_not_know():
    amortized = briefly(model=mixture, y=np.zeros(4))
    for x in (np.zeros(4), 3 * np.ones(4)):
        assert set(amortized.sample(x, 5)) == {"mu", "twice"}
    checks = amortized.check(20)
    assert {name.partition("[")[0] for name in checks.scalars} == {"mu", "twice"}
    # they are given the data in the posterior
    k = amortized.posterior(np.array([0.0, 3, 0, 3]), 500).draws["k"]
    assert k.mean(axis=0).round().tolist() == [0, 1, 0, 1]


def poisson(y):
    rate = numpyro.sample("rate", dist.Gamma(2.0, 1.0))
    numpyro.sample("y", dist.Poisson(rate).expand([2]).to_event(1), obs=y)


def gaussian(y):
    mu = numpyro.sample("mu", dist.Normal())
    numpyro.sample("y", dist.Normal(mu, 1).expand([2]).to_event(1), obs=y)


def likelihood(model, x, **kwargs):
    whole = Model(model, (), kwargs, None, None)
    return Likelihood.of(whole, whole.target("test"), "y", False, x)


def test_data_are_never_rounded_to_the_types_of_the_model():
    given = likelihood(poisson, [np.array([1.0, 4.0])], y=np.zeros(2, int))
    assert given(np.array([1.0, 2.0])).observed_data()["y"].dtype.kind == "i"
    with pytest.raises(DataError, match=r"x is 1.7 at \[0\], but 'y' is int64"):
        given(np.array([1.7, 2.0]))
    with pytest.raises(DataError, match=r"x is inf at \[1\]"):
        given(np.array([1.0, np.inf]))


def test_a_model_called_with_integers_may_have_real_data():
    given = likelihood(gaussian, [np.array([0.3, -1.2])], y=np.zeros(2, int))
    np.testing.assert_array_equal(given(np.array([0.5, 1.5])).observed_data()["y"], [0.5, 1.5])


@pytest.mark.slow
def test_counts_of_a_model_are_whole():
    amortized = briefly(model=poisson, y=np.zeros(2, int))
    with pytest.raises(DataError, match=r"1.7 at \[0\]"):
        amortized.posterior([1.7, 2.2])


def coin(y):
    p = numpyro.sample("p", dist.Beta(1, 1))
    numpyro.sample("y", dist.Bernoulli(p), obs=y)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_model_whose_draws_depend_on_its_data_is_refused_by_every_seed(seed):
    def chain(y):
        p = numpyro.sample("p", dist.Beta(1, 1))
        numpyro.sample("y", dist.Bernoulli(jnp.stack([p, jnp.where(y[0], p, 1 - p)])).to_event(1), obs=y)

    with pytest.raises(CannotSimulateError, match="depends on the data"):
        briefly(model=chain, y=np.zeros(2, int), seed=seed)


@pytest.mark.slow
def test_the_lower_bound_finds_discrete_data_by_every_seed():
    for seed in range(3):
        amortized = briefly(model=coin, y=np.array(0), objective="elbo", seed=seed, max_steps=2)
        assert np.isfinite(amortized.held_out.value)


@pytest.mark.slow
@pytest.mark.parametrize("summary", ["set", "series"])
def test_the_lower_bound_of_sets_of_one_size(summary):
    def of_six(y):
        mu = numpyro.sample("mu", dist.Normal())
        with numpyro.plate("n", 6):
            numpyro.sample("y", dist.Normal(mu, 1), obs=y)

    amortized = briefly(
        model=of_six, y=np.zeros(6), objective="elbo", summary=summary, simulations=1000, max_steps=400
    )
    x = np.array([0.4, 1.2, 0.1, 0.9, -0.3, 1.1])
    mean, sd = x.sum() / 7, 7**-0.5
    draws = amortized.sample(x, 4000)["mu"]
    # q is off by a fifth of an sd at most after so short a training
    assert abs(draws.mean() - mean) < (0.25 + 4 / np.sqrt(4000)) * sd
    assert abs(draws.std() / sd - 1) < 0.25


@pytest.mark.slow
def test_the_lower_bound_needs_data_of_one_size():
    def simulate(rng):
        mu = rng.normal()
        return {"mu": mu}, rng.normal(mu, 1.0, size=rng.integers(2, 5))

    def any_size(y):
        numpyro.sample("y", dist.Normal(numpyro.sample("mu", dist.Normal()), 1), obs=y)

    with pytest.raises(ArgumentError, match="data sets of one size"):
        briefly(simulate, model=any_size, y=np.zeros(3), objective="elbo", summary="set")
