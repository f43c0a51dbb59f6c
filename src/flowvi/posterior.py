"""What `flowvi.fit` returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from flowvi.diagnostics.estimate import Estimate
from flowvi.flows import Flow
from flowvi.inference.judge import Verdict
from flowvi.targets.base import Draws, Target


@dataclass(frozen=True)
class Posterior:
    target: Target
    q: Flow
    z: Float[np.ndarray, "draws dim"]
    draws: Draws
    log_weights: Float[np.ndarray, " draws"]
    verdict: Verdict
    log_evidence: Estimate | None
    elbo: Estimate
    stages: Mapping[str, int]
    density_evaluations: int

    @property
    def gradient_evaluations(self) -> int:
        """Target gradients spent in all stages."""
        return sum(self.stages.values())
