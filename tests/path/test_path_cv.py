"""Cross-validation along the path, against programs that are built and solved by hand."""

import os
from dataclasses import replace

import numpy as np
import pytest

import relu_opt as ro
from relu_opt.path.cross_validation import PathCV, plan_validation, validate
from relu_opt.path.fold_errors import FoldTask, in_processes
from relu_opt.plugins.manager import observe

LAMS = [0.2, 0.06, 0.02]


def by_hand(prog, train, lam):
    """A fold's network, from a program that is built without `with_rows`."""
    masks = prog.patterns.masks[train]
    masks, first = np.unique(masks, axis=1, return_index=True)
    gates = None if prog.patterns.gates is None else prog.patterns.gates[:, first]
    weight = None if prog.sample_weight is None else np.array(prog.sample_weight)[train]
    part = ro.ConvexProgram(
        prog.X[train],
        prog.y[train],
        lam,
        ro.Patterns(masks, gates),
        prog.loss,
        prog.activation,
        weight,
        prog.intercept,
    )
    return ro.solve(part, tol=1e-11).network


@pytest.mark.parametrize(
    ("kind", "metric"),
    [
        ({}, None),
        ({"weighted": True}, "mse"),
        ({"loss": "logistic", "weighted": True, "intercept": True}, "error_rate"),
        ({"loss": "squared_hinge", "bias": True}, "loss"),
        ({"activation": "gated", "loss": "huber"}, "loss"),
    ],
)
def test_errors_are_those_of_programs_made_by_hand(make_program, kind, metric):
    prog = make_program(n=18, p=12, **kind)
    found = ro.cross_validate(prog, 3, LAMS, metric=metric, tol=1e-11)
    weight = np.ones(prog.n) if prog.sample_weight is None else prog.sample_weight
    losses = {
        None: lambda z, y: 0.5 * (z - y) ** 2,
        "mse": lambda z, y: (z - y) ** 2,
        "error_rate": lambda z, y: (np.where(z >= 0, 1, -1) != y) * 1.0,
        "loss": {
            "squared_hinge": lambda z, y: 0.5 * np.maximum(0, 1 - y * z) ** 2,
            "huber": lambda z, y: np.where(abs(z - y) < 1, 0.5 * (z - y) ** 2, abs(z - y) - 0.5),
        }.get(prog.loss.name),
    }
    for k, (train, test) in enumerate(found.folds):
        for j, lam in enumerate(LAMS):
            network = by_hand(prog, train, lam)
            for rows, errors in ((test, found.errors), (train, found.train_errors)):
                each = losses[metric](network.predict(prog.X[rows]), prog.y[rows])
                wanted = (weight[rows] * each).sum() / weight[rows].sum()
                assert errors[k, j] == pytest.approx(wanted, rel=1e-4, abs=1e-7)
    assert found.lams.tolist() == LAMS
    assert found.complete
    assert found.is_certified
    assert found.metric == (metric or "loss")


def test_the_numbers_of_the_networks_on_all_rows_are_the_paths(make_program):
    prog = make_program(n=20)
    found = ro.cross_validate(prog, 4, n_lams=4, lam_min_ratio=0.05, eps=0.01)
    path = ro.solution_path(prog, n_lams=4, lam_min_ratio=0.05, eps=0.01)
    assert found.path.eps == 0.01
    np.testing.assert_array_equal(found.lams, path.lams)
    np.testing.assert_allclose(found.path.objectives, path.objectives, rtol=1e-9)
    for rule, lam in (("best", found.lam_best), ("one_se", found.lam_one_se)):
        solution = found.solution(rule)
        assert solution.program.lam == lam
        assert solution.program.n == 20
        assert solution.certificate.verdict == "certified"
    with pytest.raises(ro.errors.DataError, match="Did you mean 'best'"):
        found.solution("bset")


# -- what is made of the errors --------------------------------------------------------------


@pytest.fixture(scope="module")
def path(make_program):
    return ro.solution_path(make_program(), [0.4, 0.3, 0.2, 0.1])


def with_errors(path, errors):
    errors = np.array(errors, dtype=float)
    return PathCV(path, ((), ()), "loss", 0, errors, errors, np.zeros(errors.shape))


def test_the_one_standard_error_rule(path):
    # Means 6, 4.25, 4, 4.5; at the best one the deviation is √2, and the standard error 1.
    found = with_errors(path, [[5, 4.25, 3, 4.5], [7, 4.25, 5, 4.5]])
    assert found.mean.tolist() == [6, 4.25, 4, 4.5]
    np.testing.assert_allclose(found.standard_error, [1, 0, 1, 0])
    assert (found.best, found.lam_best) == (2, 0.2)
    assert (found.one_se, found.lam_one_se) == (1, 0.3)
    # Within exactly one: the limit itself counts; beyond it nothing does.
    assert with_errors(path, [[4, 9, 3, 9], [6, 9, 5, 9]]).one_se == 0
    assert with_errors(path, [[4.1, 9, 3, 9], [6, 9, 5, 9]]).one_se == 2
    # Of equal means the largest lam; no spread, no other lam.
    found = with_errors(path, [[2, 1, 1, 1], [2, 1, 1, 1]])
    assert (found.best, found.one_se) == (1, 1)


def test_a_lam_that_a_fold_has_not_reached_is_not_chosen(path):
    nan = float("nan")
    found = with_errors(path, [[3, 2, 1, 0], [3, 2, nan, nan]])
    assert (found.best, found.lam_best) == (1, 0.3)
    assert not found.complete
    assert not found.is_certified
    assert "lam_best=0.3" in repr(found)
    nothing = with_errors(path, np.full((2, 4), nan))
    assert "no λ" in repr(nothing)
    for ask in ("best", "lam_best", "one_se", "lam_one_se"):
        with pytest.raises(ro.errors.NotCertified, match="No lam was reached by all folds"):
            getattr(nothing, ask)


def test_a_fold_that_is_not_accurate_is_not_certified(path):
    found = with_errors(path, [[4, 3, 2, 1], [4, 3, 2, 1]])
    assert found.is_certified
    assert not replace(found, rel_gaps=np.full((2, 4), 1e-3)).is_certified


# -- folds -------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_folds_are_dealt_out_evenly(make_program, loss):
    prog = make_program(n=23, loss=loss)
    folds = plan_validation(prog, 5, seed=3).folds
    tests = np.concatenate([test for _, test in folds])
    np.testing.assert_array_equal(np.sort(tests), np.arange(23))
    assert {len(test) for _, test in folds} == {4, 5}
    for train, test in folds:
        np.testing.assert_array_equal(np.sort(np.append(train, test)), np.arange(23))
    if loss == "logistic":
        counts = [int((prog.y[test] > 0).sum()) for _, test in folds]
        assert max(counts) - min(counts) <= 1
    again, other = plan_validation(prog, 5, seed=3).folds, plan_validation(prog, 5, seed=4).folds
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(folds, again, strict=True))
    assert not all(np.array_equal(a[1], b[1]) for a, b in zip(folds, other, strict=True))


def test_own_folds_may_come_from_a_splitter(make_program):
    from sklearn.model_selection import KFold

    prog = make_program(n=15)
    found = ro.cross_validate(prog, KFold(3).split(prog.X), [0.1])
    for ours, theirs in zip(found.folds, KFold(3).split(prog.X), strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])
        np.testing.assert_array_equal(ours[1], theirs[1])


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({"folds": 1}, "folds is 1"),
        ({"folds": 2.5}, "folds is 2.5"),
        ({"folds": 13}, "there are 12 rows"),
        ({"folds": [([0, 1], [2])]}, "at least 2 are needed"),
        ({"folds": [([0, 1], [1, 2])] * 2}, "Fold 0 has the row 1 both"),
        ({"folds": [([0, 1], [2]), ([0, 12], [2])]}, "train of fold 1 holds the row 12"),
        ({"folds": [([0, 1], [-1])] * 2}, "test of fold 0 holds the row -1"),
        ({"folds": [([0, 0], [2])] * 2}, "a row twice"),
        ({"folds": [([0, 1], [])] * 2}, "list of row numbers"),
        ({"folds": [([True, False], [2])] * 2}, "np.flatnonzero"),
        ({"folds": [[0, 1, 2]] * 2}, "Fold 0 is no pair"),
        ({"metric": "msee"}, "Did you mean 'mse'"),
        ({"metric": "error_rate"}, "needs labels"),
        ({"seed": -1}, "seed is -1"),
        ({"n_jobs": 0}, "n_jobs is 0"),
        ({"n_jobs": True}, "n_jobs is True"),
        ({"lams": [0.1], "n_lams": 3}, "Pass one of them"),
    ],
)
def test_what_cannot_be_used_is_named_before_anything_is_solved(
    make_program, monkeypatch, arguments, part
):
    monkeypatch.setattr("relu_opt.path.following.solve", None)
    with pytest.raises(ro.errors.DataError, match=part):
        ro.cross_validate(make_program(), **arguments)
    with pytest.raises(ro.errors.DataError, match="ConvexProgram is needed"):
        ro.cross_validate("program")


def test_a_fold_needs_both_classes(make_program):
    prog = make_program(loss="logistic")
    ones = np.flatnonzero(prog.y > 0)
    rest = np.flatnonzero(prog.y < 0)
    with pytest.raises(ro.errors.DataError, match="rows of fold 1 are of one class") as caught:
        ro.cross_validate(prog, [(np.arange(8), [8, 9]), (ones, rest)])
    assert caught.value.fields["fold"] == 1


# -- processes, Ctrl-C ---------------------------------------------------------------------------


@pytest.mark.slow
def test_the_errors_do_not_depend_on_the_number_of_processes(make_program):
    prog = make_program(n=60, d=5, p=30, loss="logistic", weighted=True)
    one, two = (
        ro.cross_validate(prog, 3, n_lams=5, lam_min_ratio=0.02, n_jobs=n_jobs) for n_jobs in (1, 2)
    )
    for name in ("errors", "train_errors", "rel_gaps"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_a_process_that_dies_is_told(make_program):
    class Deadly:
        def with_rows(self, rows):
            os._exit(3)

    fold = (np.arange(2), np.arange(2, 4))
    task = FoldTask(0, fold, "loss", np.array([0.1]), "auto", 1e-8, {})
    with pytest.raises(ro.errors.SolveFailed, match="fewer n_jobs"):
        list(in_processes(Deadly(), [task, task], 2))


def test_one_process_needs_no_joblib(make_program, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "joblib", None)
    assert ro.cross_validate(make_program(), 2, [0.1]).complete


def test_every_fold_is_announced(make_program):
    messages = []
    with observe(lambda event: messages.append(event.message)):
        ro.cross_validate(make_program(), 3, [0.1])
    assert [m for m in messages if m.startswith("fold")] == [f"fold {k} of 3" for k in (1, 2, 3)]


@pytest.mark.parametrize(
    ("message", "reached"), [("fold 2 of 3", [3, 0, 0]), ("path, point 2", [1, 0, 0])]
)
def test_ctrl_c_keeps_what_was_reached(make_program, message, reached):
    prog = make_program()
    path, plan = ro.solution_path(prog, LAMS), plan_validation(prog, 3)

    def interrupt(event):
        if event.message.startswith(message):
            raise KeyboardInterrupt

    with observe(interrupt):
        found = validate(path, plan)
    assert (~np.isnan(found.errors)).sum(axis=1).tolist() == reached
    whole = validate(path, plan)
    known = ~np.isnan(found.errors)
    np.testing.assert_array_equal(found.errors[known], whole.errors[known])
    assert not found.complete
    with pytest.raises(ro.errors.NotCertified):
        found.solution()


def test_after_a_path_that_was_stopped_no_fold_begins(make_program):
    def interrupt(event):
        if event.message.startswith("path, point 2"):
            raise KeyboardInterrupt

    with observe(interrupt):
        found = ro.cross_validate(make_program(), 3, LAMS)
    assert len(found.path) == 1
    assert found.path.stop is ro.plugins.StopReason.INTERRUPTED
    assert np.isnan(found.errors).all()
    assert not found.complete


def test_a_fold_without_time_for_a_point_is_missing(make_program, monkeypatch):
    prog = make_program()
    path, plan = ro.solution_path(prog, LAMS), plan_validation(prog, 2)
    monkeypatch.setenv("RELU_OPT_TIME_LIMIT", "1e-9")
    found = validate(path, plan)
    assert np.isnan(found.errors).all()
    assert not found.complete


# -- programs on a part of the rows ----------------------------------------------------------------


def test_a_program_on_some_rows_has_their_distinct_patterns(make_program):
    prog = make_program(n=20, d=3, p=200, weighted=True)
    rows = np.array([7, 2, 11])
    part = prog.with_rows(rows)
    masks = {tuple(mask) for mask in prog.patterns.masks[rows].T}
    assert {tuple(mask) for mask in part.patterns.masks.T} == masks
    assert len(part.patterns) == len(masks) < len(prog.patterns)
    np.testing.assert_array_equal(part.X @ part.patterns.gates >= 0, part.patterns.masks)
    np.testing.assert_allclose(
        part.sample_weight, prog.sample_weight[rows] / prog.sample_weight[rows].mean()
    )
    np.testing.assert_array_equal(part.y, prog.y[rows])
    assert part.lam == prog.lam


def test_all_patterns_of_the_data_are_all_of_a_part(make_program):
    prog = make_program(n=10, d=3, complete=True)
    part = prog.with_rows(np.arange(6)).patterns
    assert part.complete
    fresh = ro.enumerate_patterns(prog.X[:6])
    assert sorted(map(tuple, part.masks.T)) == sorted(map(tuple, fresh.masks.T))
