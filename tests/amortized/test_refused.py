"""What cannot be amortized: refused in words."""

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from amortized_cases import ELEMENTS, briefly, model, normal

from flowvi import flows
from flowvi.errors import ArgumentError, CannotSimulateError, DataError, FlowError, SupportError

pytestmark = pytest.mark.slow


def two_sites(y, w):
    mu = numpyro.sample("mu", dist.Normal())
    numpyro.sample("y", dist.Normal(mu, 1), obs=y)
    numpyro.sample("w", dist.Normal(mu, 1), obs=w)


def autoregressive(y):
    mu = numpyro.sample("mu", dist.Normal())
    numpyro.sample("y", dist.Normal(mu + 0.5 * jnp.append(0.0, y[:-1]), 1), obs=y)


def always_fails(rng):
    raise ValueError("no root")


BAD = {
    "nothing": (lambda: briefly(), ArgumentError, "Give a model"),
    "two observed sites": (lambda: briefly(model=two_sites, y=0.0, w=0.0), CannotSimulateError, "'w', 'y'"),
    "another site": (
        lambda: briefly(model=model, y=np.zeros((ELEMENTS, 2)), observed="z"),
        CannotSimulateError,
        "observes 'y'",
    ),
    "earlier data predict later": (
        lambda: briefly(model=autoregressive, y=np.zeros(4)), CannotSimulateError, "depends on the data",
    ),
    "all fail": (lambda: briefly(always_fails), DataError, "300 were dropped: ValueError: no root"),
    "constant data": (lambda: briefly(lambda rng: ({"m": rng.normal()}, np.ones(3))), DataError, "the same"),
    "constant parameter": (
        lambda: briefly(lambda rng: ({"m": 1.0}, rng.normal(size=3))), DataError, "'m' is the same",
    ),
    "sizes": (
        lambda: briefly(lambda rng: ({"m": rng.normal()}, np.ones(rng.integers(1, 4)))), DataError, "shapes",
    ),
    "no pair": (lambda: briefly(lambda rng: rng.normal()), ArgumentError, "a pair"),
    "no dict": (lambda: briefly(lambda rng: (1.0, rng.normal(size=2))), ArgumentError, "a dict"),
    "prior alone": (lambda: briefly(prior=lambda rng: {}), ArgumentError, "goes with"),
    "arguments": (lambda: briefly(lambda: 1), ArgumentError, "simulate"),
    "no function": (lambda: briefly(3), ArgumentError, "simulate=3"),
    "few": (lambda: briefly(normal, simulations=10), ArgumentError, "100"),
    "steps": (lambda: briefly(normal, max_steps=0), ArgumentError, "max_steps=0"),
    "seed": (lambda: briefly(normal, seed=-1), ArgumentError, "seed=-1"),
    "summary": (lambda: briefly(normal, summary="sets"), ArgumentError, "'sets'"),
    "image": (lambda: briefly(normal, summary="image"), ArgumentError, "image"),
    "flow": (lambda: briefly(normal, flow="splines"), FlowError, "splines"),
    "a flow of angles": (lambda: briefly(normal, flow=flows.circular_spline), FlowError, "density of angles"),
    "support": (lambda: briefly(normal, supports={"nu": "positive"}), SupportError, "nu"),
    "stored": (lambda: briefly(simulations=3.5), ArgumentError, "whole number"),
    "stored lengths": (
        lambda: briefly(simulations=({"m": np.ones(150)}, np.ones((149, 2)))), DataError, "149",
    ),
    "stored and fresh": (
        lambda: briefly(simulations=({"m": np.ones(150)}, np.ones((150, 2))), fresh=True),
        ArgumentError,
        "fresh",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("call", "error", "match"), BAD.values(), ids=BAD)
def test_bad_input_is_an_error_that_says_so(call, error, match, as_users_run_it):
    with pytest.raises(error, match=match):
        call()
