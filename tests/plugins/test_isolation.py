"""Plugins that set what is not theirs, exit, print, or go on writing: none of it counts."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import fields

import numpy as np
import pytest

import relu_opt as ro
from relu_opt.errors import ContractViolation, PluginLoadError, SolveFailed
from relu_opt.plugins import Availability, BackendInfo, RawSolution, State, StopReason, hookimpl
from relu_opt.plugins.isolation import own_copy
from relu_opt.plugins.manager import observe

RAISED = [SystemExit(0), KeyboardInterrupt(), GeneratorExit()]


class Plugin:
    """A backend `mine` that answers as a function says."""

    def __init__(self, answer, takes=ro.ConvexProgram, version=None):
        self.answer, self.takes, self.version = answer, takes, version

    def solve(self, program, options):
        return self.answer(program)

    @hookimpl
    def relu_opt_backends(self):
        ready = Availability(State.READY)
        more = {} if self.version is None else {"api_version": self.version}
        return [BackendInfo("mine", lambda: self, lambda: ready, frozenset({self.takes}), **more)]


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((12, 2)), rng.standard_normal(12)
    return ro.ConvexProgram(X, y, 0.05, ro.sample_patterns(X, 8), ro.losses.Huber(0.5))


def honest(program):
    found = ro.solve(program, "native")
    return RawSolution(StopReason.CONVERGED, found.weights, found.nu)


SET = {
    "lam": lambda p: object.__setattr__(p, "lam", 1e6),
    "loss": lambda p: object.__setattr__(p, "loss", ro.losses.Huber(50.0)),
    "the loss's parameter": lambda p: object.__setattr__(p.loss, "delta", 1e-9),
    "X": lambda p: object.__setattr__(p, "X", 0 * p.X),
    "patterns": lambda p: object.__setattr__(p, "patterns", ro.Patterns(np.ones((12, 1)))),
    "masks": lambda p: object.__setattr__(p.patterns, "packed", 0 * p.patterns.packed[:1]),
    "gates": lambda p: object.__setattr__(p.patterns, "gates", None),
    "intercept": lambda p: object.__setattr__(p, "intercept", True),
}


@pytest.mark.parametrize("change", SET.values(), ids=SET)
def test_the_certificate_is_of_the_program_that_was_given(registry, problem, change):
    before = (problem.lam, problem.loss, problem.X, problem.patterns, problem.loss.delta)

    def answer(program):
        raw = honest(program)
        change(program)
        return raw

    registry.add("mine", "dist", lambda: Plugin(answer))
    found = ro.solve(problem, "mine")
    after = (problem.lam, problem.loss, problem.X, problem.patterns, problem.loss.delta)
    assert all(one is two for one, two in zip(before[:4], after[:4], strict=True))
    assert (after[4], problem.patterns.gates is None) == (0.5, False)
    assert found.certificate.lam == 0.05
    assert found.certificate.verdict == "certified"
    assert ro.verify(found, problem.X, problem.y).valid


@pytest.mark.parametrize("change", SET.values(), ids=SET)
def test_an_answer_to_another_program_is_not_certified(registry, problem, change):
    def answer(program):
        change(program)
        return RawSolution(StopReason.CONVERGED, np.zeros(problem.weights_shape), np.zeros(12))

    registry.add("mine", "dist", lambda: Plugin(answer))
    found = ro.solve(problem, "mine")
    assert found.certificate.verdict == "not_certified"
    assert found.certificate.lower_bound <= ro.solve(problem).objective


def test_copies_share_the_arrays_alone(problem):
    program = ro.LinearProgram(c=[1.0, 2.0], A=[[1.0, 1.0]], row_lower=3.0, lower=0.0)
    mine = own_copy(program)
    mine.A.data = 2 * mine.A.data
    object.__setattr__(mine, "lower", np.full(2, -9.0))
    assert program.A.toarray().tolist() == [[1.0, 1.0]]
    assert program.lower.tolist() == [0.0, 0.0]
    copy = own_copy(problem)
    assert copy.X is problem.X
    assert copy.patterns is not problem.patterns
    assert copy.patterns.packed is problem.patterns.packed
    assert set(vars(copy)) == {field.name for field in fields(problem)}


def test_a_backend_may_go_on_writing_in_its_buffers(registry, problem):
    kept = {}

    def answer(program):
        raw = honest(program)
        kept.update(x=np.array(raw.x), nu=np.array(raw.duals))
        return RawSolution(StopReason.CONVERGED, kept["x"], kept["nu"])

    registry.add("mine", "dist", lambda: Plugin(answer))
    found = ro.solve(problem, "mine")
    for buffer in kept.values():
        buffer[:] = np.nan
    assert np.isfinite(found.weights).all()
    assert ro.verify(found, problem.X, problem.y).valid


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("stats", None),
        ("stats", [1, 2]),
        ("raw_status", 7),
        ("objective", "small"),
        ("bound", [0.0]),
    ],
)
def test_words_of_other_types_are_a_breach(registry, problem, field, value):
    def answer(program):
        raw = honest(program)
        object.__setattr__(raw, field, value)
        return raw

    registry.add("mine", "dist", lambda: Plugin(answer))
    with pytest.raises(ContractViolation) as caught:
        ro.solve(problem, "mine")
    assert caught.value.fields["field"] == field


@pytest.mark.parametrize("size", [1e160, 1e300])
def test_enormous_answers_are_judged_without_a_warning(registry, size):
    program = ro.LinearProgram(c=[1.0, 2.0], A=[[1.0, 1.0]], row_lower=3.0, lower=0.0)

    def answer(given):
        return RawSolution(StopReason.CONVERGED, np.full(2, size), np.full(1, -size))

    registry.add("mine", "dist", lambda: Plugin(answer, ro.LinearProgram))
    assert ro.solve_program(program, "mine").verdict == "not_certified"


# -- exits and interrupts ------------------------------------------------------------------


@pytest.mark.parametrize("raised", RAISED)
def test_an_exit_at_registration_is_that_plugins_failure(registry, problem, raised):
    def load():
        raise raised

    registry.add("mine", "dist", load)
    assert ro.solve(problem).certificate.verdict == "certified"
    with pytest.raises(PluginLoadError, match=type(raised).__name__):
        ro.solve(problem, "mine")


@pytest.mark.parametrize("raised", RAISED)
def test_an_exit_of_a_probe_says_that_it_is_broken(registry, raised):
    def probe():
        raise raised

    class Broken(Plugin):
        @hookimpl
        def relu_opt_backends(self):
            return [BackendInfo("mine", lambda: self, probe, frozenset({ro.ConvexProgram}))]

    registry.add("mine", "dist", lambda: Broken(None))
    (status,) = [each for each in ro.backends() if each.name == "mine"]
    assert status.availability.state is State.BROKEN
    assert type(raised).__name__ in status.availability.reason


@pytest.mark.parametrize("raised", RAISED)
@pytest.mark.parametrize("hook", ["relu_opt_progress", "relu_opt_solved"])
def test_an_exit_of_an_observer_changes_nothing(registry, problem, raised, hook, caplog):
    def told(event=None, program=None, solution=None):
        raise raised

    class Quitter:
        if hook == "relu_opt_progress":

            @hookimpl
            def relu_opt_progress(self, event):
                told()

        else:

            @hookimpl
            def relu_opt_solved(self, program, solution):
                told()

    registry.add("quitter", "dist", Quitter)
    assert ro.solve(problem).certificate.verdict == "certified"
    assert any("quitter" in record.message for record in caplog.records)


def test_a_wrapper_that_exits_fails_the_solve(registry, problem):
    class Quitter:
        @hookimpl(wrapper=True)
        def relu_opt_solve(self, backend, program, options):
            yield
            sys.exit(0)

    registry.add("quitter", "dist", Quitter)
    with pytest.raises(SolveFailed, match="SystemExit: 0"):
        ro.solve(problem)


def test_ctrl_c_ends_the_work_with_the_best_answer(problem):
    pressed = []

    def press(event):
        if not pressed:
            pressed.append(event)
            signal.raise_signal(signal.SIGINT)

    with observe(press):
        found = ro.solve(problem, "native", tol=1e-12)
    assert found.stop is StopReason.INTERRUPTED


def test_ctrl_c_within_a_plugins_observer_ends_the_work_too(registry, problem):
    pressed = []

    class Observer:
        @hookimpl
        def relu_opt_progress(self, event):
            if not pressed:
                pressed.append(event)
                signal.raise_signal(signal.SIGINT)

    registry.add("watching", "dist", Observer)
    assert ro.solve(problem, "native", tol=1e-12).stop is StopReason.INTERRUPTED


# -- versions and words --------------------------------------------------------------------


def test_a_plugin_that_does_not_say_was_written_for_the_first_contract(registry, monkeypatch):
    registry.add("mine", "dist", lambda: Plugin(honest))
    assert registry.infos()["mine"].api_version == 1
    monkeypatch.setattr("relu_opt.plugins.manager.API_VERSION", 2)
    registry.add("old", "old-dist", lambda: Plugin(honest))
    with pytest.raises(PluginLoadError, match="written for plugin API 1"):
        registry.find("old")


NOISY = """
import os, sys
from relu_opt.plugins import hookimpl
from relu_opt.plugins.manager import registry
import relu_opt.cli

class Noisy:
    @hookimpl(wrapper=True)
    def relu_opt_solve(self, backend, program, options):
        print("a word of Python")
        os.write(1, b"a word of a library\\n")
        return (yield)

registry().add("noisy", "dist", Noisy)
sys.exit(relu_opt.cli.main(sys.argv[1:]))
"""


def test_what_plugins_print_goes_to_standard_error(tmp_path):
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.standard_normal((30, 2)), rng.standard_normal(30)])
    np.savetxt(tmp_path / "t.csv", rows, delimiter=",", header="a,b,y", comments="")
    arguments = ["fit", "t.csv", "--target", "y", "--gates", "20", "--quiet"]

    def run(*more):
        return subprocess.run(
            [sys.executable, "-c", NOISY, *arguments, *more],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    done = run("--json")
    assert done.returncode == 0
    assert done.stdout.startswith("{")
    assert "a word" not in done.stdout
    assert "a word of Python" in done.stderr
    assert "a word of a library" in done.stderr
    assert "a word" not in run().stdout
