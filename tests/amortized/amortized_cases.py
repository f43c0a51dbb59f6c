"""A linear Gaussian model and its posterior, a simulator, and training that is over soon."""

import numpy as np
import numpyro
import numpyro.distributions as dist
import scipy.stats

import flowvi

SD, ELEMENTS = 0.5, 3


def model(y):
    mu = numpyro.sample("mu", dist.Normal(0, 1).expand([2]).to_event(1))
    numpyro.deterministic("sum", mu.sum())
    numpyro.deterministic("residual", y - mu)
    with numpyro.plate("n", ELEMENTS):
        numpyro.sample("y", dist.Normal(mu, SD).to_event(1), obs=y)


def small(dim, *, key, condition_dim):
    return flowvi.flows.real_nvp(dim, key=key, layers=4, width=24, condition_dim=condition_dim)


def briefly(simulate=None, **kwargs):
    settings = {"simulations": 300, "flow": small, "max_steps": 25, "progress": False} | kwargs
    return flowvi.amortize(simulate=simulate, **settings)


def normal(rng):
    mu = rng.normal()
    return {"mu": mu}, rng.normal(mu, 1.0, size=4)


def exact(y):
    """Mean and sd of mu given the data (n, 2), and their log evidence."""
    n = len(y)
    variance = 1 / (1 + n / SD**2)
    covariance = np.ones((n, n)) + SD**2 * np.eye(n)
    evidence = sum(scipy.stats.multivariate_normal(np.zeros(n), covariance).logpdf(c) for c in y.T)
    return variance * y.sum(axis=0) / SD**2, np.sqrt(variance), evidence
