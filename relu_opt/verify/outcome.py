"""What a re-check of a certificate found."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import ClassVar, Protocol

from relu_opt.verify.renamed import renamed

# How much better than the recomputed number a claimed one may be, and how much worse beyond what
# another allowance for rounding explains, relative to the objective; and better, as a share of the
# gap, which another search may widen.
CLAIM_TOL, WEAKER, OF_GAP = 1e-9, 1e-3, 0.01
TINY = 2.0**-1070
# How far, relative to it, a bound may lie above the objective of a network that leaves its cones by
# rounding.
CROSSING = 1e-9
SCOPES = ("own", "program", "all")
ARITHMETIC = {
    "float": "in doubles, with bounds on every rounding",
    "exact": "in exact arithmetic",
}


@dataclass(frozen=True)
class Terms:
    """What a certificate speaks of; see the fields of `Verification` with these names."""

    scope: str = ""
    lam: float = math.nan
    loss: str = ""
    weights: bool = False
    coverage: str = ""
    tol: float = math.nan


@dataclass(frozen=True)
class Verification:
    """What a re-check found.

    Attributes
    ----------
    verdict : {"certified", "not_certified", "inconclusive", "invalid"}
        "invalid": the file claims something that its contents do not support for these data.
    objective, lower_bound : float
        Recomputed; nan if the file does not let them be. The network's objective is at most
        `objective`, and that of no network that the certificate speaks of is below `lower_bound`:
        rounding is in them.
    rel_gap : float
        The least R for which objective ≤ (1 + R)·lower_bound is shown; inf if that is not positive.
    problems : tuple of str
        Sentences that say what failed; empty if and only if certified.
    statement : str
        What is proved, in plain words.
    scope : str
        Whom the lower bound speaks of: `own`, `program` or `all`.
    lam : float
        The strength of regularisation, on the scale of the mean loss.
    loss : str
        The loss's name.
    weights : bool
        Whether samples are weighted.
    coverage : str
        Why the patterns cover the scope: `listed`, `searched`, `spike_free`, `oracle`; for several
        outputs `searched`, `relaxed` or `lifted`.
    tol : float
        The relative gap that the verdict is against.
    arithmetic : {"float", "exact"}
        In which arithmetic: doubles with a bound on every rounding, or integers.
    gap : Fraction, optional
        With exact arithmetic, the objective less the lower bound.
    """

    verdict: str
    objective: float
    lower_bound: float
    rel_gap: float
    problems: tuple[str, ...]
    statement: str
    scope: str = ""
    lam: float = math.nan
    loss: str = ""
    weights: bool = False
    coverage: str = ""
    tol: float = math.nan
    arithmetic: str = "float"
    gap: Fraction | None = None

    primal: ClassVar[renamed] = renamed("objective")
    dual: ClassVar[renamed] = renamed("lower_bound")

    @property
    def valid(self) -> bool:
        """Whether the certificate proves what it says."""
        return self.verdict == "certified"

    def demanding(
        self,
        scope: str | None = None,
        lam: float | None = None,
        loss: str | None = None,
        tol: float | None = None,
    ) -> Verification:
        """This outcome, or `inconclusive` where it is less than what is asked for."""
        less = []
        if scope is not None and SCOPES.index(scope) > SCOPES.index(self.scope or "own"):
            less.append(f"The certificate's scope is {self.scope!r}, and {scope!r} is asked for.")
        if lam is not None and lam != self.lam:
            less.append(f"The certificate is of lam = {self.lam!r}, and {lam!r} is asked for.")
        if loss is not None and loss != self.loss:
            less.append(f"The certificate is of the {self.loss} loss, and {loss} is asked for.")
        if tol is not None and not self.rel_gap <= tol:
            less.append(f"The gap {self.rel_gap:.3g} is above {tol:g}, the tol that is asked for.")
        if not less or self.verdict == "invalid":
            return self
        return replace(
            self,
            verdict="inconclusive",
            problems=(*self.problems, *less),
            statement=f"What is asked for is not proved: {less[0][0].lower()}{less[0][1:]}",
        )


def invalid(problem: str) -> Verification:
    """The outcome for contents that no certificate of these data can have."""
    nan = float("nan")
    return Verification("invalid", nan, nan, nan, (problem,), nothing(problem))


def undecided(terms: Terms, problem: str) -> Verification:
    """The outcome where the arithmetic, not the file, is what falls short."""
    nan = float("nan")
    said = nothing(problem)
    return Verification("inconclusive", nan, nan, nan, (problem,), said, **vars(terms))


def nothing(problem: str) -> str:
    """The statement of a re-check that failed."""
    return f"Nothing is proved: {problem[0].lower()}{problem[1:]}"


def relative_gap(upper: float, lower: float) -> float:
    """The least R with upper ≤ (1 + R)·lower, rounded up; inf if `lower` is not positive."""
    if upper == lower:
        return 0.0
    if lower <= 0:
        return math.copysign(math.inf, upper - lower)
    ratio = (upper - lower) / lower
    return math.nextafter(ratio * (1 + 2.0**-52), math.inf) if ratio > 0 else ratio


def above_others(primal: float, rel_gap: float, whom: str, dual: float) -> str:
    """A clause that says how far an objective may be above those of others, for any gap."""
    if rel_gap < math.inf:
        share = f"at most {max(rel_gap, 0.0):.3g} (relative) above that of every {whom}"
        return f"{primal:.12g} is {share}: none is below {dual:.12g}"
    return f"{primal:.12g} is that far above zero, and no positive lower bound is proved"


class Claimed(Protocol):
    """What a certificate claims of its bounds."""

    @property
    def terms(self) -> Terms: ...

    @property
    def verdict(self) -> str: ...

    @property
    def numbers(self) -> Mapping[str, float]: ...


def concluded(
    claim: Claimed,
    primal: float,
    dual: float,
    false: list[str],
    doubts: list[str],
    thing: str,
    statement: Callable[[float], str],
    trusted: str = "",
    unit: int = 0,
    most: float | None = None,
) -> Verification:
    """Compare what was recomputed with what is claimed.

    Parameters
    ----------
    claim : Claimed
    primal, dual : float
        The objective from above and the lower bound from below, in units of 2**unit.
    false, doubts : lists of str
        What contradicts the file, and why the bound may not speak of the answer.
    thing : str
        What is certified, such as "network".
    statement : callable
        Says what is proved, for a relative gap.
    trusted : str
        A sentence on what is left to trust when all else holds.
    unit : int
        The verdict is made in this unit, so that it does not depend on that of the data.
    most : float, optional
        What the file's dual point proves if it is feasible as it is, in the same unit: a file that
        says so much is not false, though less may be shown here.
    """
    terms, rel_gap = claim.terms, relative_gap(primal, dual)
    false, doubts = list(false), list(doubts)
    upper, lower = in_units(primal, unit, math.inf), in_units(dual, unit, -math.inf)
    most = dual if most is None else max(dual, most)
    least_gap, most_said = relative_gap(primal, most), in_units(most, unit, math.inf)
    found = {
        "primal": (upper, upper, 1),
        "dual": (lower, most_said, -1),
        "rel_gap": (rel_gap, least_gap, 1),
    }
    for name, (value, best, side) in found.items():
        said, scale = claim.numbers[name], 1.0 if name == "rel_gap" else max(upper, lower)
        apart = rel_gap if name == "rel_gap" else upper - lower
        worse = side * (said - best)
        better = CLAIM_TOL * scale + OF_GAP * abs(apart) + TINY
        allowed = -better <= worse <= WEAKER * scale + 4 * abs(apart) + TINY
        nothing_said = name == "rel_gap" and said == math.inf
        if not (said == value or allowed or nothing_said):
            false.append(f"The certificate says {name} = {said:.17g}, and it is {value:.17g}.")
    if not (math.isfinite(primal) and math.isfinite(dual)):
        doubts.append(f"The {thing} or ν gives no finite bound.")
    elif rel_gap < -CROSSING:
        doubts.append(f"The bound lies above the objective of a {thing} that it speaks of.")
    gaps = [] if rel_gap <= terms.tol else [f"The gap {rel_gap:.3g} is above {terms.tol:g}, tol."]
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
    return Verification(verdict, upper, lower, rel_gap, problems, said_so, **vars(terms))


def in_units(value: float, unit: int, towards: float) -> float:
    """value·2**unit; what rounding takes at the ends of the range is given `towards`."""
    if not math.isfinite(value):
        return value
    try:
        scaled = math.ldexp(value, unit)
    except OverflowError:
        scaled = math.copysign(math.inf, value)
    exact = math.isfinite(scaled) and math.ldexp(scaled, -unit) == value
    moved = scaled if exact else math.nextafter(scaled, towards)
    return max(0.0, moved) if value >= 0 else moved
