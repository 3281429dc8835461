"""One vocabulary: every trained answer says the same things under the same names."""

from __future__ import annotations

import numpy as np
import pytest

import relu_opt as ro
from relu_opt.proof.record import KINDS
from relu_opt.verify.renamed import renamed

ONE = ("objective", "lower_bound", "rel_gap", "verdict", "network", "stop", "stats")
# A path is many answers: what each point has in one number, it has in plural.
MANY = ("objectives", "lower_bounds", "rel_gaps", "networks", "certificates")
WHOLE = ("rel_gap", "verdict", "reason", "stop", "stats")
# What rests on a theorem that nothing re-checks.
CLAIMED = (ro.deep.DeepSolution,)


@pytest.fixture(scope="module")
def answers():
    """An answer of every type, the data to check it on, and what its file is read with."""
    rng = np.random.default_rng(0)
    x = np.sort(rng.standard_normal(10))
    X, y = np.column_stack([x, np.ones(10)]), np.abs(x) + 0.1 * rng.standard_normal(10)
    Y, few = np.column_stack([y, -y]), (X[:3], y[:3])
    program = ro.ConvexProgram(X, y, 0.01, ro.sample_patterns(X, 5))
    solution = ro.solve(program, tol=1e-12)
    path = ro.solution_path(program, [0.1, 0.05])
    stacked = ro.several_outputs.train_stacked(X, Y, 0.1, n_gates=5, seed=0)
    found = (
        (solution, (X, y), program),
        (path.points[1], (X, y), program.with_lam(0.05)),
        (path, (X, y), program),
        (ro.cross_validate(program, 2, [0.1, 0.05]), (X, y), program),
        (ro.optimal_set(solution), (X, y), program),
        (ro.prune(solution), (X, y), None),
        (ro.train_globally(X, y, 0.01), (X, y), None),
        (ro.several_outputs.train_vector(X, Y, 0.05), (X, Y), None),
        (stacked, ro.several_outputs.stack_outputs(X, Y), stacked.solution.program),
        (ro.one_input.fit_spline(x, y, 0.01), (x, y), None),
        (ro.formulas.closed_form(np.eye(3), y[:3], 0.1), (np.eye(3), y[:3]), None),
        (ro.interpolation.minimum_norm_interpolant(*few), few, None),
        (ro.deep.train_deep(np.eye(3), y[:3], 0.01, 3), (np.eye(3), y[:3]), None),
    )
    return {type(answer).__name__: (answer, data, program) for answer, data, program in found}


NAMES = (
    "Solution", "PathPoint", "SolutionPath", "PathCV", "OptimalSet", "PruningPath",
    "GlobalSolution", "VectorSolution", "StackedSolution", "SplineFit", "ClosedForm",
    "Interpolant", "DeepSolution",
)  # fmt: skip


def test_no_answer_is_forgotten(answers):
    assert set(answers) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_answer_has_the_words(answers, name):
    answer, _, _ = answers[name]
    if name == "SolutionPath":
        assert {len(getattr(answer, word)) for word in MANY} == {len(answer)}
        words = WHOLE
    else:
        words = ONE
        assert answer.lower_bound <= answer.objective * (1 + 1e-9)
        assert answer.rel_gap == pytest.approx(
            answer.objective / answer.lower_bound - 1, rel=1e-6, abs=1e-12
        )
    for word in words:
        assert hasattr(answer, word), word
    assert isinstance(answer.verdict, ro.Verdict)
    assert isinstance(answer.stop, ro.plugins.StopReason)
    assert dict(answer.stats)


@pytest.mark.parametrize("name", NAMES)
def test_a_verdict_is_that_of_a_certificate_that_verify_confirms(answers, name):
    answer, data, _ = answers[name]
    if isinstance(answer, CLAIMED):
        assert (answer.certificate, answer.verdict) == (None, "inconclusive")
        return
    proofs = answer.certificates if name == "SolutionPath" else (answer.certificate,)
    for proof in proofs:
        assert isinstance(proof, ro.Certificate)
        assert proof.kind in KINDS
        assert (answer.verdict, proof.verdict) == ("certified", "certified")
        assert ro.verify(proof, *data).valid
    if name != "SolutionPath":
        assert ro.verify(answer, *data) == ro.verify(answer.certificate, *data)


@pytest.mark.parametrize("name", NAMES)
def test_every_answer_has_a_file(answers, name, tmp_path):
    answer, _, program = answers[name]
    answer.save(tmp_path / "a.npz")
    found = ro.load(tmp_path / "a.npz", program)
    if name == "SolutionPath":
        np.testing.assert_allclose(found.lower_bounds, answer.lower_bounds, rtol=1e-9)
    elif name not in ("StackedSolution", "Interpolant"):  # of the stacked program, of training
        assert found.objective == pytest.approx(answer.objective, rel=1e-12)
        assert found.lower_bound == pytest.approx(answer.lower_bound, rel=1e-9)
    assert hasattr(found, "rel_gap")
    assert hasattr(found, "verdict")


def test_what_is_loaded_is_what_was_saved(answers, tmp_path):
    file = tmp_path / "a.npz"
    fitted, data, _ = answers["Interpolant"]
    fitted.save(file)
    again = ro.interpolation.Interpolant.load(file, *data)
    assert again.cost == pytest.approx(fitted.cost, rel=1e-14)
    assert again.lower_bound == pytest.approx(fitted.lower_bound, rel=1e-12)
    with pytest.raises(ro.errors.DataError, match="of other data"):
        ro.interpolation.Interpolant.load(file, data[0], 2 * data[1])
    deep = answers["DeepSolution"][0]
    deep.save(file)
    again = ro.load(file)
    assert (type(again), repr(again), again.report()) == (type(deep), repr(deep), deep.report())
    found, _, program = answers["PathCV"]
    found.save(file)
    again = ro.load(file, program)
    assert repr(again) == repr(found)
    np.testing.assert_array_equal(again.errors, found.errors)
    for mine, theirs in zip(again.folds, found.folds, strict=True):
        np.testing.assert_array_equal(np.concatenate(mine), np.concatenate(theirs))
    S, _, program = answers["OptimalSet"]
    S.save(file)
    assert repr(ro.OptimalSet.load(file, program)) == repr(S)
    pruned = answers["PruningPath"][0]
    pruned.save(file)
    assert ro.load(file).verdict == "inconclusive"


def test_what_is_no_network_says_the_same():
    program = ro.LinearProgram(c=[1.0, 2.0], A=[[1.0, 1.0]], row_lower=3.0, lower=0.0)
    found = ro.solve_program(program)
    assert found.lower_bound == pytest.approx(found.objective) == 3.0
    assert (found.verdict, found.stop.converged, found.claimed_bound) == ("certified", True, None)
    check = ro.cross_check(program, ["highs"])
    assert check.lower_bound == pytest.approx(check.rows[0].lower_bound) == 3.0


OLD = {
    "Solution": {"dual_objective": "lower_bound"},
    "SolutionPath": {"bounds": "lower_bounds"},
    "PruningPath": {"bound": "lower_bound"},
    "GlobalSolution": {"dual_objective": "lower_bound"},
    "VectorSolution": {"dual_objective": "lower_bound"},
    "StackedSolution": {"dual_objective": "lower_bound"},
    "ClosedForm": {"bound": "lower_bound"},
    "Interpolant": {"bound": "lower_bound"},
    "DeepSolution": {"bound": "lower_bound"},
}


@pytest.mark.parametrize("name", OLD)
def test_old_names_answer_with_a_warning(answers, name):
    answer = answers[name][0]
    for old, new in OLD[name].items():
        with pytest.warns(DeprecationWarning, match=f"{name}.{old} is now .{new}"):
            np.testing.assert_array_equal(getattr(answer, old), getattr(answer, new))


def test_old_names_of_proofs_answer_with_a_warning(answers):
    solution, data, program = answers["Solution"]
    for proof in (solution.certificate, ro.verify(solution, *data)):
        with pytest.warns(DeprecationWarning, match=r"\.primal is now \.objective"):
            assert proof.primal == proof.objective
        with pytest.warns(DeprecationWarning, match=r"\.dual is now \.lower_bound"):
            assert proof.dual == proof.lower_bound
    linear = ro.LinearProgram(
        c=[-1.0], A=[[1.0]], row_upper=1.5, lower=0.0, upper=2.0, integrality=np.array([True])
    )
    found = ro.solve_program(linear)
    with pytest.warns(DeprecationWarning, match=r"\.bound is now \.claimed_bound"):
        assert found.bound == found.claimed_bound
    with pytest.warns(DeprecationWarning, match=r"\.dual_objective is now \.lower_bound"):
        assert found.dual_objective == found.lower_bound
    check = ro.cross_check(program, ["native"])
    with pytest.warns(DeprecationWarning, match=r"CrossCheck\.bound is now \.lower_bound"):
        assert check.bound == check.lower_bound
    with pytest.warns(DeprecationWarning, match=r"CrossCheckRow\.dual_objective is now"):
        assert check.rows[0].dual_objective == check.rows[0].lower_bound
    narrowest = answers["OptimalSet"][0].narrowest()
    with pytest.warns(DeprecationWarning, match=r"Narrowest\.bound is now \.lower_bound"):
        assert narrowest.bound == narrowest.lower_bound
    assert isinstance(type(narrowest).bound, renamed)
