"""Every level of the verdict, from weights and modes made by hand."""

import numpy as np
import pytest

from flowvi.diagnostics.estimate import Estimate
from flowvi.diagnostics.mixing import Mixing
from flowvi.diagnostics.psis import smooth_weights
from flowvi.inference.chains import Chains
from flowvi.inference.correct import Weighted
from flowvi.inference.drift import Drift
from flowvi.inference.explore import STARTS, Mode
from flowvi.inference.gaussian import Gaussian
from flowvi.inference.judge import judge
from flowvi.inference.uncovered import Uncovered

DRAWS = 1000


def weighted_of(log_weights, nonfinite=0):
    weights, khat = smooth_weights(log_weights)
    return Weighted(np.zeros((len(weights), 1)), log_weights, weights, khat, nonfinite)


def normal(sd, size=8000):
    return sd * np.random.default_rng(0).normal(size=size)


def verdict_of(log_weights, modes=(), outside=(), nonfinite=0, chains=None, drift=None, **changes):
    weighted = weighted_of(log_weights, nonfinite)
    facts = {
        "draws": DRAWS,
        "converged": True,
        "notes": (),
        "improper": (),
        "audited": True,
        "beyond": Estimate(0.001, 0.002),
        "nonfinite": nonfinite,
        "nonfinite_example": "for one nan at x = 3",
        "endless": (),
        "coordinates": ("x",),
        "parts": 1,
        "tempered": False,
        "labels": (),
        **changes,
    }
    return judge(weighted, weighted, chains, drift, list(modes), list(outside), **facts)


def place(log_density, share):
    return Uncovered(np.zeros(1), log_density, share, Gaussian(np.zeros(1), np.eye(1)))


def pareto(k, size=8000):
    return -k * np.log(np.random.default_rng(0).uniform(size=size))


DRIFTS = {
    "none": (
        Drift(np.array([0.02]), np.array([0.02]), np.array([0.2])),
        "good",
        "seems to be by +0.02 ± 0.02 sd",
    ),
    "found": (
        Drift(np.array([0.3]), np.array([0.03]), np.array([0.2])),
        "inconclusive",
        "'x' is off by +0.30 ± 0.03",
    ),
    "stuck": (Drift(np.array([0.3]), np.array([0.03]), np.array([0.9])), "good", "moved too little to tell"),
    "noise": (Drift(np.array([0.3]), np.array([0.12]), np.array([0.2])), "good", "no mean off"),
}


@pytest.mark.parametrize(("drift", "level", "words"), DRIFTS.values(), ids=DRIFTS)
def test_short_chains_that_move_the_draws_keep_them_from_being_good(drift, level, words):
    verdict = verdict_of(normal(0.7), drift=drift)
    assert verdict.level == level
    assert words in str(verdict)
    assert verdict.drift == {"x": drift.off[0]}


LEVELS = {
    "constant weights": (np.zeros(4000), "good", "nearly constant"),
    "even weights": (normal(0.05), "good", "nearly constant"),
    "fair weights": (normal(0.7), "good", "carry"),
    "a heavy tail": (pareto(0.85), "inconclusive", "k-hat"),
    "too few effective draws": (normal(0.5, size=900), "inconclusive", "1000 effective draws"),
    "no mean": (pareto(1.4), "unreliable", "too far from the posterior"),
    "a few draws have all the weight": (normal(30.0), "unreliable", "too far from the posterior"),
}


@pytest.mark.parametrize(("log_weights", "level", "words"), LEVELS.values(), ids=LEVELS)
def test_level_from_the_weights(log_weights, level, words):
    verdict = verdict_of(log_weights)
    assert verdict.level == level
    assert any(words in reason for reason in verdict.reasons)
    # the numbers that decided are in the words and in the fields
    assert any("ESS/S" in reason and "sd(log w)" in reason for reason in verdict.reasons)
    assert verdict.sd_log_weights == pytest.approx(log_weights.std())
    weights, khat = smooth_weights(log_weights)
    assert verdict.khat == khat
    assert verdict.ess_ratio == pytest.approx(1 / (weights**2).sum() / len(weights))
    assert str(verdict).startswith(level + "\n  - ")


def mode(log_density=-10.0, log_evidence=-9.0, starts=3):
    return Mode(np.zeros(1), np.eye(1), log_density, log_evidence, starts)


EVEN = -8.0 + normal(0.05)
"""Weights of log evidence -8."""


def test_a_place_with_mass_outside_q_makes_even_weights_unreliable():
    places = [place(-10.0, 0.37), place(-12.0, 0.02)]
    verdict = verdict_of(EVEN, [mode(starts=5), mode()], places)
    assert verdict.level == "unreliable"
    assert "A place with about 37% of the evidence (log density -10.00)" in verdict.reasons[0]
    assert "lies outside q" in verdict.reasons[0]
    assert verdict.modes["starts_in_mode"] == [5, 3]
    assert verdict.modes["log_densities"] == [-10.0, -10.0]
    assert [place["share"] for place in verdict.modes["outside"]] == [0.37, 0.02]


def test_a_place_with_next_to_no_mass_is_no_fault():
    assert verdict_of(EVEN, [mode()], [place(20.0, 0.005)]).level == "good"


def test_what_was_not_audited_is_not_called_good():
    verdict = verdict_of(EVEN, audited=False)
    assert verdict.level == "inconclusive"
    assert any("cut short" in reason for reason in verdict.reasons)


def test_tails_that_q_does_not_reach_are_told():
    (told,) = [r for r in verdict_of(EVEN, beyond=Estimate(0.07, 0.004)).reasons if "tails" in r]
    assert "0.07 ± 0.00 of the evidence" in told
    assert "defensive mixture" in told


def test_a_scale_without_bound():
    verdict = verdict_of(EVEN, endless=("x", "theta[3]"))
    assert verdict.level == "unreliable"
    assert "does not fall off along 'x', 'theta[3]'" in verdict.reasons[0]
    assert "may not integrate" in verdict.reasons[0]


def test_some_nonfinite_evaluations_are_told_and_many_decide():
    few = verdict_of(EVEN, nonfinite=3)
    assert few.level == "good"
    assert any("3 evaluations" in reason and "nan at x = 3" in reason for reason in few.reasons)
    assert few.nonfinite == 3
    many = verdict_of(EVEN, nonfinite=100)
    assert many.level == "inconclusive"
    assert any("100 evaluations" in reason for reason in many.reasons)


def test_an_improper_prior_is_told():
    verdict = verdict_of(EVEN, improper=("mu",))
    assert verdict.level == "good"
    assert any("'mu' is improper" in reason and "compared" in reason for reason in verdict.reasons)


def test_how_the_fit_ended_is_told():
    verdict = verdict_of(pareto(0.85), converged=False, notes=("Interrupted in stage 'flow'.",))
    assert "Interrupted in stage 'flow'." in verdict.reasons
    assert any("not come to rest" in reason for reason in verdict.reasons)
    assert verdict_of(EVEN, notes=("Interrupted.",)).reasons.count("Interrupted.") == 1


def test_what_was_searched_is_always_told_and_nothing_more_is_claimed():
    for verdict in (verdict_of(EVEN), verdict_of(EVEN, [mode()]), verdict_of(normal(30.0))):
        (searched,) = [reason for reason in verdict.reasons if f"{STARTS} starts were searched" in reason]
        assert "may have been missed" in searched
    assert "found 1 mode, " in verdict_of(EVEN, [mode()]).modes["searched"]
    assert "found 0 modes, " in verdict_of(EVEN).modes["searched"]


def test_label_switching_is_called_that():
    assert not any("label" in reason for reason in verdict_of(EVEN, parts=2).reasons)
    verdict = verdict_of(EVEN, parts=2, labels=("mu", "weight"))
    assert any("elements of 'mu', 'weight' (label switching)" in reason for reason in verdict.reasons)
    assert verdict.modes["switched_labels"] == ("mu", "weight")
    assert verdict.level == "good"


def chains_of(rhat=1.003, ess=2500.0, divergences=0, kernel="hmc"):
    """Of 300 iterations of 16 chains; numbers of one of two scalars."""
    z = np.random.default_rng(1).standard_normal((300, 16, 1))
    mixing = Mixing(np.array([1.001, rhat]), np.array([3000.0, ess]))
    return Chains(z, -0.5 * z[..., 0] ** 2, divergences, mixing, kernel)


FAR = normal(30.0)
"""Weights that by themselves would be unreliable."""

CHAIN_LEVELS = {
    "mixed": (chains_of(), "corrected", "Draws were corrected by 16 Markov chains of 300 iterations (HMC"),
    "mixed by NUTS": (chains_of(kernel="nuts"), "corrected", "(NUTS in the coordinates of the Gaussian)"),
    "need more time": (chains_of(rhat=1.05), "inconclusive", "did not mix"),
    "too few effective draws": (chains_of(ess=900.0), "inconclusive", "effective draws of a scalar = 900"),
    "disagree": (chains_of(rhat=1.2), "unreliable", "worst R-hat = 1.200"),
    "do not move": (chains_of(rhat=np.nan), "unreliable", "worst R-hat = inf"),
    "few divergences": (chains_of(divergences=48), "corrected", "48 divergences"),
    "many divergences": (chains_of(divergences=49), "inconclusive", "next to no divergences"),
}


@pytest.mark.parametrize(("chains", "level", "words"), CHAIN_LEVELS.values(), ids=CHAIN_LEVELS)
def test_level_from_the_chains(chains, level, words):
    verdict = verdict_of(FAR, [mode()], chains=chains)
    assert verdict.level == level
    assert words in verdict.reasons[0]
    # the weights are told of as well, after the chains
    assert "too far from the posterior" in verdict.reasons[1]


@pytest.mark.parametrize(
    ("beyond", "level"),
    [
        (Estimate(0.0, 0.005), "corrected"),
        # what cannot be told apart from nothing
        (Estimate(0.3, 0.2), "corrected"),
        (Estimate(0.3, 0.1), "inconclusive"),
        (Estimate(-0.4, 0.1), "corrected"),
    ],
    ids=str,
)
def test_mass_that_chains_missed(beyond, level):
    verdict = verdict_of(FAR, chains=chains_of(), beyond=beyond)
    assert verdict.level == level
    told = [reason for reason in verdict.reasons if "where they have not been" in reason]
    assert len(told) == (level == "inconclusive")
    # nothing is said of draws of a defensive mixture, of which there are none
    assert not any("draws were taken from a defensive" in reason for reason in verdict.reasons)


def test_missed_mass_makes_chains_that_did_not_mix_no_better():
    verdict = verdict_of(FAR, chains=chains_of(rhat=1.2), beyond=Estimate(0.3, 0.1))
    assert verdict.level == "unreliable"


def test_a_place_outside_and_a_missing_audit_count_for_chains_as_well():
    assert verdict_of(FAR, outside=[place(-10.0, 0.4)], chains=chains_of()).level == "unreliable"
    assert verdict_of(FAR, chains=chains_of(), audited=False).level == "inconclusive"
    assert verdict_of(FAR, chains=chains_of(), endless=("x",)).level == "unreliable"


def test_even_weights_do_not_make_chains_good():
    # chains are run where weights do not carry; were they run anyway, they would decide
    assert verdict_of(EVEN, chains=chains_of()).level == "corrected"
    assert verdict_of(EVEN, chains=chains_of(rhat=1.05)).level == "inconclusive"


@pytest.mark.parametrize("chains", [None, chains_of()])
def test_a_log_density_too_large_to_tell_draws_apart_is_never_claimed(chains):
    # a float64 near 1e17 is a multiple of 16
    verdict = verdict_of(np.full(4000, -1e17), chains=chains)
    assert verdict.level == "unreliable"
    assert "rounding hides how it differs" in str(verdict)
