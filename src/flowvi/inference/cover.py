"""q widened until it covers every place with mass that is found."""

from __future__ import annotations

from itertools import islice

import numpy as np

from flowvi.flows import Normal
from flowvi.inference.audit import audit, climb_around_q
from flowvi.inference.correct import LEAST_PROPOSALS, MOST_PROPOSALS, Weighted, weigh
from flowvi.inference.explore import Mode, Stray
from flowvi.inference.gaussian import Gaussian
from flowvi.inference.heavy import under_large_weights
from flowvi.inference.search import Search
from flowvi.inference.stages import train_on
from flowvi.inference.tempering import tempered_particles
from flowvi.inference.training import Build, trained_rounds
from flowvi.inference.uncovered import MISSED_MASS, Uncovered, covers, uncovered
from flowvi.inference.widen import broad_gaussian, weighted_by_evidence, widened

_WORTH_TEMPERING = 0.02
"""Share of the evidence at a place where there may be more than starts find."""

_TAIL_OF_A_FLOW = 0.25
_SHRINKING = 0.7
"""Share of the evidence outside a flow that more training is likely to cover, at most, and of what it was
before the last training: what that did not lower is a mode."""

_MOST_PASSES = 6
"""Times that q is widened."""

_MOST_EVENED = 3
_MORE_EVEN = 0.5
"""Times that q gets parts where its weights are large, and the share of the proposals per draw that may then
still be needed, for it to be worth going on."""

_WORTH_A_PART = 0.002
"""Share of the evidence at a place for which q gets a part, where it gets any."""

_WORTH_A_FLOW = 0.01
_ROUNDS_PER_PART = 3
_MOST_FLOWS = 8
"""Weight of a part from which a flow is trained for it where Gaussians do not carry, for how long, and for
how many parts at most."""


def cover(search: Search, weighted: Weighted) -> Weighted:
    """Audit q, and widen it by a part for every place with mass that it does not cover, until none is
    found; weighted draws of what it then is."""
    share_before = np.inf
    try:
        climb_around_q(search)
        for _ in range(_MOST_PASSES):
            audit(search, weighted)
            missed = [place for place in search.uncovered if place.share > _WORTH_A_PART]
            if max((place.share for place in missed), default=0) < MISSED_MASS:
                missed = []
            several = len(search.q.proposal.parts()) > 1
            unsure = several and not (search.tempered and weighted.carry(search.least))
            if search.over or not (missed or unsure):
                break
            with np.errstate(all="ignore"):
                share = sum(place.share for place in missed)
                tail = share < min(_TAIL_OF_A_FLOW, _SHRINKING * share_before)
                if tail and search.trained and not several and (more := trained_further(search, weighted)):
                    weighted, share_before = more, share
                    continue
                # what q lacks around its own place no further Gaussians give it: it is for chains
                if not (several or weighted.carry(search.least)) and _slopes(search, missed, weighted):
                    break
                search.ledger.enter("modes")
                worthwhile = unsure or max(place.share for place in missed) > _WORTH_TEMPERING
                if worthwhile and (missed or search.particles_find_more):
                    missed = _with_tempering(search, weighted, missed)
                if missed:
                    weighted = _widen(search, missed)
                elif (even := _evened(search, weighted)) is not None:
                    weighted = even
                else:
                    break
            climb_around_q(search)
        else:
            audit(search, weighted)
    except KeyboardInterrupt:
        search.interrupt()
    except (ArithmeticError, np.linalg.LinAlgError) as error:
        search.end(error)
    return weighted


def _slopes(search: Search, places: list[Uncovered], weighted: Weighted) -> bool:
    """Whether the Gaussians fitted from all of these places moved to where q is."""
    q, log_evidence = search.q.with_normal_base(), weighted.log_evidence.value
    return all(covers(search.density, q, log_evidence, place.gaussian.location) for place in places)


def trained_further(search: Search, weighted: Weighted) -> Weighted | None:
    """Weighted draws of q after more training; None, and q as it was, where that brings nothing."""
    before = search.q
    try:
        if train_on(search):
            more = search.q.weighted or search.q.weigh_for_draws(MOST_PROPOSALS)
            if more.carry(search.least) or not weighted.carry(search.least):
                return more
    except BaseException:
        # the weighted draws that there are belong to q as it was
        search.q = before
        raise
    search.q = before
    return None


def _with_tempering(search: Search, weighted: Weighted, places: list[Uncovered]) -> list[Uncovered]:
    """These places, and others that particles find: where there are several modes, there may be more."""
    search.tempered = True
    q = search.q.proposal
    if places:
        q = widened(search.density, q, places, search.rng)
        log_evidence = weigh(search.density, q, search.rng, LEAST_PROPOSALS).log_evidence.value
    else:
        log_evidence = weighted.log_evidence.value
    particles = tempered_particles(search.density, broad_gaussian(q, search.rng), search.rng)
    value = search.density.value(particles)
    order = np.argsort(-np.where(np.isfinite(value), value, -np.inf))
    found: list[Mode | Stray] = [
        Stray(particles[i], search.gaussian.scale_tril, float(value[i])) for i in order
    ]
    more = uncovered(search.density, q, log_evidence, found, search.rng)
    search.strays += [Stray(p.location, p.gaussian.scale_tril, p.log_density) for p in more]
    search.particles_find_more = bool(more)
    return [*places, *more]


def _evened(search: Search, weighted: Weighted) -> Weighted | None:
    """Weighted draws of q with Gaussians where its weights are large; None, and q as it was, where
    weights carry already, or not even then."""
    before = search.q
    for _ in range(_MOST_EVENED):
        if weighted.carry(search.least):
            break
        places = under_large_weights(search.density, weighted, search.rng)
        if not places or search.ledger.exhausted():
            break
        search.use(widened(search.density, search.q.proposal, places, search.rng))
        _, quick = search.q.choose_tails()
        if quick.expected_proposals > _MORE_EVEN * weighted.expected_proposals:
            break
        search.q.carries(MOST_PROPOSALS)
        weighted = search.q.weighted or search.q.weigh_for_draws(MOST_PROPOSALS)
    if search.q is not before and weighted.carry(search.least):
        return weighted
    search.q = before
    return None


def _widen(search: Search, places: list[Uncovered]) -> Weighted:
    """q with a Gaussian at each place, or a flow where Gaussians do not carry."""
    before = search.q
    try:
        return _widened(search, places)
    except BaseException:
        # the weighted draws that there are belong to q as it was
        search.q = before
        raise


def _widened(search: Search, places: list[Uncovered]) -> Weighted:
    gaussians: list[Gaussian | None] = [None] * len(search.q.proposal.parts())
    if len(gaussians) == 1 and not search.trained:
        gaussians = [search.gaussian]
    gaussians += [place.gaussian for place in places]
    search.use(widened(search.density, search.q.proposal, places, search.rng))
    search.q.choose_tails()
    carries = search.q.carries(MOST_PROPOSALS)
    if not carries and search.build is not None and len(gaussians) <= _MOST_FLOWS:
        _train_parts(search, search.build, gaussians)
        search.q.choose_tails()
        search.q.carries(MOST_PROPOSALS)
    return search.q.weighted or search.q.weigh_for_draws(MOST_PROPOSALS)


def _train_parts(search: Search, build: Build, gaussians: list[Gaussian | None]) -> None:
    """A flow instead of each Gaussian that has weight enough."""
    parts, weights = list(search.q.proposal.parts()), search.q.proposal.part_weights()
    for k, gaussian in enumerate(gaussians):
        if gaussian is not None and weights[k] > _WORTH_A_FLOW and not search.ledger.exhausted():
            for trained in islice(
                trained_rounds(search.density, build(), gaussian, search.rng), _ROUNDS_PER_PART
            ):
                parts[k] = trained.proposal
    normal = tuple(part.with_base(Normal(part.base.dim)) for part in parts)
    search.use(weighted_by_evidence(search.density, normal, weights, search.rng))
