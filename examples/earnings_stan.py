"""Earnings and height, a Stan program: is it height that pays, or being a man?

Run it with `python examples/earnings_stan.py`, or without any Python of your own:
`flowvi fit examples/earnings.stan --data examples/data/earnings.json`.
"""

from pathlib import Path

import numpy as np

import flowvi

here = Path(__file__).parent
model = flowvi.StanModel(here / "earnings.stan", here / "data" / "earnings.json")

if __name__ == "__main__":
    posterior = flowvi.fit(model)
    print(posterior.summary())
    print(posterior.verdict)
    low, high = np.quantile(posterior.draws["ratio"], [0.05, 0.95])
    print(f"men earn {low:.2f} to {high:.2f} times as much as women of the same height (90% interval)")
