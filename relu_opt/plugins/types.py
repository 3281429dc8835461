"""What plugins register, receive and return."""

from __future__ import annotations

import enum
import importlib.metadata
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol

from relu_opt.arrays import FloatArray
from relu_opt.program.conic import ConicProgram
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.linear import LinearProgram, QuadraticProgram
from relu_opt.program.multipliers import ConeMultipliers
from relu_opt.program.network import ReLUNetwork
from relu_opt.proof.certificate import NetworkCertificate
from relu_opt.proof.verdict import Verdict

API_VERSION = 1
# The largest relative gap of what is said to have converged at all.
LOOSE = 1e-3

Program = ConvexProgram | LinearProgram | QuadraticProgram | ConicProgram


class State(enum.Enum):
    """Whether a backend can be used here."""

    READY = "ready"
    NOT_INSTALLED = "not installed"
    BROKEN = "broken"
    NO_LICENCE = "no licence"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Availability:
    """What a backend's probe found: the state, why, and the library's version."""

    state: State
    reason: str = ""
    version: str = ""


def installed(package: str, module: str | None = None) -> Callable[[], Availability]:
    """A probe for a library that is ready once it is installed; it does not import it.

    Parameters
    ----------
    package : str
        The distribution, as pip calls it.
    module : str, optional
        What is imported, if its name is another.
    """

    def probe() -> Availability:
        if importlib.util.find_spec(module or package) is None:
            return Availability(State.NOT_INSTALLED, f"the package {package} is not installed")
        return Availability(State.READY, version=_version(package))

    return probe


@cache
def _version(package: str) -> str:
    """The installed version, which reading costs as much as a small program's solution."""
    return importlib.metadata.version(package)


class Feature(enum.Enum):
    """What a backend can do beside solving its program types."""

    INTEGER = "integer"
    SOC = "second-order cones"
    PSD = "semidefinite cones"
    EXP = "exponential cones"
    DUALS = "duals"
    WARM_START = "warm start"
    TIME_LIMIT = "time limit"


class StopReason(enum.Enum):
    """Why a backend stopped. `advice` says what a user may do about it."""

    CONVERGED = "converged"
    CONVERGED_LOOSE = "converged to a looser tolerance"
    TIME_LIMIT = "time limit"
    ITERATION_LIMIT = "iteration limit"
    INFEASIBLE = "infeasible"
    UNBOUNDED = "unbounded"
    NUMERICAL = "numerical trouble"
    INTERRUPTED = "interrupted"
    UNKNOWN = "unknown"

    @property
    def advice(self) -> str:
        """One sentence of advice."""
        return _ADVICE[self]

    @property
    def converged(self) -> bool:
        """Whether it came to its end, to whatever tolerance."""
        return self in (StopReason.CONVERGED, StopReason.CONVERGED_LOOSE)

    def beside(self, verdict: Verdict, rel_gap: float) -> StopReason:
        """This reason beside a verdict: what fails its tolerance did not converge to it.

        It converged to a looser one if the gap is small, and else nobody knows why it stopped.
        """
        if self is not StopReason.CONVERGED or verdict is not Verdict.NOT_CERTIFIED:
            return self
        return StopReason.CONVERGED_LOOSE if abs(rel_gap) <= LOOSE else StopReason.UNKNOWN


_ADVICE = {
    StopReason.CONVERGED: "The tolerance was reached.",
    StopReason.CONVERGED_LOOSE: "The backend could not reach the tolerance; look at the "
    "certified gap, rescale the data or use the native backend.",
    StopReason.TIME_LIMIT: "The best answer so far and its gap are returned; raise time_limit "
    "or start from this answer with warm_start.",
    StopReason.ITERATION_LIMIT: "The best answer so far and its gap are returned; raise the "
    "iteration limit or start from this answer with warm_start.",
    StopReason.INFEASIBLE: "No point meets all constraints; relax one. (A training program always "
    "has a solution: there it is a fault of the backend.)",
    StopReason.UNBOUNDED: "The objective falls without end; bound the variables. (A training "
    "program is bounded below: there it is a fault of the backend.)",
    StopReason.NUMERICAL: "The gap stopped shrinking at the limit of floating-point numbers; "
    "look at the certified gap, and rescale features of very different sizes.",
    StopReason.INTERRUPTED: "The best answer so far and its gap are returned.",
    StopReason.UNKNOWN: "The backend did not say why it stopped; trust the certified gap alone.",
}


@dataclass(frozen=True)
class OptionSpec:
    """One option of a backend.

    `type` is bool, int, float or str. `least` is the smallest value of an integer, and what a float
    has to exceed.
    """

    name: str
    type: type
    default: object
    help: str
    choices: tuple[str, ...] = ()
    least: float | None = None


@dataclass(frozen=True)
class ProgressEvent:
    """How far a long computation is. Fields that are not known yet are None.

    `task` is what is done (solve, path, cross_validate, prediction_range, sample, vertices, prune),
    `iteration` counts its steps, `total` says how many there are, `elapsed` is in seconds. Of a
    solve, `objective` and `bound` are the best so far, and `rel_gap` the gap between them.
    """

    task: str
    iteration: int
    elapsed: float
    objective: float | None = None
    bound: float | None = None
    rel_gap: float | None = None
    message: str = ""
    total: int | None = None


def _ignore(event: ProgressEvent) -> None:
    return None


@dataclass(frozen=True)
class SolveOptions:
    """Validated options of one solve.

    Attributes
    ----------
    tol : float
        Relative duality gap to reach.
    time_limit : float or None
        Seconds of wall-clock time, or no limit.
    threads : int or None
        Threads the backend may use, or its own choice.
    seed : int
        Seed for anything random.
    verbose : bool
        Whether the backend may print its own log.
    warm_start : array or None
        A point to start from, in the shape of `RawSolution.x`.
    state : object
        The `RawSolution.state` of an earlier solve by the same backend, of a program with the
        same constraints or of the same size; of a ConvexProgram, the ConeMultipliers of the
        solution that `warm_start` is from, if X and the patterns are the same. None for a fresh
        start. A backend that cannot use it ignores it.
    progress : callable
        Called with a `ProgressEvent` now and then.
    extra : mapping
        The backend's own options, defaults filled in.
    """

    tol: float = 1e-8
    time_limit: float | None = None
    threads: int | None = None
    seed: int = 0
    verbose: bool = False
    warm_start: FloatArray | None = None
    state: object = None
    progress: Callable[[ProgressEvent], None] = _ignore
    extra: Mapping[str, object] = field(default_factory=dict)


class Solved(Protocol):
    """What observers hear of a training program that was solved: see `Solution`."""

    @property
    def network(self) -> ReLUNetwork: ...
    @property
    def certificate(self) -> NetworkCertificate: ...
    @property
    def nu(self) -> FloatArray: ...
    @property
    def objective(self) -> float: ...
    @property
    def rel_gap(self) -> float: ...
    @property
    def stop(self) -> StopReason: ...
    @property
    def backend(self) -> str: ...
    @property
    def stats(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class RawSolution:
    """What a backend returns: its word, which the core checks.

    Attributes
    ----------
    stop : StopReason
        Why the backend stopped; `UNKNOWN` when in doubt, never a guess.
    x : array or None
        Primal point: weights of shape `weights_shape` for a ConvexProgram, (k,) for the others.
        None when the backend has none.
    duals : array or None
        Dual point: ν (n,) for a ConvexProgram, with D(ν) ≤ p* and ν = −∇F(ŷ) at the optimum; the
        multipliers (m,) of the rows for the others: y with Px + c + Aᵀy + z = 0 for a
        LinearProgram or QuadraticProgram (z of the bounds follows and is not returned), z in K*
        with Aᵀz + c = 0 for a ConicProgram. None for a program with integers.
    multipliers : ConeMultipliers or None
        Multipliers of a ConvexProgram's cones that go with ν, where the backend knows them.
    raw_status : str
        The solver's own status, word for word.
    objective : float or None
        What the backend believes the objective is; recorded, not trusted.
    stats : mapping
        Iterations, times and whatever else the backend reports (JSON values). `load_seconds`,
        for importing and compiling, is shown apart from the time of solving.
    bound : float or None
        A lower bound that the backend claims, where its duals do not show one: that of branch
        and bound for a program with integers.
    state : object
        What lets the backend start faster on a related program, for `SolveOptions.state`.
    ray : array or None
        What proves that there is no optimum, where the backend knows it. With `INFEASIBLE`, the
        multipliers (m,) of the rows, with the signs of `duals`: yᵀAx is above what the sides and
        bounds allow for every x. With `UNBOUNDED`, a direction (k,) along which the objective falls
        and nothing ends. The core checks it; without one, it asks the backend for the least
        violation of the rows or the steepest direction, and the stop is a claim if neither holds.
    """

    stop: StopReason
    x: FloatArray | None = None
    duals: FloatArray | None = None
    multipliers: ConeMultipliers | None = None
    raw_status: str = ""
    objective: float | None = None
    stats: Mapping[str, object] = field(default_factory=dict)
    bound: float | None = None
    state: object = None
    ray: FloatArray | None = None


class Backend(Protocol):
    """A solver, ready to run."""

    def solve(self, program: Program, options: SolveOptions) -> RawSolution:
        """Solve a program of a type that the backend declares."""
        ...


def _refuses_nothing(program: Program) -> str:
    return ""


@dataclass(frozen=True)
class BackendInfo:
    """A backend as it registers: cheap to make, nothing heavy imported.

    Attributes
    ----------
    name : str
        What users call it.
    load : callable
        Makes the backend; imports of the solver library belong here.
    probe : callable
        Says whether it can be used here, without solving anything.
    takes : frozenset of program types
        `ConvexProgram`, `LinearProgram`, `QuadraticProgram`, `ConicProgram`. The core lowers a
        program to a type that the backend takes.
    features : frozenset of Feature
    options : tuple of OptionSpec
        Options beside the common tol, time_limit, threads, seed and verbose.
    api_version : int
        The version of this contract that the backend was written for. One that does not say was
        written for the first.
    install_hint : str
        The command that installs what is missing.
    free : bool
        Whether it needs no licence; others are used only on request.
    refuses : callable
        Why the backend cannot take this very program of a type that it takes ("has 10⁶ rows,
        and at most 1000 are supported"), or an empty text.
    projector : callable, optional
        Makes a function that does what `ConvexProgram.project` does, faster: workers that price
        patterns use the first that is lent.
    """

    name: str
    load: Callable[[], Backend]
    probe: Callable[[], Availability]
    takes: frozenset[type]
    features: frozenset[Feature] = frozenset()
    options: tuple[OptionSpec, ...] = ()
    api_version: int = 1
    install_hint: str = ""
    free: bool = True
    refuses: Callable[[Program], str] = _refuses_nothing
    projector: Callable[[], Callable[..., Any]] | None = None
