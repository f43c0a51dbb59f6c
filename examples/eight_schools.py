"""Eight schools, a NumPyro model: how much does coaching raise test scores, and how much do schools differ?

Run it with `python examples/eight_schools.py` or `flowvi fit examples/eight_schools.py`.
"""

import numpy as np
import numpyro
import numpyro.distributions as dist

import flowvi


def model(y, sigma):
    """Each school's effect is normal around a common mean; what is seen of it has a known standard error."""
    mu = numpyro.sample("mu", dist.Normal(0, 5))
    tau = numpyro.sample("tau", dist.HalfCauchy(5))
    with numpyro.plate("school", len(y)):
        standardized = numpyro.sample("standardized", dist.Normal(0, 1))
        theta = numpyro.deterministic("theta", mu + tau * standardized)
        numpyro.sample("y", dist.Normal(theta, sigma), obs=y)


data = {
    "y": np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0]),
    "sigma": np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0]),
}

if __name__ == "__main__":
    posterior = flowvi.fit(model, **data)
    print(posterior.summary())
    print(posterior.verdict)
    school_a, school_c = posterior.draws["theta"][:, 0], posterior.draws["theta"][:, 2]
    print(f"P(coaching helps more in school A than in school C) = {np.mean(school_a > school_c):.2f}")
