"""What a re-check of a certificate found."""

from __future__ import annotations

from dataclasses import dataclass


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
