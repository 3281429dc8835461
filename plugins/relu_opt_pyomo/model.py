r"""Programs as Pyomo models, to be written to files, changed by hand, or solved by any solver.

from relu_opt_pyomo.model import build_model

model = build_model(program)
model.cap = pyo.Constraint(expr=model.x[0] + model.x[1] <= 1)
model.write("program.lp", io_options={"symbolic_solver_labels": True})
pyo.SolverFactory("gurobi").solve(model)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array, diags_array, triu

from relu_opt.arrays import FloatArray
from relu_opt.errors import UnsupportedProgram
from relu_opt.program.conic import ConicProgram
from relu_opt.program.linear import LinearProgram, QuadraticProgram

StandardProgram = LinearProgram | QuadraticProgram | ConicProgram

# The components that stand for rows of A, indexed by the number of the row.
ROWS = ("rows", "zero", "nonnegative", "links")


def build_model(program: StandardProgram) -> Any:
    """The program as a `pyomo.environ.ConcreteModel`.

    Parameters
    ----------
    program : LinearProgram, QuadraticProgram or ConicProgram

    Returns
    -------
    ConcreteModel
        With these components:

        ``x[j]``
            The variables, with their bounds, and integers where the program wants them.
        ``cost``
            The objective, to be minimised, with its offset.
        ``rows[i]``
            Row i of a linear or quadratic program; left out where it has no bounds.
        ``zero[i]``, ``nonnegative[i]``
            Row i of a conic program: (Ax)ᵢ = bᵢ or (Ax)ᵢ ≤ bᵢ.
        ``s[i]``, ``links[i]``
            The slack of row i of a second-order cone, and (Ax)ᵢ + sᵢ = bᵢ.
        ``soc[j]``
            The j-th second-order cone, ‖u‖² ≤ t² for its slacks (t, u), where t ≥ 0 is a bound.
            Solvers of quadratic constraints know this form for a cone, which is convex.

        Pyomo's multiplier of a row is the derivative of the objective by its right-hand side:
        the multiplier of relu_opt with the other sign.

    Raises
    ------
    UnsupportedProgram
        If the program has exponential or semidefinite cones, or no variables.
    """
    if not program.c.size:
        raise UnsupportedProgram(
            "A program without variables has no Pyomo model. There is nothing to choose: check "
            "its rows.",
            backend="pyomo",
        )
    from pyomo.common.gc_manager import PauseGC

    with PauseGC():
        return _conic(program) if isinstance(program, ConicProgram) else _polyhedral(program)


def row_constraints(model: Any) -> dict[int, Any]:
    """The constraint of each row of A that has one."""
    found: dict[int, Any] = {}
    for name in ROWS:
        component = model.component(name)
        found.update(component.items() if component is not None else ())
    return found


def forget_cost(model: Any) -> None:
    """Leave the constraints alone, with a cost of zero: is there a point at all?"""
    x = list(model.x.values())
    model.cost.set_value(_Rows(x).sum(np.zeros(len(x)), x))


def _polyhedral(program: LinearProgram | QuadraticProgram) -> Any:
    import pyomo.environ as pyo

    model = _with_variables(program)
    rows = _Rows.of(program.A, list(model.x.values()))
    lower, upper = _bounds(program.row_lower), _bounds(program.row_upper)

    def row(_: Any, i: int) -> Any:
        low, high = lower[i], upper[i]
        if low is None and high is None:
            return pyo.Constraint.Skip
        return (rows[i], high) if low == high else (low, rows[i], high)

    model.rows = pyo.Constraint(pyo.RangeSet(0, program.rows - 1), rule=row)
    return model


def _with_variables(program: StandardProgram) -> Any:
    """A model with x and the cost."""
    import pyomo.environ as pyo
    from pyomo.core.expr.numeric_expr import SumExpression

    model = pyo.ConcreteModel(name=type(program).__name__)
    columns = pyo.RangeSet(0, program.c.size - 1)
    if isinstance(program, ConicProgram):
        model.x = pyo.Var(columns)
    else:
        limits = list(zip(_bounds(program.lower), _bounds(program.upper), strict=True))
        model.x = pyo.Var(columns, bounds=lambda _, j: limits[j])
    if isinstance(program, LinearProgram) and program.integrality is not None:
        for j in np.flatnonzero(program.integrality).tolist():
            model.x[j].domain = pyo.Integers
    x = list(model.x.values())
    linear = _Rows(x).sum(program.c, x)
    if isinstance(program, QuadraticProgram) and program.P.nnz:
        linear = SumExpression([linear, *_curvature(program, x)])
    model.cost = pyo.Objective(expr=linear + program.offset)
    return model


def _curvature(program: QuadraticProgram, x: Sequence[Any]) -> list[Any]:
    """½xᵀPx as Σᵢ xᵢ (½Pᵢᵢ xᵢ + Σ_{j>i} Pᵢⱼ xⱼ): solvers read k sums faster than k² products."""
    from pyomo.core.expr.numeric_expr import ProductExpression

    upper = csr_array(triu(program.P, k=1) + diags_array(0.5 * program.P.diagonal()))
    upper.eliminate_zeros()
    rows = _Rows.of(upper, x)
    filled = np.flatnonzero(np.diff(upper.indptr)).tolist()
    return [ProductExpression((x[i], rows[i])) for i in filled]


def _conic(program: ConicProgram) -> Any:
    import pyomo.environ as pyo

    cones = program.cones
    if cones.exponential or cones.semidefinite:
        kinds = (("exponential", cones.exponential), ("semidefinite", cones.semidefinite))
        raise UnsupportedProgram(
            f"A Pyomo model has no {' or '.join(kind for kind, some in kinds if some)} cones. Use "
            "backend='clarabel' or 'mosek'.",
            backend="pyomo",
            program="ConicProgram",
        )
    model = _with_variables(program)
    rows = _Rows.of(program.A, list(model.x.values()))
    b = program.b.tolist()
    first = cones.zero + cones.nonnegative
    heads = [first + at for at in np.cumsum([0, *cones.second_order])[:-1].tolist()]
    bottom = dict.fromkeys(heads, 0.0)
    model.zero = pyo.Constraint(pyo.RangeSet(0, cones.zero - 1), rule=lambda _, i: (rows[i], b[i]))
    model.nonnegative = pyo.Constraint(
        pyo.RangeSet(cones.zero, first - 1), rule=lambda _, i: (None, rows[i], b[i])
    )
    model.s = pyo.Var(pyo.RangeSet(first, len(b) - 1), bounds=lambda _, i: (bottom.get(i), None))
    model.links = pyo.Constraint(
        pyo.RangeSet(first, len(b) - 1), rule=lambda m, i: (rows[i] + m.s[i], b[i])
    )
    sizes = list(zip(heads, cones.second_order, strict=True))
    model.soc = pyo.Constraint(
        [j for j, (_, size) in enumerate(sizes) if size > 1],
        rule=lambda m, j: _cone(m.s, *sizes[j]),
    )
    return model


def _cone(s: Any, head: int, size: int) -> tuple[None, Any, float]:
    """Σ uᵢ² − t² ≤ 0."""
    from pyomo.core.expr.numeric_expr import (
        MonomialTermExpression,
        ProductExpression,
        SumExpression,
    )

    squares = [ProductExpression((s[i], s[i])) for i in range(head + 1, head + size)]
    last = ProductExpression((MonomialTermExpression((-1.0, s[head])), s[head]))
    return None, SumExpression([*squares, last]), 0.0


def _bounds(values: FloatArray) -> list[float | None]:
    return [value if np.isfinite(value) else None for value in values.tolist()]


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows of a matrix times x, as linear expressions made without Pyomo's slower operators."""

    x: Sequence[Any]
    starts: Sequence[int] = ()
    columns: Sequence[int] = ()
    values: Sequence[float] = ()

    @classmethod
    def of(cls, matrix: Any, x: Sequence[Any]) -> _Rows:
        rows = csr_array(matrix)
        return cls(x, rows.indptr.tolist(), rows.indices.tolist(), rows.data.tolist())

    def __getitem__(self, i: int) -> Any:
        part = slice(self.starts[i], self.starts[i + 1])
        if part.start == part.stop:
            # Pyomo refuses a constraint without variables.
            return self.sum([0.0], self.x[:1])
        return self.sum(self.values[part], [self.x[j] for j in self.columns[part]])

    @staticmethod
    def sum(values: Sequence[float] | FloatArray, x: Sequence[Any]) -> Any:
        """Σ values[j] x[j]. Zeros stay: a solver hears only of variables that it meets."""
        from pyomo.core.expr.numeric_expr import LinearExpression, MonomialTermExpression

        pairs = zip(np.asarray(values).tolist(), x, strict=True)
        return LinearExpression([MonomialTermExpression(pair) for pair in pairs])
