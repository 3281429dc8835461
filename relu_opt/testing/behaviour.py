"""Checks of what a backend registers, and of how it behaves while it solves."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np

from relu_opt.errors import (
    BackendUnavailable,
    ContractViolation,
    OptionError,
    ReluOptError,
    UnknownBackend,
)
from relu_opt.optimality import prove
from relu_opt.plugins.manager import registry
from relu_opt.plugins.options import COMMON_OPTIONS, check_option
from relu_opt.plugins.types import (
    API_VERSION,
    Availability,
    Feature,
    OptionSpec,
    Program,
    ProgressEvent,
    RawSolution,
    State,
    StopReason,
)
from relu_opt.program.conic import ConicProgram
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.linear import LinearProgram, QuadraticProgram
from relu_opt.proof.verdict import Verdict
from relu_opt.solving.certify import certify
from relu_opt.solving.standard import ProgramSolution
from relu_opt.solving.training import Solution
from relu_opt.testing.answers import CONVERGED, allowed, near_optimum, objective_of, right, scale
from relu_opt.testing.named import NamedProgram, is_mixed_integer
from relu_opt.testing.subject import Answer, Failed, Skipped, Subject

TYPES = (ConvexProgram, LinearProgram, QuadraticProgram, ConicProgram)

# Registration may import none of these, and may take so many seconds of the processor.
SOLVERS = (
    "clarabel", "cplex", "copt", "coptpy", "cosmo", "cvxopt", "cvxpy", "cyipopt", "daqp", "docplex",
    "ecos", "gurobipy", "highspy", "jax", "knitro", "linopy", "mip", "mosek", "nlopt", "ortools",
    "osqp", "picos", "piqp", "proxsuite", "pulp", "pyomo", "pyscipopt", "qdldl", "qpsolvers",
    "quadprog", "sklearn", "scs", "tensorflow", "torch", "xpress",
)  # fmt: skip
LONGEST_REGISTRATION = 2.0

# Run in a process of its own: finds the entry point that registers a backend, and looks at what
# it imports.
LOOK = """
import importlib.metadata, json, sys, time
import relu_opt
name, group, solvers = sys.argv[1], sys.argv[2], sys.argv[3].split(",")
entries = sorted(importlib.metadata.entry_points(group=group), key=lambda e: e.name != name)
for entry in entries:
    before, started = set(sys.modules), time.process_time()
    try:
        plugin = entry.load()
        names = [info.name for info in plugin.relu_opt_backends()]
    except Exception:
        continue
    seconds = time.process_time() - started
    if name in names:
        new = set(sys.modules) - before
        print(json.dumps({"seconds": seconds, "heavy": [s for s in solvers if s in new]}))
        break
"""


# -- registration ------------------------------------------------------------------------


def registration_found(subject: Subject) -> str:
    """The backend is registered, by one distribution, for this version of the contract."""
    try:
        registry().find(subject.name)
    except BackendUnavailable as error:
        return f"registered; {error.message}"
    except UnknownBackend as error:
        # An entry point need not have the name of its backend.
        broken = [each.error.message for each in registry().statuses() if each.error is not None]
        raise Failed(" ".join([error.message, *broken])) from error
    except ReluOptError as error:
        raise Failed(error.message) from error
    return "registered"


def registration_declared(subject: Subject) -> str:
    """Types, features and the rest of `BackendInfo` are what they should be."""
    info = subject.info
    problems = {
        "takes is empty": not info.takes,
        "takes holds something other than program types": not info.takes <= set(TYPES),
        "features holds something other than Features": not all(
            isinstance(feature, Feature) for feature in info.features
        ),
        f"api_version is not {API_VERSION}": info.api_version != API_VERSION,
        "install_hint is no text": not isinstance(info.install_hint, str),
        "free is no bool": not isinstance(info.free, bool),
    }
    for case in subject.programs.values():
        if case.kind in info.takes:
            wrong = not isinstance(info.refuses(case.make()), str)
            problems[f"refuses gives no text for {case.name}"] = wrong
    found = [problem for problem, present in problems.items() if present]
    if found:
        raise Failed("; ".join(found))
    return ", ".join(sorted(kind.__name__ for kind in info.takes))


def registration_light(subject: Subject) -> str:
    """Registration is quick and imports no solver, in a process of its own."""
    command = [sys.executable, "-c", LOOK, subject.info.name, "relu_opt", ",".join(SOLVERS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)  # noqa: S603 - our own script
    if done.returncode != 0:
        raise Failed(f"registering it in a new process failed: {done.stderr.strip()}")
    if not done.stdout.strip():
        raise Skipped(f"no installed entry point registers {subject.name!r}")
    found = json.loads(done.stdout.splitlines()[-1])
    if found["heavy"]:
        raise Failed(f"registration imports {', '.join(found['heavy'])}")
    if found["seconds"] > LONGEST_REGISTRATION:
        raise Failed(f"registration takes {found['seconds']:.1f} s of the processor")
    return f"{found['seconds']:.3f} s"


def registration_load(subject: Subject) -> str:
    """`load` gives an object that can solve."""
    subject.need_ready()
    try:
        backend = subject.info.load()
    except Exception as error:
        raise Failed(f"load raised {type(error).__name__}: {error}") from error
    if not callable(getattr(backend, "solve", None)):
        raise Failed(f"load gave {backend!r}, which has no method solve")
    return type(backend).__name__


def probe_ready(subject: Subject) -> str:
    """`probe` says that the backend can be used, and names a version."""
    info = subject.info
    try:
        found = info.probe()
    except Exception as error:
        raise Failed(f"probe raised {type(error).__name__}: {error}") from error
    if not isinstance(found, Availability):
        raise Failed(f"probe gave {found!r}, which is no Availability")
    if found.state is State.BROKEN:
        raise Failed(f"the backend is broken: {found.reason}")
    if found.state is not State.READY:
        if not found.reason:
            raise Failed(f"probe says {found.state.value!r} and gives no reason")
        raise Skipped(f"{found.state.value}: {found.reason}")
    if not found.version:
        raise Failed("probe names no version")
    return f"version {found.version}"


# -- options -----------------------------------------------------------------------------


def options_declared(subject: Subject) -> str:
    """Each option has a name of its own, help, and a default of its type and in its range."""
    specs = subject.info.options
    names = [spec.name for spec in specs]
    taken = {spec.name for spec in COMMON_OPTIONS}
    for spec in specs:
        if not isinstance(spec, OptionSpec):
            raise Failed(f"{spec!r} is no OptionSpec")
        if spec.name in taken or names.count(spec.name) > 1:
            raise Failed(f"the option {spec.name!r} has the name of another one")
        if not spec.help.strip():
            raise Failed(f"the option {spec.name!r} has no help")
        if spec.type not in (bool, int, float, str):
            raise Failed(f"the option {spec.name!r} has the type {spec.type!r}")
        try:
            check_option(subject.name, spec, spec.default)
        except ReluOptError as error:
            raise Failed(f"the default does not fit: {error.message}") from error
    return ", ".join(names) or "none of its own"


def options_unknown(subject: Subject) -> str:
    """An option that does not exist is refused, and the nearest one is named."""
    program = _first_supported(subject).make()
    for spec in (*subject.info.options, COMMON_OPTIONS[2]):
        wrong = spec.name + "x"
        try:
            subject.ask(program, options={wrong: spec.default})
        except Failed as failure:
            if not isinstance(failure.__cause__, OptionError):
                raise
            if "Did you mean" not in str(failure):
                raise Failed(f"the option {wrong!r} is refused without a near match") from failure
        else:
            raise Failed(f"the option {wrong!r} is accepted")
    return "refused"


def _first_supported(subject: Subject) -> NamedProgram:
    subject.need_ready()
    for case in subject.programs.values():
        if subject.has_route(case.make()):
            return case
    raise Skipped("no named program can reach the backend")


def options_common(subject: Subject, case: NamedProgram) -> str:
    """threads, seed and verbose are taken, and the answer stays right."""
    subject.need_ready()
    for options in ({"threads": 1, "seed": 3}, {"threads": 2}, {"verbose": True}):
        program = case.make()
        subject.need_route(program)
        try:
            _check_point(subject, case, subject.ask(program, options=options).raw)
        except Failed as failure:
            raise Failed(f"with {options}: {failure}") from failure
    return "threads, seed, verbose"


def _check_point(subject: Subject, case: NamedProgram, raw: RawSolution) -> None:
    """Whether a raw answer is the known optimum."""
    if raw.x is None or raw.stop not in CONVERGED:
        raise Failed(f"no optimum: {raw.stop.value} ({raw.raw_status or 'no status'})")
    near_optimum(subject, case, objective_of(case.make(), raw.x), raw.x)


# -- state -------------------------------------------------------------------------------


def state_independent(subject: Subject, case: NamedProgram) -> str:
    """Solving something else in between changes nothing."""
    first = _again(subject, case)
    others = subject.others(case)[:1]
    for other in others:
        _check_point(subject, other, subject.ask(other.make()).raw)
    third = _again(subject, case)
    _check_point(subject, case, third.raw)
    for name in ("x", "duals"):
        before, after = getattr(first.raw, name), getattr(third.raw, name)
        if (before is None) != (after is None):
            raise Failed(f"{name} is there at one solve and not at another")
        if before is not None and not np.allclose(before, after, rtol=1e-9, atol=1e-9):
            raise Failed(
                f"{name} differs by {np.abs(before - after).max():.1e} when the same program is "
                "solved again"
            )
    return f"with {others[0].name} in between" if others else "solved twice"


def _again(subject: Subject, case: NamedProgram) -> Answer:
    program = case.make()
    subject.need_ready()
    subject.need_route(program)
    return subject.ask(program)


def state_inputs(subject: Subject, case: NamedProgram) -> str:
    """The program's arrays are as they were."""
    try:
        changed = subject.answer(case).changed
    except Failed as error:
        # The core looks too, and tells a changed program from other breaches by this field.
        cause = error.__cause__
        if isinstance(cause, ContractViolation) and cause.fields.get("field") == "program":
            raise
        raise Skipped("there is no answer, see answer_form") from error
    if changed:
        raise Failed(f"the solve changed {', '.join(changed)}")
    return "unchanged"


def output_quiet(subject: Subject, case: NamedProgram) -> str:
    """Nothing is printed, and no Python warning given, unless verbose asks for it."""
    try:
        text = subject.answer(case).output
    except Failed as error:
        raise Skipped("there is no answer, see answer_form") from error
    if text:
        raise Failed(f"it printed {text[:200]!r}")
    return "quiet"


# -- limits, starts, progress ------------------------------------------------------------


def limits_time(subject: Subject, case: NamedProgram) -> str:
    """A time limit is a result and is kept, on a program that takes longer."""
    subject.need_ready()
    subject.need_feature(Feature.TIME_LIMIT)
    if case.kind not in subject.info.takes:
        raise Skipped(f"{subject.name!r} takes no {case.kind.__name__}")
    program = case.make()
    subject.need_route(program, direct=True)
    found = subject.ask(program, subject.time_limit)
    late = found.seconds - subject.time_limit
    if not late <= subject.time_slack:
        raise Failed(f"it came back {late:.1f} s after a limit of {subject.time_limit:g} s")
    if found.raw.stop is StopReason.TIME_LIMIT:
        return f"stopped {late:+.2f} s after the limit"
    _check_unlimited(subject, case, program, found.raw)
    return f"solved within {found.seconds:.2f} s, so the limit was not put to the test"


def _check_unlimited(
    subject: Subject, case: NamedProgram, program: Program, raw: RawSolution
) -> None:
    """Whether an answer that claims to be complete is right."""
    if raw.stop not in CONVERGED or raw.x is None:
        raise Failed(
            f"it stopped with {raw.stop.value} ({raw.raw_status or 'no status'}) at a time limit"
        )
    if isinstance(program, ConvexProgram):
        verdict = certify(program, raw.x, raw.duals, tol=allowed(subject)).verdict
    else:
        duals = None if is_mixed_integer(program) else raw.duals
        verdict = prove(program, raw.x, duals, allowed(subject)).verdict
    if verdict is Verdict.NOT_CERTIFIED:
        raise Failed(f"it says {raw.stop.value} of an answer that is not right")
    near_optimum(subject, case, objective_of(program, raw.x), raw.x)


def start_warm(subject: Subject, case: NamedProgram) -> str:
    """From a start, its own answer or that to another program, the optimum is the same."""
    subject.need_ready()
    subject.need_feature(Feature.WARM_START)
    subject.need_route(case.make(), direct=True)
    cold = subject.solve(case.make())
    right(subject, case, subject.solve(case.make(), cold))
    others = subject.others(case, same_size=True)[:1]
    for other in others:
        right(subject, other, subject.solve(other.make(), cold))
    _other_cost(subject, case.make(), cold)
    return "from the optimum" + "".join(f", and {other.name} from it" for other in others)


def _other_cost(subject: Subject, program: Program, start: Solution | ProgramSolution) -> None:
    """The same constraints with the costs the other way round: what a kept state is for."""
    if not isinstance(program, LinearProgram | QuadraticProgram):
        return
    changed = program.with_cost(program.c[::-1].copy())
    try:
        cold = subject.solve(changed)
    except Failed:
        return  # it need not be bounded
    warm = subject.solve(changed, start)
    best, found = cold.objective, warm.objective
    if not abs(found - best) <= allowed(subject) * scale(changed, best):
        raise Failed(f"with another cost it finds {found:.9g} from a start, and {best:.9g} without")
    if warm.stats.get("asked") != cold.stats.get("asked"):
        raise Failed("with another cost its answer from a start holds only when it is asked again")


def progress_events(subject: Subject, case: NamedProgram) -> str:
    """What it tells of its progress are `ProgressEvent`s with numbers in them."""
    try:
        events = subject.answer(case).events
    except Failed as error:
        raise Skipped("there is no answer, see answer_form") from error
    for event in events:
        problem = _event_problem(event)
        if problem:
            raise Failed(problem)
    return f"{len(events)} events"


def _event_problem(event: object) -> str:
    if not isinstance(event, ProgressEvent):
        return f"progress was called with {event!r}, which is no ProgressEvent"
    if not isinstance(event.task, str) or not isinstance(event.message, str):
        return f"task and message have to be text: {event}"
    if not isinstance(event.iteration, int | np.integer) or isinstance(event.iteration, bool):
        return f"iteration has to be an integer: {event}"
    values = (event.objective, event.bound, event.rel_gap)
    numbers = [event.elapsed, *(value for value in values if value is not None)]
    if not all(isinstance(number, float | int | np.floating) for number in numbers):
        return f"elapsed, objective, bound and rel_gap have to be numbers: {event}"
    return "" if event.elapsed >= 0 else f"elapsed is negative: {event}"
