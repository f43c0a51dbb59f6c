"""From q(z | x) at one x to a posterior: importance weights and the verdict they allow."""

from __future__ import annotations

import numpy as np

from flowvi.amortized.parameters import Parameters
from flowvi.diagnostics.estimate import Estimate
from flowvi.diagnostics.moments import moment_tails
from flowvi.display import display
from flowvi.errors import DensityError
from flowvi.flows import Flow
from flowvi.inference.approximation import Approximation
from flowvi.inference.budget import Budget, Ledger
from flowvi.inference.correct import MOST_PROPOSALS, unique_draws
from flowvi.inference.density import Density
from flowvi.inference.judge import Verdict, of_weights
from flowvi.inference.proposal import flow_proposal
from flowvi.inference.reach import misses, reaches
from flowvi.posterior import CHECKED, Posterior
from flowvi.targets.base import Target


def corrected(q: Flow, target: Target, draws: int, seed: int, warnings: tuple[str, ...]) -> Posterior:
    """Unique draws by importance weights of the target over q.

    Raises:
        DensityError: the target is finite at no draw of q.
    """
    rng = np.random.default_rng([seed, 0])
    with display(progress=False) as silent, np.errstate(all="ignore"):
        ledger = Ledger(Budget(), silent)
        found = Approximation(Density(target, ledger), rng, draws, flow_proposal(q))
        try:
            fitted, _ = found.choose_tails()
            found.carries(MOST_PROPOSALS)
        except ArithmeticError as error:
            raise DensityError(f"Nothing can be said about the posterior: {error}.") from error
    weighted = found.weighted or fitted
    chosen = unique_draws(weighted, draws, np.random.default_rng([seed, 2]))
    level, reasons = of_weights(fitted, weighted, draws)
    beyond = found.beyond
    if beyond is not None and not reaches(beyond):
        reasons.append(
            f"Beyond the tails of q lies {beyond.value:.2f} ± {beyond.standard_error:.2f} of the evidence "
            "that it sees."
        )
        if misses(beyond) and not found.defensive:
            level = "inconclusive"
    if level != "good":
        reasons.append(
            "Draws are those of q, weighted as far as weights carry. `flowvi.fit` of the model with these "
            "data corrects further."
        )
    reasons += warnings
    reasons.append("No other modes were looked for than those that simulations led q to.")
    tails = moment_tails(weighted.z, weighted.log_weights, weighted.weights)
    log_evidence = weighted.log_evidence
    if beyond is not None and not found.defensive:
        unseen = float(np.hypot(beyond.standard_error, max(beyond.value, 0.0)))
        log_evidence = Estimate(log_evidence.value, float(np.hypot(log_evidence.standard_error, unseen)))
    z = weighted.z[chosen]
    return Posterior(
        target=target,
        q=found.proposal.flow(),
        z=z,
        draws=target.constrain(z, seed),
        log_weights=weighted.log_weights[chosen],
        verdict=Verdict(
            level=level,
            reasons=tuple(reasons),
            khat=weighted.khat,
            ess_ratio=weighted.ess_ratio,
            sd_log_weights=fitted.sd_log_weights,
            moments={
                name: (float(first), float(second))
                for name, first, second in zip(target.coordinates, *tails, strict=True)
            },
            nonfinite=ledger.nonfinite,
        ),
        log_evidence=log_evidence if level == "good" else None,
        elbo=fitted.elbo,
        stages=dict(ledger.stages),
        density_evaluations=ledger.densities,
        effective_draws=min(float(draws), weighted.ess_ratio * len(weighted.z)),
        coordinates=target.coordinates,
    )


def uncorrected(
    q: Flow, parameters: Parameters, draws: int, seed: int, warnings: tuple[str, ...]
) -> Posterior:
    """Draws of q itself, where there is no likelihood to weigh them by."""
    z, _ = flow_proposal(q)(np.random.default_rng([seed, 0]), draws)
    verdict = Verdict(
        level="inconclusive",
        reasons=(
            "The simulator has no likelihood, so there is nothing to check the draws of this data set "
            "against: they are those of q. `check` tells how q fares over simulated data sets.",
            *warnings,
        ),
        khat=np.nan,
        ess_ratio=np.nan,
        sd_log_weights=np.nan,
    )
    return Posterior(
        target=None,
        q=q,
        z=z,
        draws=parameters.constrain(z),
        log_weights=np.full(draws, np.nan),
        verdict=verdict,
        log_evidence=None,
        elbo=Estimate(np.nan, np.nan),
        stages={},
        density_evaluations=0,
        effective_draws=float(draws),
        coordinates=parameters.coordinates,
        _log_density=np.full(min(draws, CHECKED), np.nan),
    )
