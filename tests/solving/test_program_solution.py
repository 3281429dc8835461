"""`solve_program`: what the core makes of answers to linear, quadratic and conic programs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csc_array

import relu_opt as ro
from relu_opt.errors import (
    ContractViolation,
    DataError,
    NotCertified,
    OptionError,
    SolveFailed,
    UnsupportedProgram,
)
from relu_opt.optimality import measure
from relu_opt.plugins import (
    Availability,
    BackendInfo,
    Feature,
    RawSolution,
    State,
    StopReason,
    hookimpl,
)
from relu_opt.plugins.routes import Route, choose_backend, find_route
from relu_opt.program import Cones, ConicProgram, LinearProgram, QuadraticProgram

ALL = frozenset({LinearProgram, QuadraticProgram, ConicProgram})
EVERYTHING = frozenset(Feature)


def linear(**changes):
    """min x + 2y, x + y ≥ 3, x ≤ 2, y ≥ 0: optimum 4 at (2, 1), multiplier −2."""
    values = {"c": [1.0, 2.0], "A": [[1.0, 1.0]], "row_lower": 3.0}
    values |= {"lower": [-np.inf, 0.0], "upper": [2.0, np.inf], **changes}
    return LinearProgram(**values)


def quadratic():
    """min ½‖x‖² − x₁, x₁ + x₂ = 2: optimum ½ at (1.5, 0.5), multiplier −0.5."""
    return QuadraticProgram(
        P=np.eye(2), c=[-1.0, 0.0], A=[[1.0, 1.0]], row_lower=2.0, row_upper=2.0
    )


def conic():
    """min −u subject to ‖(u, u)‖ ≤ 1: optimum −1/√2."""
    A = csc_array([[0.0], [-1.0], [-1.0]])
    return ConicProgram(np.array([-1.0]), A, np.array([1.0, 0.0, 0.0]), Cones(second_order=(3,)))


HALF = np.sqrt(0.5)
KNOWN = [
    (linear(), [2.0, 1.0], [-2.0], 4.0),
    (quadratic(), [1.5, 0.5], [-0.5], -0.25),
    (conic(), [HALF], [HALF, -0.5, -0.5], -HALF),
]
IDS = ["linear", "quadratic", "conic"]


class Fake:
    """A backend that answers what it is told to."""

    def __init__(self, takes=ALL, features=EVERYTHING, **changes):
        self.takes, self.features, self.changes = takes, features, changes
        self.answer, self.seen = None, []

    def solve(self, program, options):
        self.seen.append((program, options))
        return self.answer

    @hookimpl
    def relu_opt_backends(self):
        ready = Availability(State.READY)
        return [
            BackendInfo(
                "fake", lambda: self, lambda: ready, self.takes, self.features, **self.changes
            )
        ]


@pytest.fixture
def install(registry):
    """Register a fake."""

    def add(**changes):
        fake = Fake(**changes)
        registry.add("fake", "test", lambda: fake)
        return fake

    return add


def raw(x, duals, **changes):
    stop = changes.pop("stop", StopReason.CONVERGED)
    x = None if x is None else np.array(x)
    return RawSolution(stop, x, None if duals is None else np.array(duals), **changes)


class Precise(Fake):
    """A backend whose answers are as exact as is asked for, and no more."""

    def solve(self, program, options):
        self.seen.append((program, options))
        _, x, duals, _ = KNOWN[1]
        error = 1e4 * options.tol
        return raw(
            np.array(x) + np.array([error, 0.0]),
            np.array(duals),
            stats={"iterations": len(self.seen)},
        )


def test_an_answer_that_is_not_certified_is_asked_for_again(registry):
    fake = Precise()
    registry.add("fake", "test", lambda: fake)
    sol = ro.solve_program(quadratic(), "fake", tol=1e-6).require()
    assert [options.tol for _, options in fake.seen] == [1e-6, pytest.approx(1e-10)]
    assert sol.tol == 1e-6
    assert sol.stats["asked"] == 2
    assert sol.stats["backend_stats"] == {"iterations": 2}


def test_what_is_no_better_when_asked_again_stays(install):
    fake = install()
    fake.answer = raw([1.6, 0.5], [-0.5])
    sol = ro.solve_program(quadratic(), "fake")
    assert sol.verdict.value == "not_certified"
    assert (len(fake.seen), sol.stats["asked"]) == (2, 2)
    fake.answer = raw([1.6, 0.5], [-0.5], stop=StopReason.TIME_LIMIT)
    assert ro.solve_program(quadratic(), "fake").stats["asked"] == 1


# -- what the core computes --------------------------------------------------------------


@pytest.mark.parametrize(("program", "x", "duals", "optimum"), KNOWN, ids=IDS)
def test_an_optimal_answer_has_no_gap_and_is_certified(install, program, x, duals, optimum):
    fake = install()
    fake.answer = raw(x, duals, objective=17.0, raw_status="fine", stats={"iterations": 3})
    sol = ro.solve_program(program, "fake", tol=1e-9)
    assert sol.objective == pytest.approx(optimum, abs=1e-15)
    assert optimum - 1e-13 <= sol.lower_bound <= optimum
    assert sol.residuals.primal == pytest.approx(0.0, abs=1e-15)
    assert sol.residuals.dual == pytest.approx(0.0, abs=1e-15)
    assert sol.verdict is ro.Verdict.CERTIFIED
    assert sol.require() is sol
    assert sol.stats["claimed_objective"] == 17.0
    assert sol.stats["raw_status"] == "fine"
    assert sol.stats["backend_stats"] == {"iterations": 3}
    assert sol.stats["route"] == "as it is"
    assert "certified" in repr(sol)


@pytest.mark.parametrize(("program", "x", "duals", "optimum"), KNOWN, ids=IDS)
@pytest.mark.parametrize(
    ("of_x", "of_duals"),
    [
        (1.0, -1.0),
        (1.0, 0.0),
        (1.0, 1.01),
        (1.01, 1.0),
        (0.99, 1.0),
        (0.0, 1.0),
        (-1.0, 1.0),
        (0.0, 0.0),
    ],
)
def test_a_spoiled_answer_is_not_certified(install, program, x, duals, optimum, of_x, of_duals):
    fake = install()
    fake.answer = raw(of_x * np.array(x), of_duals * np.array(duals), objective=optimum)
    sol = ro.solve_program(program, "fake")
    assert sol.verdict is ro.Verdict.NOT_CERTIFIED
    with pytest.raises(NotCertified, match="not_certified: gap") as caught:
        sol.require()
    assert caught.value.fields["verdict"] == "not_certified"


@pytest.mark.parametrize(("program", "x", "duals", "optimum"), KNOWN, ids=IDS)
def test_without_duals_a_feasible_answer_is_inconclusive(install, program, x, duals, optimum):
    fake = install()
    fake.answer = raw(x, None)
    sol = ro.solve_program(program, "fake")
    assert sol.verdict is ro.Verdict.INCONCLUSIVE
    assert np.isnan(sol.rel_gap)
    fake.answer = raw(np.array(x) + 1.0, None)
    assert ro.solve_program(program, "fake").verdict is ro.Verdict.NOT_CERTIFIED


def test_a_bound_for_integers_is_claimed_and_a_tree_proves(install):
    fake = install()
    program = linear(integrality=[True, True])
    fake.answer = raw([2.0, 1.0], [-2.0], bound=3.5)
    sol = ro.solve_program(program, "fake")
    assert (sol.duals, sol.claimed_bound, sol.verdict) == (None, 3.5, ro.Verdict.CERTIFIED)
    assert sol.lower_bound == pytest.approx(4.0)
    # Without multipliers nothing is proved, whatever bound is claimed.
    fake.answer = raw([2.0, 1.0], None, bound=4.0)
    sol = ro.solve_program(program, "fake")
    assert (sol.claimed_bound, sol.verdict) == (4.0, ro.Verdict.INCONCLUSIVE)
    assert np.isnan(sol.rel_gap)
    fake.answer = raw([1.5, 1.5], None)
    sol = ro.solve_program(program, "fake")
    assert sol.verdict is ro.Verdict.NOT_CERTIFIED
    assert sol.residuals.primal == 0.5


@pytest.mark.parametrize("stop", [StopReason.TIME_LIMIT, StopReason.NUMERICAL, StopReason.UNKNOWN])
def test_an_early_stop_with_a_point_is_a_result(install, stop):
    fake = install()
    fake.answer = raw([2.0, 1.5], None, stop=stop)
    sol = ro.solve_program(linear(), "fake")
    assert (sol.stop, sol.objective) == (stop, 5.0)
    fake.answer = raw([2.0, 1.0], [-2.0], stop=stop)
    assert ro.solve_program(linear(), "fake").verdict is ro.Verdict.CERTIFIED


WITHOUT_OPTIMUM = (StopReason.INFEASIBLE, StopReason.UNBOUNDED)


@pytest.mark.parametrize("stop", WITHOUT_OPTIMUM)
def test_a_claim_without_a_ray_is_a_claim(install, stop):
    """The program has an optimum: a hook that says otherwise has nothing to show."""
    fake = install()
    fake.answer = raw(None, None, stop=stop, raw_status="code 7")
    with pytest.raises(SolveFailed, match=f"claims that the program is {stop.value} .code 7"):
        ro.solve_program(linear(), "fake")
    for ray in ([1.0], [-3.0]) if stop is StopReason.INFEASIBLE else ([1.0, 0.0], [0.0, -1.0]):
        fake.answer = raw(None, None, stop=stop, ray=np.array(ray))
        with pytest.raises(SolveFailed, match="nothing that proves it") as caught:
            ro.solve_program(linear(), "fake")
        assert (caught.value.fields["proved"], caught.value.fields["ray"]) == (False, None)


def test_a_ray_proves_what_is_said(install):
    fake = install()
    empty = linear(row_lower=[3.0, -1.0], row_upper=[np.inf, 1.0], A=[[1.0, 1.0], [1.0, 1.0]])
    fake.answer = raw(None, None, stop=StopReason.INFEASIBLE, ray=np.array([-2.0, 2.0]))
    with pytest.raises(SolveFailed, match="a ray proves") as caught:
        ro.solve_program(empty, "fake")
    assert caught.value.fields["proved"] is True
    np.testing.assert_array_equal(caught.value.fields["ray"], [-1.0, 1.0])
    # Along (−1, 0) nothing ends once the row is gone, and from a feasible point.
    falling = linear(row_lower=-np.inf, upper=np.inf)
    fake.answer = raw([0.0, 0.0], [0.0], stop=StopReason.UNBOUNDED, ray=np.array([-1.0, 0.0]))
    with pytest.raises(SolveFailed, match=r"unbounded, as backend 'fake' found .* a ray proves"):
        ro.solve_program(falling, "fake")


@pytest.mark.parametrize("stop", [stop for stop in StopReason if stop not in WITHOUT_OPTIMUM])
def test_no_point_is_a_failure_that_says_why(install, stop):
    fake = install()
    fake.answer = raw(None, None, stop=stop, raw_status="code 7")
    with pytest.raises(SolveFailed, match=r"found no answer: .*code 7") as caught:
        ro.solve_program(linear(), "fake")
    assert caught.value.fields == {"backend": "fake", "stop": stop, "raw_status": "code 7"}
    assert stop.advice in caught.value.message


@pytest.mark.parametrize("stop", [StopReason.INFEASIBLE, StopReason.UNBOUNDED])
def test_a_point_of_a_program_without_optimum_is_no_answer(install, stop):
    fake = install()
    fake.answer = raw([2.0, 1.0], [-2.0], stop=stop)
    with pytest.raises(SolveFailed, match=stop.value):
        ro.solve_program(linear(), "fake")


@pytest.mark.parametrize(
    ("x", "duals", "field"),
    [
        ([1.0], [-2.0], "x"),
        ([2.0, 1.0], [-2.0, 0.0, 0.0], "duals"),
        ([np.nan, 1.0], [-2.0], "x"),
        ([2.0, 1.0], [np.inf], "duals"),
    ],
)
def test_wrong_shapes_and_nan_are_a_breach(install, x, duals, field):
    fake = install()
    fake.answer = raw(x, duals)
    with pytest.raises(ContractViolation) as caught:
        ro.solve_program(linear(), "fake")
    assert caught.value.fields["field"] == field


def test_measure_is_scaled():
    """Violations by their row's side and units, gaps by the objective, strays by their column."""
    program = linear(row_lower=300.0, upper=[200.0, np.inf])
    found = measure(program, np.array([200.0, 97.0]), np.array([-2.0]))
    assert found.primal == pytest.approx(3 / 302)
    assert found.rel_gap == pytest.approx((394 - 400) / 394)
    wrong = measure(program, np.array([200.0, 97.0]), np.array([2.0]))
    assert wrong.dual_objective == -np.inf  # a row that only goes upwards cannot push back
    # A bound that holds nothing changes nothing.
    far = linear(row_lower=300.0, row_upper=1e12, lower=[-1e15, 0.0], upper=[200.0, 1e9])
    assert measure(far, np.array([200.0, 97.0]), np.array([-2.0])) == found


# -- routes ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("takes", "features", "routes"),
    [
        (ALL, EVERYTHING, (Route.DIRECT, Route.DIRECT, Route.DIRECT)),
        ({LinearProgram}, EVERYTHING, (Route.DIRECT, None, None)),
        ({QuadraticProgram}, set(), (Route.QUADRATIC, Route.DIRECT, None)),
        ({ConicProgram}, EVERYTHING, (Route.CONIC, Route.CONIC, Route.DIRECT)),
        ({ConicProgram}, set(), (Route.CONIC, None, None)),
        (set(), EVERYTHING, (None, None, None)),
    ],
)
def test_routes(takes, features, routes):
    (info,) = Fake(frozenset(takes), frozenset(features)).relu_opt_backends()
    for (program, *_), route in zip(KNOWN, routes, strict=True):
        if route is None:
            with pytest.raises(UnsupportedProgram, match=f"cannot take this {type(program)}"[:16]):
                find_route(info, program)
        else:
            assert find_route(info, program) is route


@pytest.mark.parametrize("number", [0, 1])
def test_a_conic_solver_alone_serves_linear_and_quadratic_programs(install, number):
    fake = install(takes=frozenset({ConicProgram}))
    program, x, duals, optimum = KNOWN[number]
    honest = ro.program.embedding.as_conic(program)
    sol = ro.solve_program(honest.program, "clarabel", tol=1e-10)
    fake.answer = raw(sol.x, sol.duals)
    back = ro.solve_program(program, "fake", tol=1e-5)
    assert isinstance(fake.seen[0][0], ConicProgram)
    np.testing.assert_allclose(back.x, x, atol=1e-5)
    np.testing.assert_allclose(back.duals, duals, atol=1e-5)
    assert back.objective == pytest.approx(optimum, abs=1e-5)
    assert back.verdict is ro.Verdict.CERTIFIED


def test_integers_ask_for_the_feature():
    program = linear(integrality=[True, False])
    (info,) = Fake(features=EVERYTHING - {Feature.INTEGER}).relu_opt_backends()
    with pytest.raises(UnsupportedProgram, match="it lacks integer") as caught:
        find_route(info, program)
    assert caught.value.fields == {
        "backend": "fake",
        "program": "LinearProgram",
        "lacking": ["INTEGER"],
    }
    (conic_only,) = Fake(takes=frozenset({ConicProgram})).relu_opt_backends()
    with pytest.raises(UnsupportedProgram, match="it takes ConicProgram"):
        find_route(conic_only, program)


@pytest.mark.parametrize(
    ("cones", "lacking"),
    [
        (Cones(second_order=(3,)), Feature.SOC),
        (Cones(exponential=1), Feature.EXP),
        (Cones(semidefinite=(2,)), Feature.PSD),
    ],
)
def test_cones_ask_for_their_features(cones, lacking):
    program = ConicProgram(np.zeros(1), csc_array((3, 1)), np.ones(3), cones)
    (able,) = Fake().relu_opt_backends()
    assert find_route(able, program) is Route.DIRECT
    (unable,) = Fake(features=EVERYTHING - {lacking}).relu_opt_backends()
    with pytest.raises(UnsupportedProgram, match=f"it lacks {lacking.value}"):
        find_route(unable, program)


def test_a_backend_may_refuse_one_program_and_take_another(install):
    fake = install(refuses=lambda program: "it has two variables" if len(program.c) == 2 else "")
    fake.answer = raw([HALF], [HALF, -0.5, -0.5])
    assert ro.solve_program(conic(), "fake").verdict is ro.Verdict.CERTIFIED
    with pytest.raises(UnsupportedProgram, match="it has two variables") as caught:
        ro.solve_program(linear(), "fake")
    assert caught.value.fields["reason"] == "it has two variables"
    assert len(fake.seen) == 1


def test_auto_takes_each_type_to_the_backend_made_for_it(registry):
    dense = QuadraticProgram(P=np.eye(3), c=np.ones(3))
    large = QuadraticProgram(P=csc_array(np.eye(3000)), c=np.ones(3000))
    chosen = {
        "linear": linear(),
        "integer": linear(integrality=[True, True]),
        "small quadratic": dense,
        "large quadratic": large,
        "conic": conic(),
    }
    names = {what: choose_backend("auto", program).name for what, program in chosen.items()}
    assert names == {
        "linear": "highs",
        "integer": "highs",
        "small quadratic": "native",
        "large quadratic": "clarabel",
        "conic": "clarabel",
    }


# -- requests ----------------------------------------------------------------------------


def test_a_start_and_the_state_of_the_same_backend_are_handed_on(install):
    fake = install()
    fake.answer = raw([2.0, 1.0], [-2.0], state={"basis": 1})
    first = ro.solve_program(linear(), "fake")
    ro.solve_program(linear(row_lower=2.0), "fake", warm_start=first)
    options = fake.seen[1][1]
    assert options.state == {"basis": 1}
    assert options.warm_start.tolist() == [2.0, 1.0]
    ro.solve_program(linear(), "fake", warm_start=replace(first, backend="other"))
    assert fake.seen[2][1].state is None


def test_a_start_that_does_not_fit_or_cannot_be_used(install):
    fake = install(features=frozenset())
    fake.answer = raw([2.0, 1.0], [-2.0])
    first = ro.solve_program(linear(), "fake")
    with pytest.raises(OptionError, match="cannot start from a given point"):
        ro.solve_program(linear(), "fake", warm_start=first)
    with pytest.raises(OptionError, match="cannot stop at a time limit"):
        ro.solve_program(linear(), "fake", time_limit=1.0)
    three = LinearProgram(c=np.ones(3), lower=0.0)
    with pytest.raises(DataError, match="warm_start has 2 variables, and the program 3"):
        ro.solve_program(three, "fake", warm_start=first)


def test_lowered_programs_take_no_start(install):
    fake = install(takes=frozenset({QuadraticProgram}))
    fake.answer = raw([2.0, 1.0], [-2.0])
    first = ro.solve_program(linear(), "fake")
    with pytest.raises(OptionError, match="cannot start from a given point"):
        ro.solve_program(linear(), "fake", warm_start=first)


@pytest.mark.parametrize("P", [np.diag([1.0, -1.0]), np.array([[0.0, 1.0], [1.0, 0.0]])])
def test_a_program_that_is_not_convex_never_reaches_a_backend(install, P):
    fake = install()
    with pytest.raises(DataError, match="eigenvalue -1") as caught:
        ro.solve_program(QuadraticProgram(P=P, c=np.zeros(2), lower=0.0), "fake")
    assert caught.value.fields["eigenvalue"] == pytest.approx(-1.0)
    assert not fake.seen
    flat = QuadraticProgram(P=np.array([[1.0, 1.0], [1.0, 1.0]]), c=np.zeros(2), lower=0.0)
    fake.answer = raw([0.0, 0.0], [])
    assert ro.solve_program(flat, "fake").verdict is ro.Verdict.CERTIFIED


def test_each_function_has_its_programs(make_program):
    with pytest.raises(DataError, match="To train a network use solve"):
        ro.solve_program(make_program())
    with pytest.raises(DataError, match="use solve_program"):
        ro.solve(linear())
    with pytest.raises(DataError, match="is a list"):
        ro.solve_program([])
