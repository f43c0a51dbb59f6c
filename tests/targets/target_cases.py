"""One table of targets that drives shared tests: a new one costs one line."""

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from flowvi import Target

Y = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
SIGMA = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
X = np.linspace(-1, 2, 12)


def eight_schools(y, sigma):
    mu = numpyro.sample("mu", dist.Normal(0, 5))
    tau = numpyro.sample("tau", dist.HalfCauchy(5))
    with numpyro.plate("school", len(y)):
        z = numpyro.sample("z", dist.Normal(0, 1))
        theta = numpyro.deterministic("theta", mu + tau * z)
        numpyro.sample("y", dist.Normal(theta, sigma), obs=y)


def triangle():
    alpha = numpyro.sample("alpha", dist.Uniform(0, 1))
    numpyro.sample("beta", dist.Uniform(0, 1 - alpha))


def shapes():
    numpyro.sample("p", dist.Dirichlet(jnp.array([2.0, 3.0, 1.5])))
    numpyro.sample("L", dist.LKJCholesky(3, 2.0))
    numpyro.sample(
        "cut", dist.TransformedDistribution(dist.Normal(0, 1).expand([3]), dist.transforms.OrderedTransform())
    )
    numpyro.sample("u", dist.Beta(2, 3).expand([2]).to_event(1))
    numpyro.sample("s", dist.InverseGamma(3, 2))
    numpyro.sample("loc", dist.TruncatedNormal(0, 1, low=-1.0, high=2.0))
    numpyro.sample("v", dist.MultivariateNormal(jnp.zeros(2), jnp.array([[2.0, 0.5], [0.5, 1.0]])))


def grid(y):
    rows, columns = numpyro.plate("row", 3, dim=-2), numpyro.plate("column", 2, dim=-1)
    with rows:
        a = numpyro.sample("a", dist.Normal(0, 1))
    with columns:
        b = numpyro.sample("b", dist.Laplace(0, 1))
    with rows, columns:
        numpyro.sample("y", dist.Poisson(jnp.exp(a + b)), obs=y)


def groups(group, y):
    """Inspects its data, which become constants of the program."""
    n = int(group.max()) + 1
    with numpyro.plate("group", n):
        a = numpyro.sample("a", dist.Normal(0, 1))
    numpyro.sample("y", dist.StudentT(4, a[group], 1.0), obs=y)


def mixture(y):
    w = numpyro.sample("w", dist.Dirichlet(jnp.array([2.0, 3.0])))
    mu = numpyro.sample("mu", dist.Normal(jnp.array([0.0, 3.0]), 1.0).to_event(1))
    with numpyro.plate("row", len(y)):
        k = numpyro.sample("k", dist.Categorical(w), infer={"enumerate": "parallel"})
        centre = numpyro.deterministic("centre", mu[k])
        numpyro.sample("y", dist.Normal(centre, 1.0), obs=y)


def improper():
    mu = numpyro.sample("mu", dist.ImproperUniform(dist.constraints.real, (), ()))
    s = numpyro.sample("s", dist.ImproperUniform(dist.constraints.positive, (), ()))
    numpyro.factor("data", -0.5 * jnp.sum((X - mu) ** 2) / s**2 - len(X) * jnp.log(s))


def nested_density(p, scale):
    """Parameters in a nested tree, each with a support; normalised, without Jacobians."""
    inner = p["inner"]
    return (
        -0.5 * jnp.sum(p["x"] ** 2)
        - jnp.log(p["tau"]) ** 2
        - scale * jnp.sum(inner["w"] * jnp.arange(3.0))
        + jnp.sum(jnp.log(inner["u"]))
        - jnp.sum(inner["cut"] ** 2)
        - p["low"]
    )


EXAMPLE = {
    "x": np.zeros((2, 2)),
    "tau": 1.0,
    "inner": {"w": np.zeros(3), "u": np.zeros(2), "cut": np.zeros(3)},
    "low": 0.0,
}
SUPPORTS = {
    "tau": "positive",
    "inner/w": "simplex",
    "inner/u": "unit_interval",
    "inner/cut": "ordered",
    "low": ("interval", -2.0, None),
}


def cholesky_density(p):
    return -jnp.sum(p["L"] ** 2) - jnp.sum((p["S"] @ p["S"].T) ** 2) - jnp.sum(p["c"])


GROUP = np.array([0, 2, 1, 1, 0, 2, 3, 3, 0, 1, 2, 3])

NUMPYRO = {
    "eight_schools": (eight_schools, (Y, SIGMA)),
    "dependent_support": (triangle, ()),
    "shapes": (shapes, ()),
    "grid": (grid, (np.array([[1, 0], [3, 2], [0, 5]]),)),
    "inspects_its_data": (groups, (GROUP, X)),
    "improper": (improper, ()),
}

TARGETS = {
    **{
        name: (lambda model=model, args=args: Target.from_numpyro(model, *args))
        for name, (model, args) in NUMPYRO.items()
    },
    "nested_density": lambda: _jax(nested_density, EXAMPLE, SUPPORTS, (0.7,)),
    "cholesky_density": lambda: _jax(
        cholesky_density,
        {"L": np.zeros((3, 3)), "S": np.zeros((2, 2)), "c": np.zeros(3)},
        {"L": "cholesky_corr", "S": "cholesky_cov", "c": "positive_ordered"},
    ),
    "single_array": lambda: _jax(lambda x: -0.5 * jnp.sum(x**2), np.zeros(3), None),
}


def _jax(function, example, supports, args=()):
    from flowvi.targets.jax import JaxTarget

    return JaxTarget.build(function, example, supports, args)
