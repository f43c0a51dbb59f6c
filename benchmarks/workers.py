"""One fit of one posterior by one method, in a process of its own that posteriors.py starts."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from flowvi.posterior import Posterior

Draws = dict[str, np.ndarray]
"""Quantity -> (chains, draws, *shape)."""

Result = tuple[float, Draws, dict[str, Any]]
"""When the draws were in memory as NumPy arrays, the draws, and what else to record."""


def fit_flowvi(name: str, seed: int) -> Result:
    """The default call."""
    import numpyro_models

    import flowvi

    model, data = numpyro_models.load(name)
    posterior = flowvi.fit(model, seed=seed, progress=False, **data)
    draws = {site: value[None] for site, value in posterior.draws.items()}
    return time.time(), draws, described(posterior)


def described(posterior: Posterior) -> dict[str, Any]:
    """What flowvi says of its own fit."""
    verdict, evidence = posterior.verdict, posterior.log_evidence
    worked = [stage for stage in ("gaussian", "flow") if posterior.stages.get(stage, 0) > 0]
    return {
        "gradients": posterior.gradient_evaluations,
        "stages": dict(posterior.stages),
        "left_at": worked[-1] if worked else "explore",
        "khat": verdict.khat,
        "ess_ratio": verdict.ess_ratio,
        "sd_log_weights": verdict.sd_log_weights,
        "verdict": verdict.level,
        "reasons": list(verdict.reasons),
        "log_evidence": None if evidence is None else evidence.value,
        "log_evidence_error": None if evidence is None else evidence.standard_error,
    }


def _fit_numpyro(name: str, seed: int, chain_method: str) -> Result:
    import jax

    jax.config.update("jax_enable_x64", True)
    import numpyro_models
    from numpyro.infer import MCMC, NUTS

    model, data = numpyro_models.load(name)
    size = {"num_warmup": 1000, "num_samples": 1000, "num_chains": 4}
    mcmc = MCMC(NUTS(model), **size, chain_method=chain_method, progress_bar=False)
    mcmc.run(jax.random.PRNGKey(seed), **data)
    draws = {site: np.asarray(value) for site, value in mcmc.get_samples(group_by_chain=True).items()}
    done = time.time()
    return done, draws, {"divergences": int(np.sum(mcmc.get_extra_fields()["diverging"]))}


def fit_numpyro_sequential(name: str, seed: int) -> Result:
    """NumPyro's NUTS, one chain after the other."""
    return _fit_numpyro(name, seed, "sequential")


def fit_numpyro_vectorized(name: str, seed: int) -> Result:
    """NumPyro's NUTS, all chains in one batch."""
    return _fit_numpyro(name, seed, "vectorized")


def fit_nutpie(name: str, seed: int) -> Result:
    """nutpie on the PyMC model, compiled by Numba."""
    # The PyMC models read their data through the NumPyro ones; who uses nutpie need not import JAX.
    before = time.time()
    import numpyro_models  # noqa: F401

    aside = time.time() - before
    import nutpie
    import pymc_models

    compiled = nutpie.compile_pymc_model(pymc_models.build(name))
    trace = nutpie.sample(compiled, draws=1000, tune=400, chains=4, seed=seed, progress_bar=False)
    draws = {str(site): np.asarray(value) for site, value in trace.posterior.items()}
    done = time.time() - aside
    return done, draws, {"divergences": int(np.sum(trace.sample_stats["diverging"].values))}


METHODS = {
    "flowvi": fit_flowvi,
    "numpyro sequential": fit_numpyro_sequential,
    "numpyro vectorized": fit_numpyro_vectorized,
    "nutpie": fit_nutpie,
}


def reference(folder: Path, name: str) -> Draws:
    """Reference draws by site, (chains, draws, *shape)."""
    import numpyro_models

    chain = np.load(folder / name / "reference_draws.npz")["chain"]
    draws = numpyro_models.reference_draws(name, folder)
    length = min(np.bincount(chain)[np.unique(chain)])
    chains = np.stack([np.flatnonzero(chain == c)[:length] for c in np.unique(chain)])
    return {site: value[chains] for site, value in draws.items()}


def judged(folder: Path, name: str, draws: Draws, extra: Mapping[str, Any]) -> dict[str, Any]:
    """The errors of the draws, and of the log evidence where there is one."""
    import numpyro_models

    import accuracy

    expected = reference(folder, name)
    # Draws that flowvi repaired by MCMC are autocorrelated, its others are independent.
    independent = extra.get("verdict") not in (None, "corrected")
    record = accuracy.judge({site: draws[site] for site in expected}, expected, independent).record()
    value, error = numpyro_models.reference_log_evidence(name, folder)
    if extra.get("log_evidence") is not None:
        record["log_evidence_off"] = extra["log_evidence"] - value
        record["log_evidence_good"] = accuracy.evidence_within_bar(
            extra["log_evidence"], extra["log_evidence_error"] or 0.0, value, error
        )
    return record


def main() -> None:
    """METHOD FOLDER NAME SEED START OUT, START being the time at which the process was asked for."""
    method, folder, name, seed, start, out = sys.argv[1:]
    sys.path.insert(0, folder)
    done, draws, extra = METHODS[method](name, int(seed))
    record = {"seconds": done - float(start)} | extra | judged(Path(folder), name, draws, extra)
    Path(out).write_text(json.dumps(record))


if __name__ == "__main__":
    main()
