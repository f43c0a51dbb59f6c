"""What the tests of single stages share: a counted density of a log density on R^dim."""

import jax.numpy as jnp

import flowvi
from flowvi import Budget, Target
from flowvi.display import display
from flowvi.inference.budget import Ledger
from flowvi.inference.density import Density


def target_of(log_density, dim):
    return Target.from_log_density(lambda p: log_density(p["x"]), {"x": jnp.zeros(dim)})


def density_of(log_density, dim, budget=None):
    ledger = Ledger(budget or Budget(), display(progress=False))
    ledger.enter("explore")
    return Density(target_of(log_density, dim), ledger)


def quiet_fit(*args, **kwargs):
    return flowvi.fit(*args, progress=False, **kwargs)
