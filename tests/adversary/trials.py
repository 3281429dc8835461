"""One trial: an answer is spoiled, verified and judged."""

from __future__ import annotations

import math
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

import relu_opt as ro
from relu_opt.errors import DoubtWarning, ReluOptError

from . import spoil_entries, spoil_others, spoil_problems, spoil_proofs, truths_mapped, truths_other  # noqa: F401 - registers  # noqa: F401 - registers
from .answers import Answer
from .claims import restated
from .data import Rng
from .judge import Judge, Known
from .registry import SPOILS
from .second import best_found
from .truths import Truth

ENTRIES = frozenset(vars(spoil_entries)) & frozenset(SPOILS["network"])
# How often `verify` is asked for exact arithmetic, and for more than the certificate says.
EXACT_SHARE, DEMAND_SHARE = 0.1, 0.1
SCOPES = ("own", "program", "all")
# How often a spoiled answer goes to `certify` in place of `verify`.
CERTIFY_SHARE = 0.02
# How often the other solver looks for a better network of a problem that was changed.
SEARCH_SHARE = 0.2
# What changes the problem, so that the networks known may be far from its best.
PROBLEM = ("lam", "loss", "loss_parameters", "intercept", "activation", "scope", "fingerprint")


@dataclass(frozen=True)
class Trial:
    """What became of a spoiled answer.

    Attributes
    ----------
    spoils : tuple of str
        The ways in which it was spoiled.
    verdict : str
        What was said of it, or `refused` for an error of the library's own.
    failure : str
        What is wrong with that; empty if nothing is.
    """

    spoils: tuple[str, ...]
    verdict: str
    failure: str


@contextmanager
def strict() -> Iterator[None]:
    """Warnings are errors here, but for those that the library means."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", DoubtWarning)
        yield


def fault(error: BaseException) -> str:
    """An unexpected error, with the place where it was raised."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {last.filename}:{last.lineno}: {error!s:.200}"


def spoiled(rng: Rng, answer: Answer) -> tuple[Answer, tuple[str, ...]]:
    """The answer, spoiled in one to three ways; the forger mostly restates its numbers."""
    ways = SPOILS[answer.problem]
    contents = sorted(set(ways) - ENTRIES)
    names = [contents[k] for k in rng.integers(0, len(contents), rng.choice([0, 1, 1, 1, 2, 2, 3]))]
    with np.errstate(all="ignore"):
        for name in names:
            answer = ways[name](rng, answer)
        if rng.random() < 0.85:
            answer = restated(answer)
        if not names or rng.random() < 0.15:
            name = sorted(ENTRIES)[rng.integers(len(ENTRIES))]
            names.append(name)
            answer = ways[name](rng, answer)
    return answer, tuple(names)


def attempt(truth: Truth, judge: Judge, rng: Rng) -> Trial:
    """Spoil a true answer and judge what the library says of it."""
    answer, names = spoiled(rng, truth.answer)
    if answer.problem == "network" and rng.random() < CERTIFY_SHARE and not ENTRIES & set(names):
        return by_certify(truth, judge, answer, names, rng)
    options: dict[str, Any] = demands(rng, answer) if rng.random() < DEMAND_SHARE else {}
    if rng.random() < EXACT_SHARE:
        options["arithmetic"] = "exact"
    try:
        with strict():
            found = ro.verify(answer, answer.X, answer.y, **options)
    except ReluOptError:
        return Trial(names, "refused", "")
    except Exception as error:  # noqa: BLE001 - any other error is what is looked for
        return Trial(names, "error", fault(error))
    failure = judge(answer, found, searched(truth, answer, found, rng))
    if found.valid and not failure:
        failure = unmet(answer, options)
    return Trial(names, str(found.verdict), failure)


def demands(rng: Rng, answer: Answer) -> dict[str, Any]:
    """What a user may ask a certificate to be of, met or not."""
    lam, loss = answer.claims.get("lam"), answer.claims.get("loss")
    every = {
        "scope": str(rng.choice(SCOPES)),
        "lam": lam * float(rng.choice([1.0, 1 + 1e-9, 2.0])) if type(lam) is float else 0.1,
        "loss": str(rng.choice([str(loss), "squared", "hinge"])),
        "tol": float(rng.choice([1e-12, 1e-6, 0.5])),
    }
    return {name: value for name, value in every.items() if rng.random() < 0.4}


def unmet(answer: Answer, options: dict[str, Any]) -> str:
    """What was demanded of a certified answer and is not so."""
    claims = answer.claims
    scope = claims.get("scope", "all")
    if "scope" in options and SCOPES.index(scope) < SCOPES.index(options["scope"]):
        return f"scope {options['scope']} was demanded of a proof of scope {scope}"
    for name in ("lam", "loss"):
        said = claims.get(name, "squared")
        if name in options and options[name] != said:
            return f"{name} {options[name]} was demanded, and {said} certified"
    return ""


def searched(truth: Truth, answer: Answer, found: Any, rng: Rng) -> tuple[Known, ...]:
    """What a new search finds, if the problem is another and something was certified of it."""
    changed = any(truth.answer.claims.get(k) != answer.claims.get(k) for k in PROBLEM)
    changed |= truth.answer.arrays.get("patterns") is not answer.arrays.get("patterns")
    changed |= truth.answer.weights is not answer.weights
    if found.verdict != "certified" or answer.problem != "network" or not changed:
        return ()
    if rng.random() > SEARCH_SHARE:
        return ()
    more = best_found(answer, rng)
    return (more,) if more else ()


def by_certify(
    truth: Truth, judge: Judge, answer: Answer, names: tuple[str, ...], rng: Rng
) -> Trial:
    """The same spoiled answer by way of `certify`, which makes a certificate of its own."""
    names = (*names, "by certify")
    arrays, claims = answer.arrays, answer.claims
    try:
        with strict():
            prog = ro.ConvexProgram(
                answer.X, answer.y, claims["lam"],
                ro.Patterns(answer.masks().T, arrays.get("pattern_gates")),
                ro.losses.Huber(answer.delta) if claims["loss"] == "huber" else claims["loss"],
                claims["activation"], answer.weights, claims["intercept"],
            )  # fmt: skip
            parts = (arrays["hidden"], arrays["output"], float(arrays["intercept"]))
            network = ro.ReLUNetwork(*parts, arrays.get("gates"))
            tol = claims["tol"]
            proof = ro.certify(prog, network, arrays["nu"], claims["scope"], tol)
    except ReluOptError:
        return Trial(names, "refused", "")
    except Exception as error:  # noqa: BLE001 - any other error is what is looked for
        return Trial(names, "error", fault(error))
    own = Answer.of(proof, answer.X, answer.y)
    failure = judge(own, proof, searched(truth, own, proof, rng))
    return Trial(names, str(proof.verdict), failure)


def honest(truth: Truth, judge: Judge) -> str:
    """What is wrong with a true answer as it is: a false verdict, or a healthy proof refused."""
    said = str(truth.certificate.verdict)
    failure = judge(truth.answer, truth.certificate)
    if failure:
        return f"as the library made it: {failure}"
    found = ro.verify(truth.answer, truth.answer.X, truth.answer.y)
    failure = judge(truth.answer, found)
    if not failure and said == "certified" and not found.valid and not _oracle(truth):
        failure = f"a certified answer is {found.verdict}: {found.problems[0]}"
    if not failure and not math.isfinite(found.rel_gap) and said == "certified":
        failure = "a certified answer has no finite gap"
    return failure


def _oracle(truth: Truth) -> bool:
    return truth.answer.claims.get("coverage") == "oracle"
