"""The README's picture: eight schools, centered, as a Gaussian and as a flow see it.

python benchmarks/picture.py docs/pictures/eight_schools.png
"""

from __future__ import annotations

import sys

import matplotlib.pyplot as plt
import numpy as np
import numpyro
import numpyro.distributions as dist

import flowvi

Y = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
SIGMA = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])


def model(y: np.ndarray, sigma: np.ndarray) -> None:
    """The centered form, whose neck at small tau no Gaussian follows."""
    mu = numpyro.sample("mu", dist.Normal(0, 5))
    tau = numpyro.sample("tau", dist.HalfCauchy(5))
    theta = numpyro.sample("theta", dist.Normal(mu, tau).expand([len(y)]).to_event(1))
    numpyro.sample("y", dist.Normal(theta, sigma), obs=y)


def main() -> None:
    """Fit twice and draw three panels."""
    flow = flowvi.fit(model, Y, SIGMA, progress=False)
    gaussian = flowvi.fit(model, Y, SIGMA, flow="gaussian", progress=False)
    panels = {
        "the best Gaussian": gaussian.constrain(gaussian.q.sample(0, (4000,))),
        "the flow": flow.constrain(flow.q.sample(0, (4000,))),
        f"4,000 unique draws: {flow.verdict.level}": flow.draws,
    }
    figure, axes = plt.subplots(1, 3, figsize=(9, 3), sharex=True, sharey=True, layout="constrained")
    for axis, (title, draws) in zip(axes, panels.items(), strict=True):
        axis.plot(draws["theta"][:, 0], np.log(draws["tau"]), ".", markersize=1.5, alpha=0.4, color="#204060")
        axis.set(title=title, xlabel=r"$\theta_1$", xlim=(-20, 40), ylim=(-3, 4.5))
    axes[0].set_ylabel(r"log $\tau$")
    figure.savefig(sys.argv[1], dpi=110)


if __name__ == "__main__":
    main()
