"""Every ready backend on standard programs with published optima: right, honest or WRONG.

The Maros-Meszaros set holds convex quadratic programs (`.mat` files with P, q, A, l, u, r, the
bounds of the variables as the last rows of A), the other folder linear and mixed-integer programs
(`.mps`, `.lp`); both have an `optima.json`. Of each instance and backend:

right     certified, and within 1e-6 of the published optimum; or a proof that there is no optimum,
          where there is none. Two published optima, of HUES-MOD and HUESTIS, are not those of the
          files: bounds in exact rationals refute them (`refuted`), and answers inside are right
honest    no more is claimed than is true: not certified, or no proof, out of time, or a crash of
          the solver, which is why each instance runs in a process of its own
WRONG     certified, and not the optimum; or said to have none, as a fact, where it has one
-         the backend does not take the program

Usage:
    python tests/benchmarks/standard_programs.py FOLDER [FOLDER ...] [--backends auto highs ...]
        [--tol 1e-8] [--time-limit 10] [--only NAME ...] [--all]

The exit status is 1 if there is one WRONG.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from scipy.io import loadmat
from scipy.sparse import csc_array, diags_array
from solve import versions
from threadpoolctl import threadpool_limits

import relu_opt as ro
from relu_opt.errors import ReluOptError, SolveFailed, UnsupportedProgram
from relu_opt.plugins import StopReason
from relu_opt.plugins.manager import registry
from relu_opt.plugins.types import State
from relu_opt.solving.standard import solve_program

AGREEMENT = 1e-6
# Rows up to which equations are solved in rationals.
FEW = 5
# The digits of a double that a published number may lack.
ROUNDING = 1e-10
# Optima below this are zero, as far as published digits tell.
SMALL = 1e-2
# 1e20, which a change of units has rounded in some files.
INFINITE = 1e19
Program = ro.LinearProgram | ro.QuadraticProgram
OUTCOMES = {"infeasible": StopReason.INFEASIBLE, "unbounded": StopReason.UNBOUNDED}
PACKAGES = ("relu-opt", "numpy", "scipy", "highspy", "clarabel", "daqp", "cvxpy", "pyomo")


@dataclass(frozen=True)
class Row:
    backend: str
    outcome: str
    seconds: float
    said: str


def quadratic(file: Path) -> ro.QuadraticProgram:
    """A program of the Maros-Meszaros set."""
    data = loadmat(file)
    k = data["P"].shape[0]
    A, lower, upper = csc_array(data["A"]).tocsr(), data["l"].ravel(), data["u"].ravel()
    rows = A.shape[0] - k
    lower = np.where(lower <= -INFINITE, -np.inf, lower)
    upper = np.where(upper >= INFINITE, np.inf, upper)
    P = csc_array(data["P"], dtype=np.float64)
    return ro.QuadraticProgram(
        P=csc_array((P + P.T) / 2),
        c=data["q"].ravel(),
        A=csc_array(A[:rows]),
        row_lower=lower[:rows],
        row_upper=upper[:rows],
        lower=lower[rows:],
        upper=upper[rows:],
        offset=float(data["r"].ravel()[0]),
    )


def linear(file: Path) -> Program:
    """A program as HiGHS reads it."""
    import highspy

    highs = highspy._core._Highs()
    highs.setOptionValue("output_flag", False)
    highs.readModel(str(file))
    model = highs.getLp()
    matrix = model.a_matrix_
    shape = (model.num_row_, model.num_col_)
    parts = (np.array(matrix.value_), np.array(matrix.index_), np.array(matrix.start_))
    by_columns = matrix.format_ == highspy.MatrixFormat.kColwise
    if by_columns:
        A = csc_array(parts, shape=shape)
    else:
        A = csc_array(csc_array(parts, shape=shape[::-1]).T)
    if highs.getModel().hessian_.dim_:
        return with_hessian(highs, A)
    sign = 1.0 if model.sense_ == highspy.ObjSense.kMinimize else -1.0
    whole = np.array([kind != highspy.HighsVarType.kContinuous for kind in model.integrality_])
    return ro.LinearProgram(
        c=sign * np.array(model.col_cost_),
        A=A,
        row_lower=np.array(model.row_lower_),
        row_upper=np.array(model.row_upper_),
        lower=np.array(model.col_lower_),
        upper=np.array(model.col_upper_),
        integrality=whole if whole.any() else None,
        offset=sign * float(model.offset_),
    )


def with_hessian(highs, A: csc_array) -> ro.QuadraticProgram:
    """A quadratic program as HiGHS reads it, which keeps the lower triangle of P."""
    model, hessian = highs.getLp(), highs.getModel().hessian_
    parts = (np.array(hessian.value_), np.array(hessian.index_), np.array(hessian.start_))
    triangle = csc_array(parts, shape=(hessian.dim_, hessian.dim_))
    return ro.QuadraticProgram(
        P=csc_array(triangle + triangle.T - diags_array(triangle.diagonal())),
        c=np.array(model.col_cost_),
        A=A,
        row_lower=np.array(model.row_lower_),
        row_upper=np.array(model.row_upper_),
        lower=np.array(model.col_lower_),
        upper=np.array(model.col_upper_),
        offset=float(model.offset_),
    )


def instances(folders: list[Path], only: list[str]) -> list[tuple[str, Path, float | str]]:
    found = []
    for folder in folders:
        optima = json.loads((folder / "optima.json").read_text())
        for name, optimum in sorted(optima.items()):
            file = folder / name if (folder / name).exists() else folder / f"{name}.mat"
            if not only or name in only or file.stem in only:
                found.append((file.stem if file.suffix == ".mat" else name, file, optimum))
    return found


def judged(program: Program, backend: str, optimum: float | str, limits: dict) -> Row:
    """What one backend made of one program."""
    started = time.perf_counter()
    outcome, said = "honest", ""
    try:
        found = solve_program(program, backend, **limits)
    except UnsupportedProgram:
        outcome, said = "-", "not taken"
    except SolveFailed as error:
        said = str(error)[:60]
        stop = error.fields.get("stop")
        if stop in OUTCOMES.values():
            # Before there were proofs, every such word was a fact.
            proved = error.fields.get("proved", True)
            said = f"{stop.value}, {'proved' if proved else 'claimed'}"
            true = stop is OUTCOMES.get(str(optimum))
            outcome = "honest" if not proved else "right" if true else "WRONG"
    except ReluOptError as error:
        said = f"{type(error).__name__}: {error}"[:60]
    else:
        said = (
            f"{found.verdict.value} {found.objective:.10g}, gap {found.rel_gap:.1e}, "
            f"primal {found.residuals.primal:.1e}"
        )
        if found.verdict.value == "certified":
            right = agrees(found, optimum) or refuted(found, optimum)
            outcome = "right" if right else "WRONG"
    return Row(backend, outcome, time.perf_counter() - started, said)


def agrees(found: ro.ProgramSolution, optimum: float | str) -> bool:
    """Whether an objective is the published one, to the digits that it may have.

    An optimum near zero is the difference of large terms: that of S268 is 0, its terms are of size
    10⁵, and 5.7e-7 is published.
    """
    if isinstance(optimum, str):
        return False
    terms = float(np.abs(found.program.c) @ np.abs(found.x)) + abs(found.program.offset)
    digits = max(AGREEMENT * max(SMALL, abs(optimum)), ROUNDING * terms)
    return abs(found.objective - optimum) <= digits


def refuted(found: ro.ProgramSolution, optimum: float | str) -> bool:
    """Whether exact bounds exclude a published optimum, and hold the objective that was found.

    For separable programs over equations and x >= 0: the upper bound is the objective at a point
    that meets the equations in rationals, the lower bound that of the multipliers.
    """
    program = found.program
    if isinstance(optimum, str) or not isinstance(program, ro.QuadraticProgram):
        return False
    P, rows = program.P, program.rows
    equations = np.array_equal(program.row_lower, program.row_upper) and rows <= FEW
    bounds = not program.lower.any() and np.isinf(program.upper).all()
    if P.nnz != np.count_nonzero(P.diagonal()) or not (equations and bounds):
        return False
    curve = [Fraction(v) for v in P.diagonal()]
    c, A = [Fraction(v) for v in program.c], program.A.tocsr()
    y = [Fraction(v) for v in found.duals]
    sides = [Fraction(v) for v in program.row_lower]
    slope = list(c)
    for i, j in zip(*A.nonzero(), strict=True):
        slope[j] += y[i] * Fraction(A[i, j])
    lower = -sum(a * b for a, b in zip(sides, y, strict=True))
    lower -= sum(min(g, 0) ** 2 / (2 * p) for g, p in zip(slope, curve, strict=True))
    x = [Fraction(v) for v in found.x]
    freest = np.argsort(-found.x)[:rows]
    missing = [
        side - sum(Fraction(A[i, j]) * x[j] for j in A[[i]].indices) for i, side in enumerate(sides)
    ]
    for j, step in zip(freest, solved(A, freest, missing), strict=True):
        x[j] += step
    upper = sum(p * v * v / 2 + g * v for p, v, g in zip(curve, x, c, strict=True))
    inside = lower <= Fraction(found.objective) * (1 + Fraction(1, 10**9))
    inside &= Fraction(found.objective) * (1 - Fraction(1, 10**9)) <= upper
    return bool(min(x) >= 0 and inside and not lower <= Fraction(optimum) <= upper)


def solved(A, columns, sides: list[Fraction]) -> list[Fraction]:
    """The square system of these columns, by elimination in rationals."""
    rows = [[Fraction(A[i, j]) for j in columns] + [side] for i, side in enumerate(sides)]
    for k in range(len(rows)):
        pivot = max(range(k, len(rows)), key=lambda i: abs(rows[i][k]))
        rows[k], rows[pivot] = rows[pivot], rows[k]
        rows[k] = [value / rows[k][k] for value in rows[k]]
        for i in range(len(rows)):
            if i != k:
                rows[i] = [a - rows[i][k] * b for a, b in zip(rows[i], rows[k], strict=True)]
    return [row[-1] for row in rows]


def one(file: Path, backend: str, optimum: float | str, limits: dict) -> Row:
    """An instance from its file, with one BLAS thread."""
    with threadpool_limits(1):
        program = quadratic(file) if file.suffix == ".mat" else linear(file)
        return judged(program, backend, optimum, limits)


class Worker:
    """A process for instances, and a new one after a crash."""

    def __init__(self) -> None:
        self.pool = ProcessPoolExecutor(1)

    def run(self, file: Path, backend: str, optimum: float | str, limits: dict) -> Row:
        """What became of an instance."""
        started = time.perf_counter()
        try:
            return self.pool.submit(one, file, backend, optimum, limits).result()
        except BrokenProcessPool:
            self.pool = ProcessPoolExecutor(1)
            return Row(backend, "honest", time.perf_counter() - started, "its process crashed")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--backends", nargs="+")
    parser.add_argument("--tol", type=float)
    parser.add_argument("--time-limit", type=float, default=10.0)
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--all", action="store_true", help="every row, not only those to look at")
    arguments = parser.parse_args()
    names = arguments.backends or [
        name
        for name, info in registry().infos().items()
        if info.free and registry().probe(info).state is State.READY
    ]
    limits = {"tol": arguments.tol, "time_limit": arguments.time_limit}
    print(versions(PACKAGES), flush=True)
    rows: list[Row] = []
    worker = Worker()
    for name, file, optimum in instances(arguments.folders, arguments.only):
        for backend in names:
            row = worker.run(file, backend, optimum, limits)
            rows.append(row)
            if arguments.all or row.outcome == "WRONG":
                print(
                    f"{name:18} {backend:9} {row.outcome:7} {row.seconds:8.2f} s  {row.said}"
                    f"  (published {optimum})",
                    flush=True,
                )
    print("\n| backend | right | honest | WRONG | not taken | median s of the right | whole s |")
    print("|---|---|---|---|---|---|---|")
    for backend in names:
        mine = [row for row in rows if row.backend == backend]
        count = {
            word: sum(row.outcome == word for row in mine)
            for word in ("right", "honest", "WRONG", "-")
        }
        good = [row.seconds for row in mine if row.outcome == "right"]
        print(
            f"| {backend} | {count['right']} | {count['honest']} | {count['WRONG']} "
            f"| {count['-']} | {statistics.median(good) if good else float('nan'):.3f} "
            f"| {sum(row.seconds for row in mine):.0f} |"
        )
    return int(any(row.outcome == "WRONG" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
