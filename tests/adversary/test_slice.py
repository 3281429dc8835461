"""A slice of the campaign, and the judge itself."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

import relu_opt as ro

from .campaign import Workshop, ask_often, deep_often, lie_often, spoil_one
from .exact import Network, predictions, softplus
from .judge import Judge, in_scope, objective, own
from .program_trials import judged
from .programs import KINDS, exact
from .truths import TRUTHS, make

SEED, SPOILED, DAMAGED = 0, 8, 8


def told(tally):
    """The failures as text."""
    return [f"{code} {trial.spoils}: {trial.failure}" for code, trial in tally.failures]


@pytest.mark.parametrize("kind", sorted(TRUTHS))
def test_no_false_verdict(kind):
    # The first seed whose problem the library takes.
    seed = next(seed for seed in range(SEED, SEED + 9) if make(kind, seed) is not None)
    tally = spoil_one(kind, seed, range(SPOILED))
    assert told(tally) == []
    assert tally.total("spoil") == SPOILED


def test_no_damaged_file_does_harm(tmp_path):
    shop = Workshop(tmp_path)
    tallies = [shop.damage(name, SEED, range(DAMAGED)) for name in shop.hosts]
    assert [line for tally in tallies for line in told(tally)] == []
    assert sum(tally.total("file") for tally in tallies) == DAMAGED * len(shop.hosts)


def test_no_deep_network_beats_a_formula():
    tallies = [deep_often("formula", seed, range(DAMAGED)) for seed in range(6)]
    assert [line for tally in tallies for line in told(tally)] == []


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_no_program_is_judged_falsely(kind, registry):
    lies = lie_often(kind, SEED, range(4 if kind == "integers" else 60))
    asked = ask_often(kind, SEED, range(6))
    assert told(lies) + told(asked) == []
    answers = {
        verdict: asked.verdicts["backend", kind, verdict] for verdict in ("certified", "missed")
    }
    assert answers["missed"] <= 1
    if KINDS[kind](np.random.default_rng(0)).outcome == "optimal":
        assert answers["certified"] >= 5


def test_the_planted_optimum_is_exact():
    P, c, x = np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([0.5, -0.25]), np.array([3.0, -1.5])
    assert exact(P, c, x, 1.0) == Fraction(77, 8)


def test_the_judge_of_programs_sees_a_lie():
    """A judge that finds nothing false has to find something that is."""
    known = KINDS["linear"](np.random.default_rng(3))
    sol = ro.solve_program(known.program, "highs")
    assert judged(known, lambda: sol) == ("certified", "")
    wrong = replace(known, optimum=known.optimum + 1)
    assert "the optimum is" in judged(wrong, lambda: sol)[1]
    assert (
        "is infeasible"
        in judged(replace(known, optimum=None, outcome="infeasible"), lambda: sol)[1]
    )


# -- the judge -----------------------------------------------------------------


def outcome(truth, **changes):
    certificate = truth.certificate
    said = {
        name: getattr(certificate, name)
        for name in ("verdict", "objective", "lower_bound", "rel_gap")
    }
    return SimpleNamespace(**{**said, **changes})


@pytest.mark.parametrize("kind", ["relu-squared-program", "several-outputs", "spline-huber"])
def test_the_judge_sees_a_false_verdict(kind):
    truth = make(kind, 1)
    judge = Judge(truth.known)
    low = outcome(truth, lower_bound=0.5 * truth.certificate.lower_bound, rel_gap=0.9)
    assert judge(truth.answer, low) == ""
    above = 1.001 * truth.certificate.objective
    assert "the bound" in judge(truth.answer, replace_dual(low, above))
    name = "constant" if kind.startswith("spline") else "intercept"
    worse = truth.answer.having(**{name: truth.answer.arrays[name] + 1.0})
    assert "certified at" in judge(worse, low)
    tolerant = truth.answer.saying(tol=0.999)
    narrow = outcome(truth, lower_bound=0.5 * truth.certificate.lower_bound, rel_gap=-1e-3)
    assert "the gap" in judge(tolerant, narrow)
    assert judge(worse, outcome(truth, verdict="invalid")) == ""
    assert "not finite" in judge(truth.answer, replace_dual(low, np.nan))


def replace_dual(found, dual):
    return SimpleNamespace(**{**vars(found), "lower_bound": dual})


@pytest.mark.parametrize("kind", ["gated-huber-own", "relu-logistic-program", "several-outputs"])
def test_objectives_agree_with_the_library(kind):
    truth = make(kind, 1)
    value = objective(truth.answer, own(truth.answer))
    assert float(value) == pytest.approx(truth.certificate.objective, rel=1e-12)


def test_predictions_are_exact():
    rows = np.array([[1e200, 1.0, 0.1], [-1e-200, 3.0, 1e16]])
    hidden, output = np.array([[1.0, -0.1, 3.0], [1e-300, 1.0, 1.0]]), np.array([1e-150, -0.7])
    expected = []
    for row in rows:
        total = Fraction(0)
        for u, a in zip(hidden, output, strict=True):
            inner = sum(Fraction(p) * Fraction(q) for p, q in zip(u, row, strict=True))
            total += max(inner, Fraction(0)) * Fraction(a)
        expected.append(total)
    assert predictions(rows, hidden, output) == expected


def test_softplus_has_its_digits():
    # log 2, to 40 digits, and e^-100 - e^-200/2, whose second term is below the first's 40th.
    log_two = Fraction("0.6931471805599453094172321214581765680755")
    assert abs(softplus(Fraction(0)) - log_two) < Fraction(1, 10**39)
    # By ball arithmetic of 500 bits.
    known = Fraction("1.10318604888545789319090632593188780327934907649665812927173918550160")
    assert abs(softplus(Fraction(7, 10)) - known) < Fraction(1, 10**67)
    assert abs(softplus(Fraction(7)) - softplus(Fraction(-7)) - 7) < Fraction(1, 10**150)
    assert softplus(Fraction(-5000)) == 0


def test_a_network_beside_its_cones_is_out_of_scope():
    truth = make("relu-squared-program", 1)
    answer = truth.answer.saying(intercept=False)
    masks = answer.masks()
    inside = [each for each in truth.known if isinstance(each, Network) and in_scope(answer, each)]
    assert inside
    for bits in np.ndindex(*(2,) * len(answer.X)):
        other = np.array(bits, dtype=bool)
        if not (masks == other).all(axis=1).any():
            break
    one = replace(answer.having(patterns=np.packbits(other[None], axis=1)))
    busy = [each for each in inside if len(each.hidden)]
    assert busy
    assert not any(in_scope(one, each) for each in busy)
