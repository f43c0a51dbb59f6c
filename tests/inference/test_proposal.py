"""Draws made on the host are those of the base, with its density."""

import equinox as eqx
import jax
import numpy as np
import pytest
import scipy.stats

from flowvi import flows
from flowvi.flows import DefensiveNormal, MultivariateT, Normal, WideNormal
from flowvi.flows.base_draws import base_draws
from flowvi.inference.density import VALUES
from flowvi.inference.gaussian import Gaussian
from flowvi.inference.proposal import (
    MixtureProposal,
    base_log_prob,
    flow_proposal,
    gaussian_proposal,
)

pytestmark = pytest.mark.usefixtures("x64")

BASES = {
    "normal": Normal(3),
    "wide": WideNormal(3),
    "multivariate t": MultivariateT(3, 5.0),
    "defensive": DefensiveNormal(3),
}
each_base = pytest.mark.parametrize("base", BASES.values(), ids=BASES)


@each_base
def test_host_densities_are_those_of_the_distribution(base):
    x = np.concatenate([base_draws(base, np.random.default_rng(0), 50), [[1e4, 0.0, -3.0]], np.zeros((1, 3))])
    np.testing.assert_allclose(base_log_prob(base, x), jax.vmap(base.log_prob)(x), rtol=1e-10)


@each_base
def test_host_draws_are_those_of_the_distribution(base):
    ours = base_draws(base, np.random.default_rng(0), 4000)
    theirs = np.asarray(jax.vmap(base.sample)(jax.random.split(jax.random.key(1), 4000)))
    assert scipy.stats.ks_2samp(ours[:, 0], theirs[:, 0]).pvalue > 1e-3
    radius = [np.linalg.norm(x, axis=1) for x in (ours, theirs)]
    assert scipy.stats.ks_2samp(*radius).pvalue > 1e-3


@each_base
def test_a_proposal_with_another_base_is_the_same_map(base):
    gaussian = Gaussian(np.array([1.0, -2.0, 0.0]), np.tril(np.full((3, 3), 0.5)) + np.eye(3))
    proposal = gaussian_proposal(gaussian).with_base(base)
    z, log_q = proposal(np.random.default_rng(0), 20)
    np.testing.assert_allclose(proposal.log_prob(z), log_q, rtol=1e-10)
    np.testing.assert_allclose(proposal.flow().log_prob(z), log_q, rtol=1e-9)


@each_base
@pytest.mark.parametrize("parts", [1, 2])
def test_draws_from_another_base_come_with_both_densities(base, parts):
    gaussians = [Gaussian(np.full(3, k), np.tril(np.full((3, 3), 0.5)) + np.eye(3)) for k in (1.0, -2.0)]
    mixed = tuple(gaussian_proposal(gaussian) for gaussian in gaussians[:parts])
    q = mixed[0] if parts == 1 else MixtureProposal(mixed[0].base, mixed, np.array([0.3, 0.7]))
    z, log_other, log_q = q.draws_from(base, np.random.default_rng(0), 20)
    np.testing.assert_array_equal(z, q.with_base(base)(np.random.default_rng(0), 20)[0])
    np.testing.assert_allclose(log_other, q.with_base(base).log_prob(z), rtol=1e-9)
    np.testing.assert_allclose(log_q, q.log_prob(z), rtol=1e-9)


@pytest.mark.parametrize("n", [1, VALUES, 3 * VALUES + 7])
def test_maps_of_a_flow_are_the_same_however_many_threads_share_the_draws(n):
    flow = flows.real_nvp(3, key=0, layers=2, width=8)
    flow = eqx.tree_at(lambda f: f.bijection, flow, replace_fn=lambda b: jax.tree.map(_moved, b))
    proposal = flow_proposal(flow)
    base = np.random.default_rng(1).standard_normal((n, 3))
    z, log_det = proposal.push(base)
    exact, exact_log_det = jax.vmap(flow.bijection.forward_and_log_det)(base)
    np.testing.assert_allclose(z, exact, atol=1e-12)
    np.testing.assert_allclose(log_det, exact_log_det, atol=1e-12)
    back, log_det_back = proposal.pull(z)
    np.testing.assert_allclose(back, base, atol=1e-10)
    np.testing.assert_allclose(log_det_back, -log_det, atol=1e-10)


def _moved(leaf):
    """A parameter away from where the flow is the identity."""
    return leaf + 0.1 if eqx.is_inexact_array(leaf) else leaf
