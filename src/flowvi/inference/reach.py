"""Does q reach the tails of the target? Its own draws cannot tell: none of them lies there."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from flowvi.diagnostics.estimate import Estimate
from flowvi.flows import DefensiveNormal
from flowvi.inference.density import Density
from flowvi.inference.proposal import Proposal

_PROBES = 4096

_MISSED = 0.02
"""Share of the evidence beyond the reach of q that counts, two standard errors aside."""

_RESOLVED = 0.02
"""Standard error of the share at which no more draws are taken."""

_UNRESOLVED = 0.1
"""Share of the evidence that must be excluded, by two standard errors."""


def mass_beyond(
    density: Density, proposal: Proposal, log_evidence: float, rng: np.random.Generator, most: int = _PROBES
) -> Estimate:
    """The posterior mass that an estimate of the evidence does not account for, as a share of what it does.

        E_q[w] / Z - 1 = E_m[(w / Z - 1) q / m],    w = p / q,    Z = the estimate, by draws of q or of chains

    where m is the defensive mixture, pushed through the map of q. Where w is constant every term is zero, so
    few draws resolve a small share; more are taken, `most` at most, while they do not. Draws at which the
    density is not finite have weight zero.
    """
    terms = np.empty(0)
    while True:
        terms = np.concatenate([terms, _terms(density, proposal, log_evidence, rng)])
        beyond = Estimate(float(terms.mean()), float(terms.std() / np.sqrt(len(terms))))
        resolved = beyond.standard_error < _RESOLVED
        if resolved or len(terms) >= most or density.ledger.out_of_time():
            return beyond


def _terms(
    density: Density, proposal: Proposal, log_evidence: float, rng: np.random.Generator
) -> Float[np.ndarray, " probes"]:
    z, log_m, log_q = proposal.draws_from(DefensiveNormal(proposal.base.dim), rng, _PROBES)
    log_p = density.value_in_time(z)
    log_m, log_q = log_m[: len(log_p)], log_q[: len(log_p)]
    log_p = np.where(np.isfinite(log_p), log_p, -np.inf) - log_evidence
    return np.exp(log_p - log_m) - np.exp(log_q - log_m)


def reaches(beyond: Estimate) -> bool:
    """Whether draws of q see all of the posterior that matters."""
    return not misses(beyond) and beyond.value + 2 * beyond.standard_error < _UNRESOLVED


def misses(beyond: Estimate) -> bool:
    """Whether there is evidence that some of the posterior was missed."""
    return beyond.value - 2 * beyond.standard_error >= _MISSED
