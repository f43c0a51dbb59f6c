"""Which arguments of a model clash with those of `fit`."""

import inspect

import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
import pytest

import flowvi
from flowvi.errors import ModelError
from flowvi.targets.of_model import RESERVED, target_of


@pytest.mark.parametrize("name", RESERVED)
def test_a_model_may_not_share_an_argument_of_fit(name):
    scope = {"numpyro": numpyro, "dist": dist}
    exec(f"def model(y, {name}=0): numpyro.sample('x', dist.Normal(y, 1))", scope)
    with pytest.raises(ModelError, match=rf"argument '{name}' is also.*from_numpyro\(model, \*args"):
        target_of(scope["model"], (0.0,), {})


def test_all_arguments_of_fit_are_reserved():
    of_fit = set(inspect.signature(flowvi.fit).parameters) - {"args", "model_kwargs"}
    # promised for later
    assert of_fit | {"checkpoint"} == set(RESERVED)


def test_the_parameters_of_a_log_density_may_have_any_name():
    target = target_of(lambda model, y: -jnp.sum((model - y) ** 2), (1.0,), {}, example=0.0)
    assert target.dim == 1
    with pytest.raises(ModelError, match="argument 'seed' is also"):
        target_of(lambda model, seed: -jnp.sum(model**2), (1.0,), {}, example=0.0)
