"""Does q reach the tails of the target? Its own draws cannot tell: none of them lies there."""

from __future__ import annotations

import numpy as np

from flowvi.diagnostics.estimate import Estimate
from flowvi.flows import DefensiveNormal
from flowvi.inference.density import Density
from flowvi.inference.proposal import Proposal, base_draws, base_log_prob

_PROBES = 4096

_MISSED = 0.02
"""Share of the evidence beyond the reach of q that counts, two standard errors aside."""

_UNRESOLVED = 0.1
"""Share of the evidence that must be excluded, by two standard errors."""


def mass_beyond(
    density: Density, proposal: Proposal, log_evidence: float, rng: np.random.Generator
) -> Estimate:
    """The posterior mass that q's own weighted draws do not account for, as a share of what they do.

        E_q[w] / Z - 1 = E_m[(w / Z - 1) q / m],    w = p / q,    Z = the evidence by draws of q

    where m is the defensive mixture, pushed through the map of q. Where w is constant every term is zero, so
    few draws resolve a small share. Draws at which the density is not finite have weight zero.
    """
    mixture = DefensiveNormal(proposal.base.dim)
    base = base_draws(mixture, rng, _PROBES)
    z, log_det = proposal.push(base)
    log_p = density.value_in_time(z)
    seen = slice(len(log_p))
    log_m = base_log_prob(mixture, base[seen])
    log_p = np.where(np.isfinite(log_p), log_p, -np.inf) + log_det[seen] - log_evidence
    terms = np.exp(log_p - log_m) - np.exp(base_log_prob(proposal.base, base[seen]) - log_m)
    return Estimate(float(terms.mean()), float(terms.std() / np.sqrt(len(terms))))


def reaches(beyond: Estimate) -> bool:
    """Whether draws of q see all of the posterior that matters."""
    value, error = beyond
    return value - 2 * error < _MISSED and value + 2 * error < _UNRESOLVED
