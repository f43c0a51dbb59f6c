"""The verdict: whether the draws can be trusted, and the numbers that say so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from flowvi.diagnostics.estimate import Estimate
from flowvi.diagnostics.moments import moment_tails
from flowvi.diagnostics.psis import khat_threshold
from flowvi.inference.chains import LARGEST_DIVERGENT, LARGEST_RHAT, Chains
from flowvi.inference.correct import LEAST_ESS, Weighted
from flowvi.inference.drift import Drift
from flowvi.inference.explore import AROUND, STARTS, Mode
from flowvi.inference.reach import misses, reaches
from flowvi.inference.tempering import PARTICLES
from flowvi.inference.uncovered import MISSED_MASS, Uncovered

Level = Literal["good", "corrected", "unreliable", "inconclusive"]

_NO_MOMENT = 0.7
"""k-hat above which a weighted moment is not to be trusted."""

_STUCK = 1.1
"""R-hat above which chains disagree about the posterior rather than need more time."""


@dataclass(frozen=True)
class Verdict:
    """Whether to trust the draws.

    Attributes:
        level: "good": draws of q, with importance weights, have every mean within 0.1 sd and every sd
            within 10% of the truth, Monte Carlo error aside. "corrected": the same for draws by Markov
            chains or sequential Monte Carlo started from q. "unreliable": a check found an error that was
            not repaired. "inconclusive": the checks could not decide.
        reasons: sentences with the numbers that decided.
        khat: shape of the tail of the importance weights; nan where undefined.
        ess_ratio: effective sample size per draw of q.
        sd_log_weights: standard deviation of log p - log q over draws of q.
        moments: k-hat of the weighted first and second moment of every unconstrained coordinate.
        drift: how far the mean of every unconstrained coordinate of the weighted draws of q is from where
            Markov chains lead, in sds: those that the draws come from or, where weights carry, short ones;
            empty where none were run.
        modes: what the starts found: how many starts, how many reached a mode, the modes' log densities and
            local evidence, and the places with mass that lie outside q.
        nonfinite: evaluations of the target that were NaN or +inf, or had a gradient that is not finite.
    """

    level: Level
    reasons: tuple[str, ...]
    khat: float
    ess_ratio: float
    sd_log_weights: float
    moments: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    drift: Mapping[str, float] = field(default_factory=dict)
    modes: Mapping[str, Any] = field(default_factory=dict)
    nonfinite: int = 0

    def __str__(self) -> str:
        return "\n".join([self.level, *(f"  - {reason}" for reason in self.reasons)])


def judge(
    fitted: Weighted,
    weighted: Weighted,
    chains: Chains | None,
    drift: Drift | None,
    modes: list[Mode],
    outside: list[Uncovered],
    *,
    draws: int,
    converged: bool,
    notes: tuple[str, ...],
    improper: tuple[str, ...],
    audited: bool,
    beyond: Estimate | None,
    nonfinite: int,
    nonfinite_example: str,
    endless: tuple[str, ...],
    coordinates: tuple[str, ...],
    parts: int,
    tempered: bool,
    labels: tuple[str, ...],
) -> Verdict:
    """Decide from the importance weights or the Markov chains, the modes found, and how the fit ended.

    Args:
        fitted: draws of q as it was fitted: their spread of log weights says how close q is.
        weighted: the draws that the posterior's are taken from, where there are no chains.
        chains: the Markov chains that they are taken from otherwise.
        drift: where short chains moved the weighted draws, if any were run.
        outside: places with mass that the starts led to and q does not cover.
        draws: how many draws were asked for.
        converged: whether the optimiser had come to rest.
        notes: what cut the fit short, in sentences.
        improper: parameters with improper priors.
        audited: whether mass that q does not cover was looked for.
        beyond: mass beyond the reach of q as it was fitted, as a share of what its own draws see.
        nonfinite: evaluations that were NaN or +inf, or had a gradient that is not finite.
        nonfinite_example: what one of them was, and where.
        endless: coordinates along which the density does not fall off.
        coordinates: labels of the unconstrained coordinates.
        parts: of q, where it is a mixture.
        tempered: whether particles of a tempered target were sent out to find more modes.
        labels: quantities whose elements stand in another order in other modes, where that is all that
            tells the modes apart.
    """
    found, missed = _modes(modes, outside, parts, tempered)
    level, reasons = of_weights(fitted, weighted, draws)
    if chains is not None:
        of_chains_alone, of_chains = _chains(chains)
        # where rounding hides what log densities differ by, every proposal is accepted
        level = of_chains_alone if weighted.resolved else "unreliable"
        reasons.insert(0, of_chains)
        if beyond is not None and misses(beyond):
            level = "inconclusive" if level == "corrected" else level
            reasons.insert(
                1,
                "Draws of a defensive mixture around q give another evidence than the chains: "
                f"{beyond.value:+.2f} ± {beyond.standard_error:.2f} of it may lie where they have not been.",
            )
    elif drift is not None:
        level, of_drift = _of_drift(level, drift, coordinates)
        reasons.append(of_drift)
    if chains is None and beyond is not None and not reaches(beyond):
        reasons.append(
            "There are tails that q as fitted does not reach: beyond them lies "
            f"{beyond.value:.2f} ± {beyond.standard_error:.2f} of the evidence that it sees. So draws were "
            "taken from a defensive mixture around it."
        )
    if missed:
        level = "unreliable"
        reasons.insert(0, missed)
    if endless:
        level = "unreliable"
        reasons.insert(
            0,
            f"The density does not fall off along {_names(endless)}: the posterior may not integrate. Give "
            "it a proper prior.",
        )
    if nonfinite > 0:
        reasons.append(
            f"{nonfinite:,} evaluations of the log density or its gradient were not finite, "
            f"{nonfinite_example}. They were left out: draws of NaN or +inf have weight zero."
        )
        if level == "good" and weighted.nonfinite > 0.001 * len(weighted.z):
            level = "inconclusive"
    claimed = level in ("good", "corrected")
    if claimed and not audited:
        level = "inconclusive"
        reasons.append("The checks for what q does not reach were cut short.")
    if not converged and not claimed:
        reasons.append("Training had not come to rest.")
    reasons += notes
    if improper and claimed:
        reasons.append(
            f"The prior of {_names(improper)} is improper, so the log evidence cannot be compared between "
            f"models."
        )
    reasons.append(found["searched"])
    if labels:
        found["switched_labels"] = labels
        reasons.append(
            f"The modes are orders of the elements of {_names(labels)} (label switching): summaries of one "
            "element are those of all; give them an order ('ordered') to tell them apart."
        )
    tails = moment_tails(weighted.z, weighted.log_weights, weighted.weights)
    if chains is None and claimed and (wide := np.flatnonzero(tails.second > _NO_MOMENT)).size:
        reasons.append(
            f"The tails of {_names(tuple(coordinates[i] for i in wide))} are heavy (k-hat of the weighted "
            f"second moment up to {tails.second[wide].max():.2f}): read quantiles rather than the sd."
        )
    return Verdict(
        level=level,
        reasons=tuple(reasons),
        khat=weighted.khat,
        ess_ratio=weighted.ess_ratio,
        sd_log_weights=fitted.sd_log_weights,
        moments={
            name: (float(first), float(second))
            for name, first, second in zip(coordinates, *tails, strict=True)
        },
        drift=_moves(weighted, chains, drift, coordinates),
        modes=found,
        nonfinite=nonfinite,
    )


def of_weights(fitted: Weighted, weighted: Weighted, draws: int) -> tuple[Level, list[str]]:
    """What the importance weights alone allow to say of so many draws, and why."""
    size, khat, cut = len(weighted.z), weighted.khat, weighted.cut_for(draws)
    facts = (
        f"sd(log w) = {fitted.sd_log_weights:.3f}, k-hat = {khat:.2f}, ESS/S = {weighted.ess_ratio:.3f} "
        f"with S = {size:,} draws of q."
    )
    if not weighted.resolved:
        return "unreliable", [
            f"The log density is about {weighted.log_weights.max():.2g}, so large that rounding hides how it "
            "differs between draws: importance weights say nothing. Look at the data and their units."
        ]
    cut_off = f" The largest weights were cut, {cut:.2%} of the total." if cut > 0 else ""
    if weighted.carry(draws):
        how = "are nearly constant" if weighted.nearly_constant else "carry"
        return "good", [f"Importance weights {how}: {facts}{cut_off}"]
    if khat > 1 or weighted.ess_ratio < 0.01:
        reason = f"q is too far from the posterior for importance weights to correct: {facts}"
        return "unreliable", [reason + cut_off]
    wanted = f"k-hat at most {khat_threshold(size):.2f} and {LEAST_ESS} effective draws"
    return "inconclusive", [
        f"Importance weights do not carry far enough ({wanted} were needed): {facts}{cut_off}"
    ]


def _chains(chains: Chains) -> tuple[Level, str]:
    iterations, count, _ = chains.z.shape
    where = {"hmc": "HMC in the base space of q", "nuts": "NUTS in the coordinates of the Gaussian"}
    facts = (
        f"{count} Markov chains of {iterations:,} iterations ({where[chains.kernel]}): worst R-hat = "
        f"{chains.mixing.worst_rhat:.3f}, fewest effective draws of a scalar = "
        f"{chains.mixing.least_ess:,.0f}, {chains.divergences:,} divergences."
    )
    if chains.mixed and chains.divergences <= LARGEST_DIVERGENT * iterations * count:
        return "corrected", f"Draws were corrected by {facts}"
    wanted = f"R-hat at most {LARGEST_RHAT}, {LEAST_ESS:,} effective draws and next to no divergences"
    level = "unreliable" if chains.mixing.worst_rhat > _STUCK else "inconclusive"
    return level, f"Markov chains did not mix ({wanted} were needed): {facts}"


def _of_drift(level: Level, drift: Drift, coordinates: tuple[str, ...]) -> tuple[Level, str]:
    if drift.found.any():
        worst = int(np.abs(np.where(drift.found, drift.off, 0)).argmax())
        return "inconclusive" if level == "good" else level, (
            f"Short Markov chains move the draws: the mean of '{coordinates[worst]}' is off by "
            f"{drift.off[worst]:+.2f} ± {drift.error[worst]:.2f} sd."
        )
    if not drift.resolved:
        return level, "Short Markov chains moved too little to tell whether means are off."
    worst = int(np.abs(drift.off).argmax())
    return level, (
        "Short Markov chains find no mean off (the farthest seems to be by "
        f"{drift.off[worst]:+.2f} ± {drift.error[worst]:.2f} sd)."
    )


def _moves(
    weighted: Weighted, chains: Chains | None, drift: Drift | None, coordinates: tuple[str, ...]
) -> dict[str, float]:
    if chains is not None:
        z = chains.z.reshape(-1, len(coordinates))
        off = (weighted.weights @ weighted.z - z.mean(axis=0)) / z.std(axis=0)
    elif drift is not None:
        off = drift.off
    else:
        return {}
    return dict(zip(coordinates, off.tolist(), strict=True))


def _modes(
    modes: list[Mode], outside: list[Uncovered], parts: int, tempered: bool
) -> tuple[dict[str, Any], str | None]:
    missed = 1 - 0.05 ** (1 / STARTS)
    particles = f", then {PARTICLES} tempered particles" if tempered else ""
    searched = (
        f"{STARTS} starts were searched, and found {len(modes)} {'mode' if len(modes) == 1 else 'modes'}, "
        f"and {2 * AROUND} more from around q{particles}; a basin into which a start falls with probability "
        f"below {missed:.2f} may have been missed (5 times in 100)."
        + (f" q is a mixture of {parts} parts." if parts > 1 else "")
    )
    found = {
        "starts": STARTS,
        "parts": parts,
        "log_densities": [mode.log_density for mode in modes],
        "log_evidences": [mode.log_evidence for mode in modes],
        "starts_in_mode": [mode.starts for mode in modes],
        "outside": [
            {"location": place.location, "log_density": place.log_density, "share": place.share}
            for place in outside
        ],
        "searched": searched,
    }
    heaviest = max(outside, key=lambda place: place.share, default=None)
    if heaviest is None or heaviest.share < MISSED_MASS:
        return found, None
    return found, (
        f"A place with about {heaviest.share:.0%} of the evidence (log density {heaviest.log_density:.2f}), "
        "which the starts led to, lies outside q: there are several modes, or tails that q does not reach."
    )


def _names(labels: tuple[str, ...]) -> str:
    shown = ", ".join(f"'{label}'" for label in labels[:4])
    return shown if len(labels) <= 4 else f"{shown} and {len(labels) - 4} more"
