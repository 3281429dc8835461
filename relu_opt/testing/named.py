"""What a program with a known answer is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.arrays import FloatArray, frozen
from relu_opt.plugins.types import Program
from relu_opt.program.linear import LinearProgram

Outcome = Literal["optimal", "infeasible", "unbounded"]


@dataclass(frozen=True, eq=False)
class NamedProgram:
    """A program with a known answer.

    Attributes
    ----------
    name : str
        The part before the first underscore is the program's family (`lp`, `socp`, …); checks
        that need one program of each sort take the first of each family.
    kind : type
        `LinearProgram`, `QuadraticProgram`, `ConicProgram` or `ConvexProgram`.
    make : callable
        Makes the program; no two calls share an array.
    outcome : str
        `optimal`, `infeasible` or `unbounded`.
    objective : float or None
        The optimal value; None if there is none.
    x : array or None
        The optimum where it is unique, in the shape of `RawSolution.x`.
    note : str
        What the program catches.
    """

    name: str
    kind: type
    make: Callable[[], Program]
    outcome: Outcome
    objective: float | None = None
    x: FloatArray | None = None
    note: str = ""

    @property
    def family(self) -> str:
        """The part of the name before the first underscore."""
        return self.name.split("_")[0]

    def __repr__(self) -> str:
        return f"NamedProgram({self.name!r}, {self.kind.__name__}, {self.outcome})"


def named(
    make: Callable[[], Program],
    kind: type,
    objective: float | None = None,
    x: ArrayLike | None = None,
    outcome: Outcome = "optimal",
) -> NamedProgram:
    """The program that a function makes: its name and docstring are the program's."""
    point = None if x is None else frozen(np.array(x, dtype=np.float64))
    note = " ".join((make.__doc__ or "").split())
    return NamedProgram(make.__name__, kind, make, outcome, objective, point, note)


def is_mixed_integer(program: Program) -> bool:
    """Whether some variable of the program has to be an integer."""
    return isinstance(program, LinearProgram) and program.is_mixed_integer
