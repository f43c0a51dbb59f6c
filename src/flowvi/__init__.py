"""Variational inference with normalizing flows: a model in; draws, log evidence and an honest verdict out."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowvi import bijections, errors, families, flows, interop, objectives, vae
    from flowvi.amortized.amortize import amortize
    from flowvi.amortized.result import Amortized
    from flowvi.bijections import trainable
    from flowvi.calibration.result import Calibration
    from flowvi.calibration.run import calibrate
    from flowvi.density.fit_density import fit_density
    from flowvi.density.result import DensityFit
    from flowvi.diagnostics.estimate import Estimate
    from flowvi.inference.budget import Budget
    from flowvi.inference.fit import fit
    from flowvi.inference.judge import Verdict
    from flowvi.posterior import Posterior, load
    from flowvi.serialise import load_module, save_module
    from flowvi.targets.base import Target
    from flowvi.targets.stan import StanModel
    from flowvi.training.train import Trained, train

_HOMES = {
    "Amortized": "flowvi.amortized.result",
    "Budget": "flowvi.inference.budget",
    "Calibration": "flowvi.calibration.result",
    "DensityFit": "flowvi.density.result",
    "Estimate": "flowvi.diagnostics.estimate",
    "Posterior": "flowvi.posterior",
    "StanModel": "flowvi.targets.stan",
    "Target": "flowvi.targets.base",
    "Trained": "flowvi.training.train",
    "Verdict": "flowvi.inference.judge",
    "amortize": "flowvi.amortized.amortize",
    "bijections": "",
    "calibrate": "flowvi.calibration.run",
    "errors": "",
    "families": "",
    "fit": "flowvi.inference.fit",
    "fit_density": "flowvi.density.fit_density",
    "flows": "",
    "interop": "",
    "load": "flowvi.posterior",
    "load_module": "flowvi.serialise",
    "objectives": "",
    "save_module": "flowvi.serialise",
    "train": "flowvi.training.train",
    "trainable": "flowvi.bijections",
    "vae": "",
}

__all__ = [
    "Amortized",
    "Budget",
    "Calibration",
    "DensityFit",
    "Estimate",
    "Posterior",
    "StanModel",
    "Target",
    "Trained",
    "Verdict",
    "amortize",
    "bijections",
    "calibrate",
    "errors",
    "families",
    "fit",
    "fit_density",
    "flows",
    "interop",
    "load",
    "load_module",
    "objectives",
    "save_module",
    "train",
    "trainable",
    "vae",
]


def __getattr__(name: str) -> object:
    """Import what is asked for: JAX alone takes longer than `import flowvi` may."""
    if name not in _HOMES:
        raise AttributeError(f"module 'flowvi' has no attribute {name!r}")
    if not _HOMES[name]:
        return importlib.import_module(f"flowvi.{name}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
