"""Children's test scores, a PyMC model: does the mother's IQ matter less if she finished high school?

Run it with `python examples/kidiq_pymc.py` or `flowvi fit examples/kidiq_pymc.py`.
"""

import json
from pathlib import Path

import numpy as np
import pymc as pm

import flowvi

kidiq = json.loads((Path(__file__).parent / "data" / "kidiq.json").read_text())
high_school = np.array(kidiq["mom_hs"]) - np.mean(kidiq["mom_hs"])
iq = (np.array(kidiq["mom_iq"]) - 100.0) / 15.0
predictors = {
    "intercept": np.ones_like(iq),
    "high school": high_school,
    "IQ": iq,
    "high school x IQ": high_school * iq,
}

with pm.Model(coords={"predictor": list(predictors)}) as model:
    X = np.column_stack(list(predictors.values()))
    beta = pm.Normal("beta", 0.0, [100.0, 20.0, 20.0, 20.0], dims="predictor")
    sigma = pm.HalfNormal("sigma", 30.0)
    pm.Normal("kid_score", X @ beta, sigma, observed=np.array(kidiq["kid_score"], dtype=float))

if __name__ == "__main__":
    posterior = flowvi.fit(model)
    print(posterior.summary())
    print(posterior.verdict)
    print(f"P(interaction is negative) = {np.mean(posterior.draws['beta'][:, 3] < 0):.2f}")
