"""Flows in NumPyro models and guides, against what is known in closed form."""

import importlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
import scipy.stats
from numpyro.infer import MCMC, NUTS, SVI, Predictive, Trace_ELBO

from flowvi import flows
from flowvi.bijections import LocationScale
from flowvi.errors import DependencyError, FlowError
from flowvi.interop import FlowDistribution, numpyro_distribution, numpyro_guide

pytestmark = pytest.mark.slow


SMALL = {"layers": 2, "width": 8}
LOCATION, SCALE = np.array([1.0, -2.0]), np.array([0.5, 3.0])
DATA = np.random.default_rng(0).normal([1.0, -0.5], 1.0, (8, 2))


def shifted():
    """A flow whose distribution is known: normal with LOCATION and SCALE."""
    with jax.enable_x64(True):
        return flows.Flow(flows.Normal(2), LocationScale(LOCATION, SCALE))


def angular():
    return flows.circular_spline(2, key=0, bins=4, **SMALL)


def conjugate(data):
    mean = numpyro.sample("mean", dist.Normal(0.0, 2.0).expand([2]).to_event(1))
    numpyro.sample("data", dist.Normal(mean, 1.0).to_event(1), obs=data)


PRECISION = 1 / 4 + len(DATA)
POSTERIOR_MEAN, POSTERIOR_SD = DATA.sum(0) / PRECISION, PRECISION**-0.5


@pytest.mark.parametrize("x64", [False, True])
def test_log_prob_and_draws_in_the_precision_of_the_caller(x64):
    flow = flows.neural_spline(2, key=0, bins=4, **SMALL)
    with jax.enable_x64(x64):
        distribution = numpyro_distribution(flow)
        z = distribution.sample(jax.random.key(0), (5, 3))
        value, of_draws = distribution.sample_with_intermediates(jax.random.key(0), (5, 3))
        log_probs = jax.jit(distribution.log_prob)(z)
        from_draws = distribution.log_prob(value, of_draws)
    precision, tolerance = (np.float64, 1e-10) if x64 else (np.float32, 1e-5)
    assert z.dtype == log_probs.dtype == precision
    assert z.shape == (5, 3, 2)
    np.testing.assert_array_equal(z, value)
    np.testing.assert_allclose(log_probs, flow.log_prob(z), rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(from_draws, log_probs, rtol=tolerance, atol=tolerance)
    assert distribution.has_rsample
    assert (distribution.batch_shape, distribution.event_shape) == ((), (2,))


def test_a_condition_is_a_batch():
    flow = flows.real_nvp(2, key=0, condition_dim=3, **SMALL)
    conditions = np.random.default_rng(1).normal(size=(4, 3))
    distribution = numpyro_distribution(flow, conditions)
    z = distribution.sample(jax.random.key(0), (5,))
    assert distribution.batch_shape == (4,)
    assert z.shape == (5, 4, 2)
    np.testing.assert_allclose(distribution.log_prob(z), flow.log_prob(z, conditions), rtol=1e-4)
    assert distribution.expand((6, 4)).sample(jax.random.key(0)).shape == (6, 4, 2)
    assert distribution.to_event(1).log_prob(z).shape == (5,)


def test_it_goes_through_transformations_as_other_distributions_do():
    @jax.jit
    def of(distribution, key):
        return distribution.log_prob(distribution.rsample(key))

    assert of(numpyro_distribution(shifted()), jax.random.key(0)).shape == ()


def test_supports():
    assert numpyro_distribution(shifted()).support is dist.constraints.real_vector
    torus = numpyro_distribution(angular())
    assert torus.support(torus.sample(jax.random.key(0), (50,))).all()
    assert not torus.support(jnp.array([0.0, 4.0]))


@pytest.mark.slow
def test_as_a_prior_for_nuts_and_for_predictions():
    def model(y=None):
        z = numpyro.sample("z", numpyro_distribution(shifted()))
        numpyro.sample("y", dist.Normal(z, SCALE).to_event(1), obs=y)

    prior = Predictive(model, num_samples=4000)(jax.random.key(0))
    for i in range(2):
        expected = scipy.stats.norm(LOCATION[i], SCALE[i] * 2**0.5)
        assert scipy.stats.kstest(prior["y"][:, i], expected.cdf).pvalue > 1e-3
    # prior and data agree in precision: the mean lies half way, the sd is smaller by sqrt 2
    y = np.array([3.0, 1.0])
    chains = MCMC(NUTS(model), num_warmup=300, num_samples=2000, progress_bar=False)
    chains.run(jax.random.key(1), y)
    z = chains.get_samples()["z"]
    sd = SCALE / 2**0.5
    # chains of NUTS on a normal are worth at least a quarter of their length
    assert np.all(np.abs(z.mean(0) - (LOCATION + y) / 2) < 4 * sd / np.sqrt(500))
    np.testing.assert_allclose(z.std(0), sd, rtol=4 / np.sqrt(1000))


@pytest.mark.parametrize("x64", [False, True])
@pytest.mark.slow
def test_a_guide_recovers_a_conjugate_posterior(x64):
    with jax.enable_x64(x64):
        guide = numpyro_guide(conjugate, lambda dim: flows.real_nvp(dim, key=0, **SMALL))
        svi = SVI(conjugate, guide, numpyro.optim.Adam(0.03), Trace_ELBO(num_particles=32))
        trained = svi.run(jax.random.key(0), 400, DATA, progress_bar=False)
        draws = guide.sample_posterior(jax.random.key(1), trained.params, sample_shape=(4000,))["mean"]
        latent = guide.get_posterior(trained.params)
        of_draws = latent.log_prob(draws[:8])
    flow = guide.flow(trained.params)
    assert draws.dtype == (np.float64 if x64 else np.float32)
    for z in (np.asarray(draws), flow.sample(2, (4000,))):
        # the fit itself is within a tenth of an sd
        np.testing.assert_allclose(z.mean(0), POSTERIOR_MEAN, atol=0.15 * POSTERIOR_SD)
        np.testing.assert_allclose(z.std(0), POSTERIOR_SD, rtol=0.15)
    assert isinstance(latent, FlowDistribution)
    np.testing.assert_allclose(of_draws, flow.log_prob(np.asarray(draws)[:8]), rtol=1e-3, atol=1e-3)
    assert {a.dtype for a in jax.tree.leaves(flow) if a.dtype.kind == "f"} == {np.dtype(np.float64)}


def test_a_guide_covers_all_sites_unconstrained():
    def model():
        scale = numpyro.sample("scale", dist.LogNormal(0.0, 1.0))
        numpyro.sample("shares", dist.Dirichlet(jnp.ones(3)))
        numpyro.sample("x", dist.Normal(0.0, scale))

    guide = numpyro_guide(model, flows.gaussian(4), prefix="q")
    with numpyro.handlers.seed(rng_seed=0):
        values = guide()
    assert set(values) == {"scale", "shares", "x"}
    assert values["scale"] > 0
    assert jnp.sum(values["shares"]) == pytest.approx(1, abs=1e-5)


def test_the_start_is_the_flow_given():
    guide = numpyro_guide(conjugate, shifted())
    svi = SVI(conjugate, guide, numpyro.optim.Adam(0.1), Trace_ELBO())
    params = svi.get_params(svi.init(jax.random.key(0), DATA))
    assert set(params) == {"auto_flow"}
    x = np.zeros((1, 2))
    np.testing.assert_allclose(guide.flow(params).log_prob(x), shifted().log_prob(x), rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: numpyro_distribution(shifted(), np.zeros(3)), "length None, but one of length 3"),
        (
            lambda: numpyro_distribution(flows.iaf(2, key=0, condition_dim=3)),
            "length 3, but one of length None",
        ),
        (lambda: numpyro_distribution(shifted()).sample(None), "needs a key"),
        (lambda: numpyro_distribution("flow"), "flow is of type str"),
        (lambda: numpyro_distribution(shifted(), 1.0), "length None, but one of length 0"),
        (
            lambda: numpyro_distribution(shifted()).log_prob(np.zeros(1)),
            r"dim 2, but .* shape \(1,\)",
        ),
        (
            lambda: numpyro_distribution(angular()).log_prob(np.zeros(3)),
            r"dim 2, but .* shape \(3,\)",
        ),
        (
            lambda: numpyro_distribution(flows.iaf(2, key=0, condition_dim=3), np.zeros((4, 3))).log_prob(
                np.zeros((3, 2))
            ),
            r"leading axes \(3,\), which do not broadcast",
        ),
        (lambda: numpyro_guide(conjugate, "real_nvp"), "flow is of type str"),
        (lambda: _started(numpyro_guide(conjugate, lambda dim: dim)), "gave a int"),
        (lambda: _started(numpyro_guide(conjugate, angular())), "a density of angles"),
        (lambda: _started(numpyro_guide(conjugate, flows.gaussian(3))), "dim 3, but the model has 2"),
    ],
)
def test_errors_say_what_is_wrong(call, message, as_users_run_it):
    with pytest.raises(FlowError, match=message):
        call()


def _started(guide):
    return SVI(conjugate, guide, numpyro.optim.Adam(0.1), Trace_ELBO()).init(jax.random.key(0), DATA)


def test_without_numpyro(monkeypatch):
    monkeypatch.delitem(sys.modules, "flowvi.interop")
    monkeypatch.setitem(sys.modules, "numpyro", None)
    with pytest.raises(DependencyError, match="needs NumPyro"):
        importlib.import_module("flowvi.interop")
