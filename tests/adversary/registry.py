"""The ways to spoil an answer, by the kind of problem that they are for."""

from __future__ import annotations

from collections.abc import Callable

from .answers import Answer
from .data import Rng

Spoil = Callable[[Rng, Answer], Answer]
PROBLEMS = ("network", "several_outputs", "spline")
SPOILS: dict[str, dict[str, Spoil]] = {problem: {} for problem in PROBLEMS}


def spoil(*problems: str) -> Callable[[Spoil], Spoil]:
    """Register a way to spoil answers of these kinds; its name is that of the function.

    A spoil changes the contents and may lie; `campaign` then lets the forger restate the numbers
    so that they agree. None is marked as harmful: some leave a true proof, and the judge tells.
    """

    def register(function: Spoil) -> Spoil:
        for problem in problems:
            SPOILS[problem][function.__name__] = function
        return function

    return register


def tiny(rng: Rng) -> float:
    """A positive number between 1e-16 and 1."""
    return float(10 ** rng.uniform(-16, 0))
