"""Progress events of all long work, their bar, and the log."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from symmetric import crosspolytope

import relu_opt as ro
from relu_opt.plugins.manager import observe
from relu_opt.progress.bar import PAUSE, Announcer


def events_of(work):
    seen = []
    with observe(seen.append):
        work()
    return seen


@pytest.fixture(scope="module")
def manifold():
    return ro.optimal_set(ro.solve(crosspolytope([1.0, 2.0, 0.7], lam=0.02), tol=1e-12))


def test_all_long_work_tells(make_program, manifold):
    prog = make_program(n=20, d=3, p=10)
    wide = ro.ReLUNetwork(np.random.default_rng(0).standard_normal((40, 3)), np.ones(40))
    near = ro.optimal_set(ro.solve(prog, tol=1e-12)).near_optimal(0.1)
    works = {
        "solve": lambda: ro.solve(prog),
        "path": lambda: ro.solution_path(prog, n_lams=3),
        "cross_validate": lambda: ro.cross_validate(prog, folds=2, n_lams=3),
        "prediction_range": lambda: near.prediction_range(prog.X[:2]),
        "sample": lambda: manifold.sample(2),
        "vertices": lambda: manifold.vertices(),
        "prune": lambda: ro.prune(wide, prog.X, prog.y, lam=0.1, to=5),
    }  # fmt: skip
    for task, work in works.items():
        told = [event for event in events_of(work) if event.task == task]
        assert told, task
        assert all(event.elapsed >= 0 for event in told)
        if task in ("cross_validate", "prediction_range", "sample"):
            assert all(event.total and event.iteration <= event.total for event in told)


def test_an_announcer_keeps_quiet_for_a_while(monkeypatch):
    clock = iter([0.0, 0.0, 0.5 * PAUSE, 0.7 * PAUSE, 1.5 * PAUSE])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    tell = Announcer("counting", total=9)
    said = events_of(
        lambda: [tell(1, "one"), tell(2, "two"), tell(3, "three", always=True), tell(4, "four")]
    )
    assert [event.message for event in said] == ["one", "three"]
    assert [event.iteration for event in said] == [1, 3]
    assert {event.total for event in said} == {9}


def test_no_bar_without_a_terminal(make_program, capsys):
    with ro.show_progress():
        ro.solve(make_program())
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_the_log_has_the_numbers(make_program, caplog):
    prog = make_program()
    with caplog.at_level(logging.DEBUG, logger="relu_opt"):
        sol = ro.solve(prog)
    solved = [record for record in caplog.records if record.name == "relu_opt.solve"]
    assert len(solved) == 1
    assert solved[0].levelno == logging.INFO
    assert solved[0].relu_opt["objective"] == sol.objective
    assert solved[0].relu_opt["verdict"] == "certified"
    assert "certified by native" in solved[0].getMessage()
    steps = [record for record in caplog.records if record.name == "relu_opt.progress"]
    assert steps
    assert steps[-1].relu_opt["rel_gap"] <= 1e-8


def test_quiet_means_quiet(make_program, capsys):
    ro.solve(make_program())
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""
