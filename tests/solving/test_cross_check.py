"""`cross_check`: several backends side by side."""

from __future__ import annotations

import math

import numpy as np
import pytest

import relu_opt as ro
from relu_opt.errors import DataError, UnknownBackend, UnsupportedProgram
from relu_opt.plugins import Availability, BackendInfo, RawSolution, State, StopReason, hookimpl


class Liar:
    """Says that it has converged, with the point that it is given."""

    def __init__(self, x, takes):
        self.x, self.takes = x, takes

    def solve(self, program, options):
        if isinstance(self.x, Exception):
            raise self.x
        return RawSolution(StopReason.CONVERGED, self.x)

    @hookimpl
    def relu_opt_backends(self):
        ready = Availability(State.READY)
        return [BackendInfo("liar", lambda: self, lambda: ready, frozenset({self.takes}))]


def add_liar(registry, x, takes):
    liar = Liar(x, takes)
    registry.add("liar", "test", lambda: liar)


LP = ro.LinearProgram(c=[1.0, 2.0], A=[[1.0, 1.0]], row_lower=3.0, lower=0.0)


def test_honest_backends_agree(make_program, clock):
    prog = make_program(1)
    check = ro.cross_check(prog, ["native", "cvxpy", "clarabel"], tol=1e-7)
    assert check.agree
    assert [row.backend for row in check.rows] == ["native", "cvxpy", "clarabel"]
    for row in check.rows:
        assert row.verdict == "certified"
        assert row.objective == pytest.approx(check.best, rel=1e-7)
        assert row.rel_gap <= 1e-7
        assert row.difference <= 1e-3
        assert row.seconds >= 1  # look at the clock
    assert check.lower_bound <= check.best * (1 + 1e-9)


def test_all_that_are_able_are_asked(registry, make_program):
    prog = make_program(1)
    names = {row.backend for row in ro.cross_check(prog, tol=1e-6).rows}
    assert {"native", "highs", "clarabel", "cvxpy"} <= names
    assert "mosek" not in names  # not free
    whole = ro.LinearProgram(c=[-1.0], upper=[1.5], integrality=np.array([True]))
    check = ro.cross_check(whole)
    assert "native" not in {row.backend for row in check.rows}
    assert check.agree
    assert check.best == -1.0
    assert check.lower_bound == -1.0


def test_a_table_for_people():
    text = str(ro.cross_check(LP, ["highs", "clarabel"], tol=1e-7))
    lines = text.splitlines()
    assert lines[0].split() == [
        "backend", "objective", "rel.", "gap", "violation", "difference", "seconds", "verdict",
        "stop",
    ]  # fmt: skip
    assert [line.split()[0] for line in lines[1:3]] == ["highs", "clarabel"]
    assert lines[-1] == "The answers agree to 1e-07."


@pytest.mark.parametrize(
    ("x", "verdict"),
    [
        ([3.0, 0.5], "inconclusive"),  # feasible, not optimal
        ([2.0, 0.0], "not_certified"),  # better than optimal, infeasible
    ],
)
def test_a_liar_is_seen(registry, x, verdict):
    add_liar(registry, np.array(x), ro.LinearProgram)
    check = ro.cross_check(LP, ["highs", "liar"])
    assert not check.agree
    assert check.best == pytest.approx(3.0)
    assert check.rows[1].verdict == verdict
    assert "do NOT agree" in str(check)


def test_no_feasible_answer_at_all(registry):
    add_liar(registry, np.zeros(2), ro.LinearProgram)
    check = ro.cross_check(LP, ["liar"])
    assert not check.agree
    assert math.isnan(check.best)
    assert math.isnan(check.rows[0].difference)


def test_a_wrong_network_is_seen(registry, make_program):
    prog = make_program(1)
    add_liar(registry, np.zeros(prog.weights_shape), ro.ConvexProgram)
    check = ro.cross_check(prog, ["native", "liar"])
    assert not check.agree
    assert check.rows[1].verdict == "not_certified"


def test_a_backend_that_fails_has_a_row_that_says_so(registry):
    add_liar(registry, ZeroDivisionError("no"), ro.LinearProgram)
    check = ro.cross_check(LP, ["highs", "liar"])
    assert not check.agree
    assert check.rows[1].verdict == "failed"
    assert check.rows[1].stop.startswith("SolveFailed: Backend 'liar' raised ZeroDivisionError")


def test_options_go_to_their_backend(make_program):
    check = ro.cross_check(
        make_program(1), ["native", "cvxpy"], tol=1e-6, options={"cvxpy": {"solver": "SCS"}}
    )
    assert check.agree


def test_what_cannot_be_asked_is_an_error(make_program):
    with pytest.raises(UnknownBackend, match="Did you mean 'highs'"):
        ro.cross_check(LP, ["highs", "hihgs"])
    whole = ro.LinearProgram(c=[-1.0], upper=[1.5], integrality=np.array([True]))
    with pytest.raises(UnsupportedProgram):
        ro.cross_check(whole, ["highs", "clarabel"])
    with pytest.raises(DataError, match="backends is empty"):
        ro.cross_check(LP, [])
    with pytest.raises(DataError, match="a program is needed"):
        ro.cross_check("LP")
