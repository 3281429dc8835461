"""The conformance kit is tested itself: it passes the honest, and fails each liar for its lie."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from dataclasses import replace

import numpy as np
import pytest

import relu_opt as ro
from relu_opt.errors import DataError, ReluOptError
from relu_opt.plugins.types import Availability, Feature, OptionSpec, State, StopReason
from relu_opt.testing import PROGRAMS, BackendConformance, CheckResult, check_backend
from relu_opt.testing.answers import objective_of, scale
from relu_opt.testing.checks import CHECKS, run_check
from relu_opt.testing.fakes import LIARS, fake, honest
from relu_opt.testing.programs import LARGE
from relu_opt.testing.subject import Subject

pytest_plugins = ["pytester"]

# One program of each family, and those that have no optimum.
SAMPLE = [
    "lp_unique",
    "lp_nonunique",
    "lp_infeasible",
    "lp_unbounded",
    "milp_knapsack",
    "milp_infeasible",
    "qp_unique",
    "qp_nonunique",
    "qp_far_bound",
    "conic_linear",
    "conic_linear_other",
    "conic_infeasible",
    "socp_projection",
    "socp_ball",
    "exp_euler",
    "sdp_orders",
    "net_squared",
    "net_zero",
    "net_one_sample",
]
# One of each program type, and one without an optimum.
FEW = ["lp_unique", "lp_infeasible", "milp_knapsack", "qp_unique", "socp_ball", "net_squared"]
# Neither a solve nor a registration by hand can break these.
BEYOND_FAKES = {"options_unknown", "registration_light"}


@pytest.fixture
def install(registry):
    """Register a fake plugin by hand."""
    return lambda plugin: registry.add("fake", "fake-dist", lambda: plugin)


def failed(results):
    return [result for result in results if result.outcome == "failed"]


# -- honest and lying backends -----------------------------------------------------------


def test_the_honest_one_passes_everything(install):
    install(honest())
    results = check_backend("fake")
    assert not failed(results)
    # Where it is not installed, it registers nothing in a new process.
    skipped = [result for result in results if result.outcome == "skipped"]
    assert [(result.check, result.program) for result in skipped] == [("registration_light", "")]
    done = {(result.check, result.program) for result in results}
    assert len(done) == len(results)
    assert {check for check, _ in done} == set(CHECKS)
    assert {program for _, program in done} == {"", *PROGRAMS, *LARGE}


@pytest.mark.parametrize("name", [name for name in LIARS if name != "too_late"])
def test_each_liar_fails_in_its_check(install, name):
    install(LIARS[name].make())
    found = failed(check_backend("fake", programs=SAMPLE, checks=[LIARS[name].check]))
    assert found
    assert all(result.detail and result.seconds >= 0 for result in found)


def test_a_liar_that_ignores_time_limits_fails(install):
    install(LIARS["too_late"].make())
    subject = Subject("fake", PROGRAMS, time_limit=0.1, time_slack=0.5)
    found = run_check(CHECKS[LIARS["too_late"].check], subject, LARGE["large_milp"])
    assert found.outcome == "failed"
    assert "after a limit of 0.1 s" in found.detail


def test_every_check_has_its_liar():
    assert {liar.check for liar in LIARS.values()} == set(CHECKS) - BEYOND_FAKES


@pytest.mark.parametrize("name", LIARS)
def test_the_core_never_certifies_a_lie(install, name):
    """A wrong answer is an error, or has another verdict; the objective is the core's own."""
    install(LIARS[name].make())
    for case in (PROGRAMS[each] for each in FEW):
        program = case.make()
        try:
            if isinstance(program, ro.ConvexProgram):
                sol = ro.solve(program, "fake", tol=1e-7)
                x, verdict = sol.weights, sol.certificate.verdict
            else:
                sol = ro.solve_program(program, "fake", tol=1e-7)
                x, verdict = sol.x, sol.verdict
        except ReluOptError:
            continue
        if verdict is ro.Verdict.CERTIFIED:
            assert case.outcome == "optimal", case
            plain = case.make()
            error = abs(objective_of(plain, x) - case.objective) / scale(plain, case.objective)
            assert error <= 1e-5, case


# -- results -----------------------------------------------------------------------------


def test_what_does_not_apply_is_skipped_with_a_reason(install):
    install(honest(takes=frozenset({ro.LinearProgram}), features=frozenset()))
    results = check_backend("fake", programs=SAMPLE)
    assert not failed(results)
    why = {(r.check, r.program): r.detail for r in results if r.outcome == "skipped"}
    assert "takes LinearProgram" in why["answer_form", "qp_unique"]
    assert "lacks integer" in why["answer_form", "milp_knapsack"]
    assert "Feature.DUALS" in why["duals_signs", "lp_unique"]
    assert "Feature.TIME_LIMIT" in why["limits_time", "large_lp"]
    assert ("answer_form", "lp_unique") not in why


def test_what_a_backend_refuses_is_skipped(install):
    def refuses(program):
        return "it is too large" if len(getattr(program, "c", ())) > 1 else ""

    install(honest(refuses=refuses))
    results = check_backend(
        "fake", programs=["conic_linear", "sdp_largest"], checks=["answer_form"]
    )
    assert [result.outcome for result in results] == ["skipped", "passed"]
    assert "refuses it: it is too large" in results[0].detail


@pytest.mark.parametrize("state", [State.NOT_INSTALLED, State.NO_LICENCE])
def test_a_backend_that_cannot_run_here_is_skipped_visibly(install, state):
    install(honest(probe=lambda: Availability(state, "libfake is missing")))
    results = check_backend("fake", programs=SAMPLE)
    assert not failed(results)
    passed = {result.check for result in results if result.outcome == "passed"}
    assert passed == {"registration_found", "registration_declared", "options_declared"}
    skipped = [result.detail for result in results if result.check == "answer_form"]
    assert all("libfake is missing" in detail for detail in skipped)


def test_a_backend_that_does_not_exist(registry):
    results = check_backend("natvie", programs=SAMPLE)
    assert [result.check for result in failed(results)] == ["registration_found"]
    assert all("natvie" in result.detail for result in results)


def test_what_a_backend_raises_is_one_failure_a_program(install):
    install(LIARS["raises"].make())
    results = check_backend("fake", programs=["lp_unique", "lp_infeasible"])
    found = {(result.check, result.program) for result in failed(results)}
    assert ("answer_form", "lp_unique") in found
    assert ("outcome_told", "lp_infeasible") in found
    assert ("duals_signs", "lp_unique") not in found
    assert "see answer_form" in next(r.detail for r in results if r.check == "duals_signs")
    assert "a pivot is zero" in failed(results)[0].detail


def test_an_error_that_leaks_is_a_failure(install):
    def refuses(program):
        raise RuntimeError("cannot tell")

    install(honest(refuses=refuses))
    found = failed(check_backend("fake", programs=["lp_unique"], checks=["answer_form"]))
    assert "RuntimeError leaked: cannot tell" in found[0].detail


def test_checks_and_programs_by_name(registry):
    mine = {"net_mine": PROGRAMS["net_squared"]}
    (result,) = check_backend("native", programs=mine, checks=["answer_optimal"])
    assert isinstance(result, CheckResult)
    assert (result.check, result.program, result.outcome) == (
        "answer_optimal",
        "net_squared",
        "passed",
    )
    with pytest.raises(DataError, match=r"no check 'answer_optimum'.*mean 'answer_optimal'"):
        check_backend("native", checks=["answer_optimum"])
    with pytest.raises(DataError, match=r"no program 'lp_uniqe'.*mean 'lp_unique'"):
        check_backend("native", programs=["lp_uniqe"])


def test_the_tolerance_is_what_is_asked_for_and_measured_against(install):
    asked = []

    def remember(solve, program, options):
        asked.append(options.tol)
        raw = solve(program, options)
        return replace(raw, x=raw.x + 1e-3)

    install(fake(remember))
    for tol, outcome in ((1e-3, "passed"), (1e-6, "failed")):
        (result,) = check_backend("fake", tol, programs=["lp_unique"], checks=["answer_feasible"])
        assert result.outcome == outcome
    assert asked == [1e-3, 1e-6]


def test_options_go_to_every_solve(install):
    asked = []

    def remember(solve, program, options):
        asked.append((options.threads, options.extra["depth"]))
        return solve(program, options)

    depth = OptionSpec("depth", int, 1, "how deep", least=1)
    install(fake(remember, options=(depth,)))
    checks = ["answer_form", "answer_optimal", "options_common"]
    results = check_backend("fake", programs=["qp_unique"], checks=checks, options={"depth": 7})
    assert not failed(results)
    assert asked == [(None, 7), (None, 7), (1, 7), (2, 7), (None, 7)]


def test_what_takes_too_long_is_given_up(install):
    """A solve that would not end is stopped, if the backend can be, and is a failure."""

    def endless(solve, program, options):
        if options.time_limit is None:
            raise AssertionError("this would not end")
        return replace(solve(program, options), stop=StopReason.TIME_LIMIT)

    install(fake(endless))
    results = check_backend("fake", programs=["lp_unique"], patience=5.0)
    found = {result.check: result for result in results if result.program == "lp_unique"}
    assert "time limit" in found["answer_word"].detail
    assert found["answer_optimal"].outcome == "skipped"
    assert "see answer_word" in found["answer_optimal"].detail


def test_a_start_that_keeps_the_old_cost_fails(install):
    """The state of an earlier solve, used as if the cost were the same."""

    def keeps(solve, program, options):
        if isinstance(options.state, tuple) and len(options.state[0]) == len(program.c):
            return replace(solve(program.with_cost(options.state[1]), options), state=options.state)
        raw = solve(program, replace(options, state=None))
        return replace(raw, state=(raw.x, program.c))

    install(fake(keeps))
    (result,) = check_backend("fake", programs=["lp_unique"], checks=["start_warm"])
    assert result.outcome == "failed"
    assert "with another cost" in result.detail


# -- registration in a new process -------------------------------------------------------


def distribution(folder, module, plugin, solver=""):
    """A distribution without a wheel: a module and its entry point, and a solver of that name."""
    (folder / f"{module}.py").write_text(textwrap.dedent(plugin))
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[relu_opt]\n{module} = {module}\n")
    if solver:
        (folder / f"{solver}.py").write_text("")


PLUGIN = """
    import {imports}
    from relu_opt.testing.fakes import honest
    relu_opt_backends = honest(name="stranger").relu_opt_backends
"""


@pytest.mark.parametrize(("imports", "outcome"), [("json", "passed"), ("gurobipy", "failed")])
def test_a_registration_that_imports_a_solver_fails(tmp_path, imports, outcome):
    distribution(tmp_path, "stranger_plugin", PLUGIN.format(imports=imports), "gurobipy")
    code = """
from relu_opt.testing import check_backend
(result,) = check_backend("stranger", checks=["registration_light"])
print(result.outcome, result.detail)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        timeout=600,
    )
    assert done.stdout.startswith(outcome), done
    assert ("gurobipy" in done.stdout) == (outcome == "failed")


def test_the_kit_needs_neither_pytest_nor_a_solver():
    heavy = ["pytest", "cvxpy", "clarabel", "highspy", "daqp", "pyomo", "mosek", "scs", "sklearn"]
    code = f"""
import sys, relu_opt.testing
relu_opt.testing.PROGRAMS["lp_unique"].make()
print([name for name in {heavy} if name in sys.modules], relu_opt.testing.check_backend.__name__)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)
    assert done.stdout == "[] check_backend\n", done.stderr
    with pytest.raises(AttributeError, match="Nonsense"):
        ro.testing.Nonsense  # noqa: B018


# -- as pytest tests ---------------------------------------------------------------------

CONFORMANCE = """
from relu_opt.testing import BackendConformance


class TestMine(BackendConformance):
    backend = "fake"
"""


def run(pytester, text, *arguments):
    pytester.makepyfile(test_mine=text)
    return pytester.runpytest_inprocess("-p", "no:cacheprovider", "-rs", "-q", *arguments)


@pytest.fixture
def mine(pytester, install):
    """Runs a conformance file against a plugin; the process is the same, so it is registered."""

    def go(plugin, text=CONFORMANCE, *arguments):
        install(plugin)
        return run(pytester, text, *arguments)

    return go


def test_four_lines_test_an_honest_backend(mine):
    assert len(CONFORMANCE.split("\n\n\n")) == 2
    assert len([line for line in CONFORMANCE.splitlines() if line]) <= 4
    result = mine(honest(), CONFORMANCE, "-k", "lp_unique or conic_linear or registration")
    outcomes = result.parseoutcomes()
    assert outcomes["passed"] >= 30
    assert set(outcomes) == {"passed", "skipped", "deselected"}
    assert outcomes["skipped"] == 1
    result.stdout.fnmatch_lines(["*no installed entry point registers 'fake'*"])


def test_a_liar_fails_with_one_line_for_each_program(mine):
    text = CONFORMANCE + "    time_limit = 0.1\n"
    result = mine(LIARS["duals_negated"].make(), text, "-k", "lp_unique or socp_ball", "-rf")
    failures = [line for line in result.outlines if line.startswith("FAILED")]
    named = {line.split("::")[-1].split(" ")[0] for line in failures}
    assert {"test_duals_signs[lp_unique]", "test_duals_signs[socp_ball]"} <= named
    assert not any("answer_word" in line or "answer_feasible" in line for line in failures)
    assert any("with the other sign they are feasible" in line for line in result.outlines)


def test_excludes_are_skips_with_their_reasons(mine):
    text = CONFORMANCE + (
        "    excludes = {\n"
        '        "test_output_quiet": "the banner cannot be turned off",\n'
        '        "lp_nonunique": "it cycles",\n'
        '        "test_duals_signs[lp_unique]": "the sign is another",\n'
        "    }\n"
    )
    result = mine(LIARS["prints"].make(), text, "-k", "lp_unique or lp_nonunique")
    outcomes = result.parseoutcomes()
    assert set(outcomes) == {"passed", "skipped", "deselected"}
    lines = result.outlines
    for reason in ("the banner cannot be turned off", "it cycles", "the sign is another"):
        assert any(f"excluded: {reason}" in line for line in lines), reason


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("test_output_quite", "test_output_quiet"),
        ("lp_uniqe", "lp_unique"),
        ("test_duals_signs[lp_uniqe]", "test_duals_signs[lp_unique]"),
        ("test_outcome_told[lp_unique]", "test_outcome_told"),
    ],
)
def test_an_exclude_that_names_nothing_is_an_error(mine, key, near):
    result = mine(honest(), CONFORMANCE + f'    excludes = {{"{key}": "because"}}\n')
    assert result.parseoutcomes() == {"errors": 1} or result.parseoutcomes() == {"error": 1}
    result.stdout.re_match_lines([rf".*names '{key}'.*".replace("[", r"\[").replace("]", r"\]")])
    assert any(near in line for line in result.outlines)


def test_an_exclude_needs_a_reason():
    with pytest.raises(DataError, match="gives no reason for 'lp_unique'"):
        type("TestMine", (BackendConformance,), {"excludes": {"lp_unique": " "}})


def test_a_class_without_a_backend_says_so(pytester):
    text = (
        "from relu_opt.testing import BackendConformance\nclass TestMine(BackendConformance): pass"
    )
    result = run(pytester, text, "-k", "registration_found")
    assert result.parseoutcomes()["failed"] == 1
    assert any("has to set backend" in line for line in result.outlines)


def test_own_programs_are_tested_too(mine):
    text = """
from dataclasses import replace

from relu_opt.testing import PROGRAMS, BackendConformance


class TestMine(BackendConformance):
    backend = "fake"
    programs = {"lp_mine": replace(PROGRAMS["lp_unique"], name="lp_mine", objective=-37.0, x=None)}
"""
    result = mine(honest(), text, "-k", "answer_optimal or answer_word")
    outcomes = result.parseoutcomes()
    assert (outcomes["passed"], outcomes["failed"]) == (1, 1)
    assert any("the optimum -37" in line for line in result.outlines)


def test_every_check_is_a_test_with_its_promise():
    tests = {name for name in dir(BackendConformance) if name.startswith("test_")}
    assert tests == {f"test_{name}" for name in CHECKS}
    for name, check in CHECKS.items():
        test = getattr(BackendConformance, f"test_{name}")
        assert test.__doc__ == check.run.__doc__
        assert len(test.__doc__) > 20


# -- what is printed and changed ---------------------------------------------------------


def test_output_is_caught_wherever_it_goes(capfd):
    import warnings

    from relu_opt.testing.capture import captured

    with captured() as output:
        os.write(1, b"one\n")
        os.write(2, b"two\n")
        sys.stdout.write("three\n")
        sys.stderr.write("four\n")
        warnings.warn("five", stacklevel=1)
    assert set(output.text.split()) == {"one", "two", "three", "four", "five"}
    sys.stdout.write("after\n")
    assert capfd.readouterr() == ("after\n", "")
    with pytest.raises(ZeroDivisionError), captured():
        raise ZeroDivisionError
    os.write(1, b"still here\n")
    assert capfd.readouterr().out == "still here\n"


def test_changed_arrays_are_named():
    from relu_opt.testing.capture import changes, copies

    program = PROGRAMS["qp_unique"].make()
    before = copies(program)
    assert {"c", "A.data", "P.indices", "row_lower", "upper"} <= set(before)
    assert changes(program, before) == []
    program.P.data.setflags(write=True)
    program.P.data[0] += 1.0
    assert changes(program, before) == ["P.data"]
    gated = PROGRAMS["net_gated"].make()
    assert {"X", "y", "patterns.packed", "patterns.gates"} == set(copies(gated))


def test_the_honest_fake_keeps_the_features_of_who_solves(install):
    install(honest())
    info = ro.plugins.manager.registry().infos()["fake"]
    assert info.features == frozenset(Feature)
    assert info.takes == {
        ro.LinearProgram,
        ro.QuadraticProgram,
        ro.ConicProgram,
        ro.ConvexProgram,
    }
    sol = ro.solve_program(PROGRAMS["lp_unique"].make(), "fake")
    np.testing.assert_allclose(sol.x, [2.0, 6.0], atol=1e-6)
    assert sol.backend == "fake"
