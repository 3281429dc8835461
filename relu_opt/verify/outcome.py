"""What a re-check of a certificate found."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

# How far a claimed number may be from the recomputed one, relative to the primal objective.
CLAIM_TOL = 1e-9
# Share of `tol` that the allowance for rounding may add to the gap of the numbers themselves;
# solvers stop just below `tol`, and the last bits should not undo that.
ROUNDING_SHARE = 0.01


@dataclass(frozen=True)
class Verification:
    """What a re-check found.

    Attributes
    ----------
    verdict : {"certified", "not_certified", "inconclusive", "invalid"}
        "invalid": the file claims something that its contents do not support for these data.
    primal, dual, rel_gap : float
        Recomputed; nan if the file does not let them be. `dual` allows for rounding.
    problems : tuple of str
        Sentences that say what failed; empty if and only if certified.
    statement : str
        One sentence: what is proved.
    """

    verdict: str
    primal: float
    dual: float
    rel_gap: float
    problems: tuple[str, ...]
    statement: str

    @property
    def valid(self) -> bool:
        """Whether the certificate proves what it says."""
        return self.verdict == "certified"


def invalid(problem: str) -> Verification:
    """The outcome for contents that no certificate of these data can have."""
    nan = float("nan")
    return Verification("invalid", nan, nan, nan, (problem,), nothing(problem))


def nothing(problem: str) -> str:
    """The statement of a re-check that failed."""
    return f"Nothing is proved: {problem[0].lower()}{problem[1:]}"


class Claimed(Protocol):
    """What a certificate claims of its bounds."""

    @property
    def tol(self) -> float: ...

    @property
    def verdict(self) -> str: ...

    @property
    def numbers(self) -> Mapping[str, float]: ...


def concluded(
    claim: Claimed,
    primal: float,
    plain: float,
    dual: float,
    false: list[str],
    doubts: list[str],
    thing: str,
    statement: Callable[[float], str],
    trusted: str = "",
) -> Verification:
    """Compare what was recomputed with what is claimed.

    Parameters
    ----------
    claim : Claimed
    primal, plain, dual : float
        The objective, D(ν), and D at ν shrunk by what rounding may be.
    false, doubts : lists of str
        What contradicts the file, and why the bound may not speak of the answer.
    thing : str
        What is certified, such as "network".
    statement : callable
        Says what is proved, for a relative gap.
    trusted : str
        A sentence on what is left to trust when all else holds.
    """
    scale = max(1e-12, abs(primal))
    rel_gap, plain_gap = (primal - dual) / scale, (primal - plain) / scale
    false, doubts = list(false), list(doubts)
    recomputed = {"primal": primal, "dual": plain, "rel_gap": plain_gap}
    for name, value in recomputed.items():
        said, slack = claim.numbers[name], CLAIM_TOL * (1.0 if name == "rel_gap" else scale)
        if not (said == value or abs(said - value) <= slack):
            false.append(f"The certificate says {name} = {said:.17g}, and it is {value:.17g}.")
    if not (math.isfinite(primal) and math.isfinite(dual)):
        doubts.append(f"The {thing} or ν gives no finite bound.")
    elif rel_gap < -CLAIM_TOL:
        doubts.append(f"The bound lies above the objective of a {thing} that it speaks of.")
    close = plain_gap <= claim.tol and rel_gap <= (1 + ROUNDING_SHARE) * claim.tol
    gaps = [] if close else [f"The gap {rel_gap:.3g} is above {claim.tol:g}, tol."]
    verdict = "inconclusive" if doubts else "not_certified" if gaps else "certified"
    if claim.verdict == "certified" and verdict != "certified":
        false.append(f"The certificate says 'certified', and the verdict is {verdict!r}.")
    if trusted and not doubts:
        doubts.append(trusted)
        verdict = "inconclusive"
    problems = (*false, *doubts, *gaps)
    if false:
        verdict, said_so = "invalid", nothing(false[0])
    elif doubts:
        said_so = nothing(doubts[0])
    else:
        said_so = statement(rel_gap)
    return Verification(verdict, primal, dual, rel_gap, problems, said_so)
