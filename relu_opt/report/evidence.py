"""All that a report tells, gathered from a model and its data."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from relu_opt.arrays import FloatArray, as_count
from relu_opt.clock import Clock
from relu_opt.config import load_settings
from relu_opt.derivatives.sensitivity import Sensitivity, sensitivity
from relu_opt.errors import ReluOptError
from relu_opt.path.solution_path import SolutionPath, solution_path
from relu_opt.program.convex import ConvexProgram
from relu_opt.proof.certificate import NetworkCertificate
from relu_opt.pruning.prune import prune_certified
from relu_opt.pruning.pruning_path import PruningPath
from relu_opt.sets.answers import Membership, Narrowest, NeuronRanges, PredictionRange
from relu_opt.sets.optimal_set import OptimalSet, optimal_set
from relu_opt.solving.certify import certify
from relu_opt.solving.training import Solution
from relu_opt.tabular.model import Model
from relu_opt.tabular.standing import Standing, standing
from relu_opt.tabular.tables import Table
from relu_opt.verify import verify
from relu_opt.verify.outcome import Verification

# Points of the path, how far it goes below the model's λ, and its seconds.
POINTS, BELOW, PATH_SECONDS = 15, 3.0, 60.0
# How far directions and fits of a network may be off in the optimal set: those of one that was
# trained to a gap of 1e−8 are off by about its root.
CLOSE = 1e-4
# Seconds for the integer program of the narrowest network.
NARROWEST_SECONDS = 10.0


@dataclass(frozen=True, eq=False)
class SetFacts:
    """All optimal networks of the model's program.

    Attributes
    ----------
    solution : Solution
        The program solved to its last digits.
    found : OptimalSet
    ranges : NeuronRanges
        The sizes that each of its neurons may have.
    narrowest : Narrowest
    membership : Membership
        Whether the model's own network is in it, up to `CLOSE`.
    near : PredictionRange or None
        Predictions at the first rows over all networks within `eps` of the optimum.
    """

    solution: Solution
    found: OptimalSet
    ranges: NeuronRanges
    narrowest: Narrowest
    membership: Membership
    near: PredictionRange | None = None


@dataclass(eq=False)
class Evidence:
    """What `gather` found. A part that could not be had is None, and `missing` says why.

    Attributes
    ----------
    model : Model
    table : Table
        The data.
    target : str
        The column of the targets.
    program : ConvexProgram
        The model's training problem on these data.
    certificate : NetworkCertificate
        Of the model's own network, whatever was done to it after training.
    verification : Verification
        The certificate checked again, by code that shares nothing with it.
    errors : mapping
        How well the model predicts these data; see `Model.errors`.
    drift : list of str
        Columns whose mean or deviation is not what the model was trained with.
    standing : Standing
        Whether these are the data that the model was trained on, and its gap on them.
    all_optimal : SetFacts or None
    pruning : PruningPath or None
    path : SolutionPath or None
    moves : Sensitivity or None
        Derivatives, with a verdict on whether there are any.
    eps : float or None
        Of `SetFacts.near`, as a share of the optimal objective.
    missing : mapping of str to str
        Why a part is not there.
    seconds : mapping of str to float
        How long each part took.
    files : mapping of str to (name, SHA-256)
        Files that the report is made of.
    """

    model: Model
    table: Table
    target: str
    program: ConvexProgram
    certificate: NetworkCertificate
    verification: Verification
    errors: Mapping[str, float]
    drift: list[str]
    standing: Standing
    all_optimal: SetFacts | None = None
    pruning: PruningPath | None = None
    path: SolutionPath | None = None
    moves: Sensitivity | None = None
    eps: float | None = None
    missing: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    files: dict[str, tuple[str, str]] = field(default_factory=dict)

    @contextmanager
    def part(self, name: str, tell: Callable[[str], None]) -> Iterator[None]:
        """Time a part of the work; an error of it becomes the reason why it is missing."""
        tell(name)
        clock = Clock()
        try:
            yield
        except ReluOptError as error:
            self.missing[name] = error.message
        self.seconds[name] = clock.elapsed


def gather(
    model: Model,
    table: Table,
    target: str | None = None,
    points: int = POINTS,
    time_limit: float | None = PATH_SECONDS,
    eps: float | None = None,
    rows: int = 8,
    files: Mapping[str, str | os.PathLike[str]] | None = None,
    tell: Callable[[str], None] = lambda stage: None,
) -> Evidence:
    """Certify, describe, prune, differentiate and follow a model.

    Parameters
    ----------
    model : Model
    table : Table
        What it was trained on.
    target : str, optional
        The column of the targets; the training target's name by default.
    points : int
        Points of the regularisation path; 0 for none.
    time_limit : float, optional
        Seconds for the path, which then ends where it is.
    eps : float, optional
        Also the predictions of all networks within this share of the optimal objective.
    rows : int
        At how many rows, from the first.
    files : mapping of str to path, optional
        Files whose names and SHA-256 are to be told.
    tell : callable
        Called with the name of each part as it begins.

    Returns
    -------
    Evidence
        A part that fails says why in `missing`; only what the page cannot do without is an error.

    Raises
    ------
    DataError
        If model and data do not fit together.
    """
    as_count(points, "points", least=0)
    clock = Clock()
    tell("certificate")
    found = _certified(model, table, target, eps)
    program, certificate = found.program, found.certificate
    found.seconds["certificate"] = clock.elapsed
    found.files |= {key: (str(file), sha256(file)) for key, file in (files or {}).items()}
    solution: Solution | None = None
    with found.part("all optimal networks", tell):
        solution = model.optimum(table, target)
        found.all_optimal = describe(solution, model, eps, program.X[:rows])
    with found.part("pruning", tell):
        if len(certificate.network):
            found.pruning = prune_certified(program, certificate, "optimal", 0)
        else:
            found.missing["pruning"] = "The network has no neurons."
    if solution is not None:
        found.standing = standing(model, program, solution.lower_bound)
        with found.part("sensitivity", tell):
            found.moves = sensitivity(solution)
    else:
        found.missing["sensitivity"] = found.missing["all optimal networks"]
    if points:
        with found.part("path", tell):
            found.path = solution_path(program, lam_grid(program, points), time_limit=time_limit)
    else:
        found.missing["path"] = "It was not asked for."
    return found


def _certified(model: Model, table: Table, target: str | None, eps: float | None) -> Evidence:
    """What the page cannot do without: certificate, re-check, errors, and the drift of the data."""
    program = model.program(table, target)
    nu = model.nu if model.nu is not None and len(model.nu) == program.n else None
    certificate = certify(program, model.network, nu=nu, tol=load_settings().tol)
    name = table.resolve(target or model.preprocessing.target)
    return Evidence(
        model,
        table,
        name,
        program,
        certificate,
        verify(certificate, program.X, program.y),
        model.errors(table, name),
        model.preprocessing.drift(table, name),
        standing(model, program, certificate.lower_bound),
        eps=eps,
    )


def describe(solution: Solution, model: Model, eps: float | None, X: FloatArray) -> SetFacts:
    """The optimal set of a solution, and where the model's network is."""
    found = optimal_set(solution)
    near = None if eps is None else found.near_optimal(eps * solution.objective)
    return SetFacts(
        solution,
        found,
        found.neuron_ranges(),
        found.narrowest(NARROWEST_SECONDS),
        found.contains(model.network, CLOSE),
        None if near is None else near.prediction_range(X),
    )


def lam_grid(program: ConvexProgram, points: int) -> FloatArray:
    """λ from λ_max to a third of the program's own, which is among them, evenly in log λ."""
    top = program.lam_max or program.lam
    low = min(program.lam, top) / BELOW
    return np.unique(np.append(np.geomspace(low, top, max(points - 1, 1)), program.lam))


def sha256(file: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with Path(file).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
