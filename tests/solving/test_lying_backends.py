"""Backends that lie, err or break: the core never certifies what is wrong.

Each fake breaks one promise of `RawSolution`. The core raises the right error, or returns
bounds that hold and a verdict other than `certified`.
"""

from __future__ import annotations

import logging
import signal
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import relu_opt as ro
from relu_opt.errors import ContractViolation, DataError, ReluOptError, SolveFailed
from relu_opt.plugins.hookspec import hookimpl
from relu_opt.plugins.types import (
    Availability,
    BackendInfo,
    Feature,
    RawSolution,
    State,
    StopReason,
)
from relu_opt.program import ConicProgram, ConvexProgram
from relu_opt.program.multipliers import ConeMultipliers


class Fake:
    """A plugin whose backend gives a fixed or computed answer."""

    def __init__(self, answer, name="fake", takes=ConvexProgram):
        self.answer, self.name, self.takes = answer, name, takes

    def solve(self, program, options):
        return self.answer(program) if callable(self.answer) else self.answer

    @hookimpl
    def relu_opt_backends(self):
        return [
            BackendInfo(
                self.name,
                lambda: self,
                lambda: Availability(State.READY),
                frozenset({self.takes}),
                frozenset({Feature.SOC}),
            )
        ]


@pytest.fixture
def ask(registry):
    """Solve with a fake backend that gives this answer."""

    return asker(registry, "fake", ConvexProgram)


@pytest.fixture
def ask_conic(registry):
    """The same, of a backend that takes conic programs alone."""
    return asker(registry, "conic fake", ConicProgram)


def asker(registry, name, takes):
    fake = Fake(None, name, takes)
    registry.add(name, "fake-dist", lambda: fake)

    def solve(prog, answer, **arguments):
        fake.answer = answer
        return ro.solve(prog, name, **arguments)

    return solve


@pytest.fixture(scope="module")
def truth(make_program):
    """A certified optimum with several neurons and multipliers."""
    # Backends see programs in their own units; of this one they are the user's too.
    sol = ro.solve(make_program(3, n=20, d=3, p=20, lam_share=0.1).canonical, tol=1e-10)
    assert sol.certificate.verdict == ro.Verdict.CERTIFIED
    assert len(sol.network) >= 2
    assert len(sol.certificate.multipliers.values)
    return sol


def raw_of(sol, **changes):
    honest = RawSolution(
        StopReason.CONVERGED, sol.weights, sol.nu, sol.certificate.multipliers, "solved"
    )
    return replace(honest, **changes)


def check_bounds(sol, truth, slack=1e-9):
    assert sol.lower_bound <= truth.objective * (1 + slack)
    assert sol.objective >= truth.lower_bound * (1 - slack)
    prog = sol.program
    actual = sol.network.objective(prog.X, prog.y, prog.lam, prog.loss, prog.sample_weight)
    assert sol.objective == pytest.approx(actual, rel=1e-12)


def test_the_honest_one_is_certified(ask, truth):
    sol = ask(truth.program, raw_of(truth))
    assert sol.certificate.verdict == ro.Verdict.CERTIFIED
    check_bounds(sol, truth)


# -- lies about the primal point ---------------------------------------------------------


@pytest.mark.parametrize("stop", list(StopReason))
@pytest.mark.parametrize(
    "x",
    [
        lambda w: 0 * w,
        lambda w: 1.001 * w,
        lambda w: 0.5 * w,
        lambda w: 1e6 * w,
        lambda w: w[::-1].copy(),
        lambda w: np.where(np.arange(w.shape[1])[:, None] < 3, 0.0, w),
    ],
    ids=["zero", "a little too large", "half", "a million times", "other signs", "some missing"],
)
def test_wrong_weights_are_not_certified_whatever_is_claimed(ask, truth, x, stop):
    raw = raw_of(truth, x=x(truth.weights), stop=stop, objective=truth.objective)
    sol = ask(truth.program, raw)
    assert sol.certificate.verdict == ro.Verdict.NOT_CERTIFIED
    # Who says that it converged is not repeated beside a gap that says otherwise.
    assert sol.stop is stop.beside(sol.certificate.verdict, sol.rel_gap)
    assert sol.stop is not StopReason.CONVERGED
    check_bounds(sol, truth)
    assert sol.stats["claimed_objective"] == truth.objective


def test_optimal_weights_are_certified_whatever_is_claimed(ask, truth):
    for stop in StopReason:
        sol = ask(truth.program, raw_of(truth, stop=stop, objective=-1e9, raw_status="?"))
        assert sol.certificate.verdict == ro.Verdict.CERTIFIED
        assert sol.objective == pytest.approx(truth.objective, rel=1e-12)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("field", "name"), [("x", "x"), ("duals", "duals")])
def test_nan_is_a_breach(ask, truth, field, name, value):
    array = np.array(truth.weights if field == "x" else truth.nu)
    array.flat[2] = value
    with pytest.raises(ContractViolation, match=f"returned {name} with NaN or infinite") as caught:
        ask(truth.program, raw_of(truth, **{field: array}))
    assert caught.value.fields == {"backend": "fake", "field": name}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("x", lambda sol: sol.weights[0]),
        ("x", lambda sol: sol.weights[:, :-1]),
        ("x", lambda sol: sol.weights.ravel()),
        ("x", lambda sol: sol.weights.astype(int)),
        ("x", lambda sol: sol.weights.astype(complex)),
        ("x", lambda sol: sol.weights.tolist()),
        ("x", lambda sol: "weights"),
        ("x", lambda sol: np.empty((0,))),
        ("duals", lambda sol: sol.nu[:-1]),
        ("duals", lambda sol: sol.nu[:, None]),
        ("duals", lambda sol: list(sol.nu)),
        ("duals", lambda sol: 0.0),
    ],
)
def test_wrong_shapes_and_types_are_a_breach(ask, truth, field, value):
    with pytest.raises(ContractViolation, match=f"returned {field} of shape") as caught:
        ask(truth.program, raw_of(truth, **{field: value(truth)}))
    assert caught.value.fields["backend"] == "fake"
    assert caught.value.fields["field"] == field
    wanted = truth.program.weights_shape if field == "x" else (truth.program.n,)
    assert caught.value.fields["shape"] == wanted


@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_less_precision_is_no_breach(ask, truth, kind):
    sol = ask(truth.program, raw_of(truth, x=truth.weights.astype(kind)))
    assert sol.weights.dtype == np.float64
    check_bounds(sol, truth)


@pytest.mark.parametrize(
    "answer",
    [None, "done", 0.0, {"x": 1}, SimpleNamespace(x=None, duals=None), (StopReason.CONVERGED,)],
    ids=repr,
)
def test_something_other_than_a_raw_solution_is_a_breach(ask, truth, answer):
    with pytest.raises(ContractViolation, match="not a RawSolution") as caught:
        ask(truth.program, answer)
    assert caught.value.fields["backend"] == "fake"


@pytest.mark.parametrize("stop", list(StopReason))
def test_no_answer_is_a_failure_with_advice(ask, truth, stop):
    raw = RawSolution(stop, raw_status="status 7")
    with pytest.raises(SolveFailed, match=r"returned no answer: .*status 7") as caught:
        ask(truth.program, raw)
    assert stop.advice in caught.value.message
    assert caught.value.fields == {"backend": "fake", "stop": stop, "raw_status": "status 7"}


@pytest.mark.parametrize("stop", ["converged", None, 0])
def test_a_stop_reason_that_is_none_is_a_breach(ask, truth, stop):
    with pytest.raises(ContractViolation, match="stop"):
        ask(truth.program, raw_of(truth, stop=stop))


# -- cones -------------------------------------------------------------------------------


def off_cones(sol, size):
    """Blocks pushed through a wall of their cones by `size`, relative to their norms."""
    prog, weights = sol.program, sol.weights.copy()
    for s, i in np.argwhere(weights.any(axis=2)):
        S = np.where(prog.patterns.masks[:, i], 1.0, -1.0)[:, None] * prog.X
        unit = S / np.linalg.norm(S, axis=1, keepdims=True)
        slack = unit @ weights[s, i]
        k = int(np.argmin(slack))
        weights[s, i] -= (slack[k] + size * np.linalg.norm(weights[s, i])) * unit[k]
    return weights


def test_cones_violated_strongly_are_a_breach(ask, truth):
    prog, weights = truth.program, off_cones(truth, 0.5)
    assert prog.cone_violation(weights) > 0.1
    with pytest.raises(ContractViolation, match=r"leave their cones by .*moving them back") as e:
        ask(prog, raw_of(truth, x=weights))
    assert e.value.fields["backend"] == "fake"
    assert e.value.fields["cone_violation"] == pytest.approx(prog.cone_violation(weights))
    assert e.value.fields["before"] == pytest.approx(prog.objective(weights))
    assert e.value.fields["after"] != pytest.approx(e.value.fields["before"], rel=1e-3)


@pytest.mark.parametrize("stop", [StopReason.TIME_LIMIT, StopReason.UNKNOWN])
def test_an_early_stop_outside_the_cones_is_moved_inside(ask, truth, stop):
    sol = ask(truth.program, raw_of(truth, x=0.9 * off_cones(truth, 0.5), stop=stop))
    assert truth.program.cone_violation(sol.weights) <= 1e-9
    assert sol.stats["moved_onto_cones"] > 0.1
    assert sol.certificate.verdict == ro.Verdict.NOT_CERTIFIED
    check_bounds(sol, truth)


@pytest.mark.parametrize("size", [1e-4, 1e-7, 1e-10])
def test_cones_violated_a_little_are_repaired(ask, truth, size):
    sol = ask(truth.program, raw_of(truth, x=off_cones(truth, size)))
    assert truth.program.cone_violation(sol.weights) <= 1e-12
    check_bounds(sol, truth)
    assert sol.certificate.verdict != ro.Verdict.INCONCLUSIVE


@pytest.mark.parametrize("size", [1e-14, 1e-17, 1e-25, 1e-170, 1e-310])
def test_noise_in_idle_blocks_does_no_harm(ask, truth, size):
    """Interior-point methods leave idle blocks tiny and pointing anywhere."""
    noise = np.random.default_rng(0).standard_normal(truth.weights.shape)
    weights = np.where(truth.weights == 0, size * noise, truth.weights)
    sol = ask(truth.program, raw_of(truth, x=weights))
    assert sol.certificate.verdict == ro.Verdict.CERTIFIED, sol.certificate.reason


# -- lies about the dual point -----------------------------------------------------------


@pytest.mark.parametrize(
    "nu",
    [
        lambda sol: None,
        lambda sol: 0 * sol.nu,
        lambda sol: -sol.nu,
        lambda sol: 1e8 * sol.nu,
        lambda sol: 1.0001 * sol.nu,
        lambda sol: sol.program.y,
        lambda sol: np.random.default_rng(0).standard_normal(sol.program.n),
        lambda sol: np.full(sol.program.n, 1e200),
        lambda sol: np.full(sol.program.n, 1e-200),
    ],
    ids=["none", "zero", "negated", "huge", "a little too large", "y", "random", "1e200", "1e-200"],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_dual_nonsense_never_fakes_a_bound(ask, truth, nu):
    for weights in (1.01 * truth.weights, 0 * truth.weights):
        raw = raw_of(truth, x=weights, duals=nu(truth))
        sol = ask(truth.program, raw)
        assert sol.certificate.verdict == ro.Verdict.NOT_CERTIFIED
        check_bounds(sol, truth)
    # With the right weights, and no multipliers to trust, the core finds its own dual point.
    check_bounds(ask(truth.program, raw_of(truth, duals=nu(truth))), truth)
    sol = ask(truth.program, raw_of(truth, duals=nu(truth), multipliers=None), tol=1e-5)
    check_bounds(sol, truth)
    assert sol.certificate.verdict == ro.Verdict.CERTIFIED


def test_a_dual_point_for_an_intercept_must_sum_to_zero(ask, make_program):
    prog = make_program(4, intercept=True).canonical
    truth = ro.solve(prog, tol=1e-10)
    for shift in (1e-9, 1e-3, 10.0):
        for weights in (truth.weights, 0.9 * truth.weights):
            raw = raw_of(truth, x=weights, duals=truth.nu + shift, multipliers=None)
            sol = ask(prog, raw, tol=1e-5)
            assert sol.lower_bound <= truth.objective * (1 + 1e-9)
            assert abs(sol.nu.sum()) <= 1e-12 * np.abs(sol.nu).sum()
            certified = sol.certificate.verdict == ro.Verdict.CERTIFIED
            assert certified == (weights is truth.weights)


MULTIPLIERS = {
    "negative": lambda m, p, n: replace(m, values=-m.values),
    "huge": lambda m, p, n: replace(m, values=1e10 * m.values),
    "nan": lambda m, p, n: replace(m, values=np.nan * m.values),
    "rows out of range": lambda m, p, n: replace(m, rows=m.rows + n),
    "rows negative": lambda m, p, n: replace(m, rows=m.rows - n),
    "blocks out of range": lambda m, p, n: replace(m, blocks=m.blocks + 2 * p),
    "blocks negative": lambda m, p, n: replace(m, blocks=m.blocks - 2 * p),
    "blocks of the other sign": lambda m, p, n: replace(m, blocks=(m.blocks + p) % (2 * p)),
    "starts too long": lambda m, p, n: replace(m, starts=np.append(m.starts, m.starts[-1])),
    "starts unsorted": lambda m, p, n: replace(m, starts=m.starts[::-1]),
    "starts empty": lambda m, p, n: replace(m, starts=m.starts[:0]),
    "rows too short": lambda m, p, n: replace(m, rows=m.rows[1:]),
    "floating rows": lambda m, p, n: replace(m, rows=m.rows + 0.5),
    "floating blocks": lambda m, p, n: replace(m, blocks=m.blocks + 0.5),
    "two axes": lambda m, p, n: replace(m, values=m.values[:, None]),
    "lists": lambda m, p, n: ConeMultipliers(
        m.blocks.tolist(), m.starts.tolist(), m.rows.tolist(), m.values.tolist()
    ),
    "nothing inside": lambda m, p, n: ConeMultipliers(None, None, None, None),
    "another thing": lambda m, p, n: "multipliers",
    "what has no copy": lambda m, p, n: ConeMultipliers(
        m.blocks, m.starts, m.rows, (k for k in ())
    ),
    "another thing without a copy": lambda m, p, n: (k for k in ()),
}


@pytest.mark.parametrize("name", MULTIPLIERS)
def test_wrong_multipliers_never_fake_a_bound(ask, truth, name):
    """They are ignored or refused as a breach, but no other error leaks."""
    prog = truth.program
    wrong = MULTIPLIERS[name](truth.certificate.multipliers, len(prog.patterns), prog.n)
    for weights in (truth.weights, 1.01 * truth.weights):
        try:
            sol = ask(prog, raw_of(truth, x=weights, multipliers=wrong))
        except ContractViolation as error:
            assert error.fields["backend"] == "fake"  # noqa: PT017
            continue
        check_bounds(sol, truth)
        certified = sol.certificate.verdict == ro.Verdict.CERTIFIED
        assert certified == (weights is truth.weights)
        assert ro.verify(sol.certificate, prog.X, prog.y).valid == certified


# -- answers to something else -----------------------------------------------------------


def test_a_stale_answer_to_other_data(ask, truth, make_program):
    other = make_program(30, n=20, d=3, p=20, lam=truth.program.lam)
    best = ro.solve(other)
    if other.weights_shape != truth.program.weights_shape:
        with pytest.raises(ContractViolation):
            ask(other, raw_of(truth))
        return
    try:
        sol = ask(other, raw_of(truth))
    except ContractViolation:
        return
    assert sol.certificate.verdict != ro.Verdict.CERTIFIED
    check_bounds(sol, best)


@pytest.mark.parametrize("factor", [0.3, 0.99, 1.01, 3.0])
def test_a_stale_answer_to_another_lam(ask, truth, factor):
    prog = truth.program.with_lam(factor * truth.program.lam)
    best = ro.solve(prog)
    sol = ask(prog, raw_of(truth, objective=best.objective))
    assert sol.certificate.verdict == ro.Verdict.NOT_CERTIFIED
    check_bounds(sol, best)


def test_a_stale_answer_to_other_targets(ask, truth):
    prog = replace(truth.program, y=-truth.program.y)
    best = ro.solve(prog)
    sol = ask(prog, raw_of(truth))
    assert sol.certificate.verdict == ro.Verdict.NOT_CERTIFIED
    check_bounds(sol, best)


# -- exceptions --------------------------------------------------------------------------


def raiser(error):
    def answer(program):
        raise error

    return answer


@pytest.mark.parametrize(
    "error", [RuntimeError("inner"), KeyError("inner"), MemoryError("inner"), ValueError("inner")]
)
def test_an_exception_of_a_backend_is_chained_never_leaked(ask, truth, error):
    with pytest.raises(SolveFailed, match=r"'fake' raised .*inner") as caught:
        ask(truth.program, raiser(error))
    assert caught.value.__cause__ is error
    assert caught.value.fields["backend"] == "fake"


def test_an_error_of_ours_goes_through_as_it_is(ask, truth):
    error = DataError("the backend's own words", row=3)
    with pytest.raises(DataError, match="own words") as caught:
        ask(truth.program, raiser(error))
    assert caught.value is error


def test_ctrl_c_is_not_swallowed(ask, truth):
    def pressed(program):
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        ask(truth.program, pressed)


@pytest.mark.parametrize("raised", [KeyboardInterrupt(), SystemExit(0), GeneratorExit()])
def test_an_exit_or_a_made_up_interrupt_is_the_backends_fault(ask, truth, raised):
    with pytest.raises(SolveFailed, match=type(raised).__name__) as caught:
        ask(truth.program, raiser(raised))
    assert caught.value.fields["backend"] == "fake"


def test_a_backend_that_cannot_be_loaded(registry, truth):
    def load():
        raise ImportError("libfake.so is missing")

    fake = Fake(None)
    info = replace(fake.relu_opt_backends()[0], load=load)
    fake.relu_opt_backends = hookimpl(lambda: [info])
    registry.add("fake", "fake-dist", lambda: fake)
    with pytest.raises(ReluOptError, match=r"ImportError: libfake\.so is missing") as caught:
        ro.solve(truth.program, "fake")
    assert isinstance(caught.value.__cause__, ImportError)


@pytest.mark.parametrize("backend", [None, object(), lambda: None])
def test_a_backend_without_a_solve_method(registry, truth, backend):
    fake = Fake(None)
    info = replace(fake.relu_opt_backends()[0], load=lambda: backend)
    fake.relu_opt_backends = hookimpl(lambda: [info])
    registry.add("fake", "fake-dist", lambda: fake)
    with pytest.raises(SolveFailed, match="AttributeError"):
        ro.solve(truth.program, "fake")


# -- conic backends ----------------------------------------------------------------------


def conic_truth(program):
    from relu_opt.plugins.types import SolveOptions
    from relu_opt_cvxpy.backend import CvxpyBackend

    return CvxpyBackend().solve(program, SolveOptions(tol=1e-9))


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: replace(raw, x=-raw.x),
        lambda raw: replace(raw, x=0 * raw.x),
        lambda raw: replace(raw, x=2 * raw.x, duals=-raw.duals),
        lambda raw: replace(raw, x=raw.x + 0.1, duals=None),
        lambda raw: replace(raw, x=0.9 * raw.x, duals=1e9 * raw.duals),
    ],
    ids=["negated", "zero", "wrong dual sign", "shifted", "huge duals"],
)
def test_wrong_conic_answers(ask_conic, truth, change):
    try:
        sol = ask_conic(truth.program, lambda program: change(conic_truth(program)))
    except ContractViolation as error:
        assert error.fields["backend"] == "conic fake"  # noqa: PT017
        return
    assert sol.certificate.verdict == ro.Verdict.NOT_CERTIFIED
    check_bounds(sol, truth)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda raw: replace(raw, x=raw.x[:-1]), "x"),
        (lambda raw: replace(raw, x=np.nan * raw.x), "x"),
        (lambda raw: replace(raw, duals=raw.duals[1:]), "duals"),
        (lambda raw: replace(raw, duals=np.inf * np.ones_like(raw.duals)), "duals"),
    ],
)
def test_malformed_conic_answers_are_a_breach(ask_conic, truth, change, field):
    with pytest.raises(ContractViolation) as caught:
        ask_conic(truth.program, lambda program: change(conic_truth(program)))
    assert caught.value.fields["field"] == field


# -- statistics --------------------------------------------------------------------------


@pytest.mark.parametrize("stats", [{}, {"array": np.ones(3)}, {"odd": object()}])
def test_statistics_of_any_kind_do_no_harm(ask, truth, stats, tmp_path, caplog):
    with caplog.at_level(logging.ERROR):
        sol = ask(truth.program, raw_of(truth, stats=stats, objective=np.nan))
    assert sol.certificate.verdict == ro.Verdict.CERTIFIED
    assert not caplog.records
    sol.certificate.save(tmp_path / "cert.npz")
    assert ro.verify(tmp_path / "cert.npz", truth.program.X, truth.program.y).valid


# -- the program itself ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["X", "y"])
def test_a_backend_that_changes_the_data_first_is_caught(ask, truth, make_program, name):
    """It would solve another program, and every measure of the answer would be taken by that."""
    prog = make_program(3, n=20, d=3, p=20, lam_share=0.1)

    def answer(program):
        array = getattr(program, name)
        array.setflags(write=True)
        array *= 0.1
        return raw_of(ro.solve(program, "native"))

    with pytest.raises(ContractViolation, match="changed the arrays of the program") as caught:
        ask(prog, answer)
    assert caught.value.fields == {"backend": "fake", "field": "program"}


@pytest.mark.parametrize("name", ["c", "A", "b"])
def test_and_so_is_one_that_changes_a_conic_program(ask_conic, make_program, name):
    def answer(program):
        array = getattr(program, name)
        array = array.data if name == "A" else array
        array.setflags(write=True)
        array *= 0.5
        sol = ro.solve_program(program, "clarabel")
        return RawSolution(StopReason.CONVERGED, sol.x, sol.duals)

    with pytest.raises(ContractViolation, match="changed the arrays of the program"):
        ask_conic(make_program(3), answer)


@pytest.mark.parametrize(
    ("factor", "expected"),
    [
        (1.0, StopReason.CONVERGED),
        (1 + 1e-3, StopReason.CONVERGED_LOOSE),
        (0.5, StopReason.UNKNOWN),
    ],
)
def test_nothing_has_converged_beside_a_verdict_that_says_otherwise(ask, truth, factor, expected):
    sol = ask(truth.program, raw_of(truth, x=factor * truth.weights))
    assert sol.stop is expected
    assert (sol.stop is StopReason.CONVERGED) == (sol.certificate.verdict == "certified")
    for stop in (StopReason.TIME_LIMIT, StopReason.NUMERICAL, StopReason.INTERRUPTED):
        assert ask(truth.program, raw_of(truth, x=factor * truth.weights, stop=stop)).stop is stop
