"""`solve`: hand a program to a backend, check what comes back, and prove it."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from typing import Any

import numpy as np

from relu_opt.arrays import FloatArray, as_tolerance
from relu_opt.clock import Clock
from relu_opt.errors import ContractViolation, DataError, SolveFailed
from relu_opt.io import complete, need, read_npz, write_npz
from relu_opt.plugins.dispatch import Request, can_start, make_request, with_progress, with_start
from relu_opt.plugins.manager import registry
from relu_opt.plugins.options import as_options
from relu_opt.plugins.types import BackendInfo, RawSolution, StopReason
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.multipliers import ConeMultipliers
from relu_opt.program.network import (
    ReLUNetwork,
    canonical_network,
    weights_from_network,
)
from relu_opt.program.units import Units
from relu_opt.proof.answer import Answer
from relu_opt.proof.certificate import NetworkCertificate
from relu_opt.solving.certify import certify
from relu_opt.solving.run import run

# A backend's blocks are moved onto their cones when they are off by more than this (relative
# to the norms of row and block). A backend that says it converged is refused when that moves
# the objective by more than this; one that stopped early is not.
REPAIR_ABOVE = 1e-12
REPAIR_LIMIT = 1e-3
# Blocks that leave their cones by less are as good as doubles make them: where cones are thin, that
# may change the objective, and the certificate says what is left.
THIN = 1e-8
SELF_CHECK = 1e-9
# Entries of rows and patterns from which on the time of a proof counts; the patterns that one pass
# over the data is timed for, and how many passes a proof takes.
PROOF_COUNTS, PROOF_SAMPLE, PROOF_PASSES = 1e8, 8, 3.0


@dataclass(frozen=True, eq=False)
class Solution(Answer):
    """A trained network with its proof.

    Attributes
    ----------
    program : ConvexProgram
        What was solved.
    weights : array of `program.weights_shape`
        Blocks w_b in their cones; [0] sign +1, [1] sign −1.
    network : ReLUNetwork
        The same answer as a network.
    nu : (n,) array
        Feasible dual point of the certificate.
    certificate : NetworkCertificate
        Computed by the core from the program and the vectors, never by the backend.
    stop : StopReason
        Why the backend stopped; `stop.advice` says what may be done.
    backend : str
        Which backend solved.
    stats : mapping
        Seed, options, versions, timings and what the backend reports (JSON values).
    """

    program: ConvexProgram
    weights: FloatArray
    network: ReLUNetwork
    nu: FloatArray
    certificate: NetworkCertificate
    stop: StopReason
    backend: str
    stats: Mapping[str, Any]

    def __repr__(self) -> str:
        return (
            f"Solution({self.certificate.verdict.value}, objective={self.objective:.12g}, "
            f"rel_gap={self.rel_gap:.2e}, neurons={len(self.network)}, "
            f"backend={self.backend!r}, stop={self.stop.value!r})"
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write blocks, certificate and statistics to an npz file (no pickle, no data)."""
        meta = {
            **self.certificate.meta(),
            "stop": self.stop.name,
            "backend": self.backend,
            "stats": dict(self.stats),
        }
        arrays = {**self.certificate.to_arrays(), "weights": self.weights}
        write_npz(path, "solution", arrays, meta)

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], program: ConvexProgram, tol: float | None = None
    ) -> Solution:
        """Read what `save` wrote; the program is needed again, and the proof is made anew.

        Parameters
        ----------
        path : path
        program : ConvexProgram
            What was solved.
        tol : float, optional
            The relative gap to certify; that of the file by default.

        Raises
        ------
        DataError
            If the file is damaged, or its blocks do not fit the program.
        """
        arrays, meta = read_npz(path, "solution")
        tol = None if tol is None else as_tolerance(tol, "tol")
        with complete(path, "solution"):
            stop, backend = StopReason[meta["stop"]], str(meta["backend"])
            stats = dict(meta["stats"])
            tol = as_tolerance(meta["tol"], "tol") if tol is None else tol
            weights = program.check_weights(need(arrays, "weights", "f", 3))
            nu = need(arrays, "nu", "f", 1)
        certificate = certify(program, weights, nu, tol=tol)
        return cls(
            program,
            weights,
            certificate.network,
            certificate.nu,
            certificate,
            stop,
            backend,
            stats,
        )


def solve(
    prog: ConvexProgram,
    backend: str = "auto",
    tol: float | None = None,
    time_limit: float | None = None,
    warm_start: Solution | ReLUNetwork | FloatArray | None = None,
    options: Mapping[str, object] | None = None,
    executor: object = None,
) -> Solution:
    """Train a network to a proved global optimum of its convex program.

    Parameters
    ----------
    prog : ConvexProgram
        The training problem.
    backend : str
        A backend's name, or `auto`: the environment's or config file's choice if there is
        one, else the first of `routes.AUTO_ORDER` that is ready and capable.
    tol : float, optional
        Relative duality gap to reach; 1e−8 unless the settings say otherwise.
    time_limit : float, optional
        Seconds; then the best answer so far comes back with its gap.
    warm_start : Solution, ReLUNetwork or array, optional
        Where to start from.
    options : mapping, optional
        `threads`, `seed`, `verbose`, and the backend's own options.
    executor : int, str, distributed.Client, concurrent.futures.Executor or Executor, optional
        Where to spread the patterns over: processes of this machine, or a Dask cluster (its client,
        or the address of its scheduler). The backend then solves over the patterns that matter,
        and the workers look for these. The answer does not depend on how many workers there are.

    Returns
    -------
    Solution
        Also when a limit stopped the backend: look at `certificate.verdict`.

    Raises
    ------
    SolveFailed, ContractViolation
        If the backend returned no usable answer.
    OptionError, ConfigError, UnknownBackend, BackendUnavailable, UnsupportedProgram,
    PluginLoadError, PluginConflict
        If the request cannot be met.
    """
    clock = Clock()
    if not isinstance(prog, ConvexProgram):
        raise DataError(
            f"prog is a {type(prog).__name__}, and a ConvexProgram is needed. For linear, "
            "quadratic and conic programs use solve_program."
        )
    # Backends see data of size one, whatever the user's units are.
    own, units = prog.canonical, prog.units
    request = make_request(own, backend, tol, time_limit, as_options(options))
    request = with_start(request, _warm_weights(prog, warm_start), _warm_proof(prog, warm_start))
    info, chosen = request.info, request.options
    left = clock.limited(chosen.time_limit).before(proof_seconds(own)).remaining
    request = replace(request, options=replace(chosen, time_limit=left))
    ready = clock.elapsed
    if executor is None:
        raw = run(request, own, units)
    else:
        raw = _run_in_shards(request, own, units, as_options(options), executor)
    if raw.objective is not None:
        raw = replace(raw, objective=units.objective(raw.objective))
    solved = clock.elapsed

    blocks, moved = _usable_weights(info, own, raw)
    weights = units.weights(blocks)
    if not np.isfinite(weights).all():
        raise DataError(
            f"The network's weights leave double precision: y of size 2^{units.y} asks of X of "
            f"size 2^{units.x} for weights near 2^{units.y - units.x}. Rescale X or y."
        )
    # Without the backend's dual point, its gradient's: weak where the loss has kinks, but no solve.
    fits = prog.fits(weights)
    nu = prog.dual_candidate(fits) if raw.duals is None else units.duals(raw.duals)
    multipliers = _users_multipliers(raw.multipliers, units)
    certificate = certify(prog, weights, nu, "program", chosen.tol, multipliers)
    _self_check(info, units, _promised(own, blocks), certificate.objective)
    loading = _loading(raw, solved - ready)
    seconds = {
        "build": ready,
        "load": loading,
        "solve": solved - ready - loading,
        "certify": clock.elapsed - solved,
    }
    solution = Solution(
        prog,
        weights,
        certificate.network,
        certificate.nu,
        certificate,
        raw.stop.beside(certificate.verdict, certificate.rel_gap),
        info.name,
        {"seconds": seconds, "moved_onto_cones": moved, **provenance(request, raw)},
    )
    registry().notify("relu_opt_solved", program=prog, solution=solution)
    return solution


def proof_seconds(prog: ConvexProgram) -> float:
    """About what the certificate of an answer will take here and now: by a part of it, timed."""
    few = min(len(prog.patterns), PROOF_SAMPLE)
    if prog.X.size * len(prog.patterns) < PROOF_COUNTS:
        return 0.0
    part, clock = prog.with_patterns(prog.patterns.select(np.arange(few))), Clock()
    part.correlations(np.ones(prog.n))
    return PROOF_PASSES * clock.elapsed * len(prog.patterns) / few


def _run_in_shards(
    request: Request,
    prog: ConvexProgram,
    units: Units,
    given: dict[str, object],
    executor: object,
) -> RawSolution:
    from relu_opt.solving.shards.executors import opened
    from relu_opt.solving.shards.training import Master, Shards, train_in_shards

    name = request.info.name
    warm = can_start(prog, name)

    def solver(
        part: ConvexProgram, tol: float, limit: float | None, start: FloatArray | None
    ) -> Master:
        found = solve(part, name, tol, limit, start if warm else None, given)
        return Master(found.weights, found.nu, found.objective, found.stop)

    options = with_progress(request.options, units)
    if isinstance(executor, Shards) and executor.fits(prog):
        return train_in_shards(prog, options, executor, solver)
    with opened(executor) as chosen:
        return train_in_shards(prog, options, Shards(prog, chosen), solver)


def _loading(raw: RawSolution, most: float) -> float:
    """The part of the backend's time that it says went to importing and compiling."""
    said = raw.stats.get("load_seconds", 0.0)
    return min(said, most) if isinstance(said, float) and said >= 0 else 0.0


def provenance(request: Request, raw: RawSolution) -> dict[str, Any]:
    """What every result records of how it was made: options, seed, versions, the backend's word."""
    return {
        "raw_status": raw.raw_status,
        "claimed_objective": raw.objective,
        "route": request.route.value,
        "options": {name: request.given[name] for name in sorted(request.given)},
        "seed": request.options.seed,
        "tol": request.options.tol,
        "versions": _versions(),
        "backend_stats": dict(raw.stats),
    }


def _versions() -> dict[str, str]:
    packages = ("relu-opt", "numpy", "scipy")
    return {"python": platform.python_version(), **{name: _version(name) for name in packages}}


@cache
def _version(package: str) -> str:
    return version(package)


def _warm_weights(
    prog: ConvexProgram, start: Solution | ReLUNetwork | FloatArray | None
) -> FloatArray | None:
    """The start's blocks in the program's own units, in their cones."""
    if start is None:
        return None
    own, units = prog.canonical, prog.units
    if isinstance(start, ReLUNetwork):
        return weights_from_network(own, canonical_network(start, units))
    given = prog.check_weights(start.weights if isinstance(start, Solution) else start)
    weights = units.in_weights(given)
    return weights if own.cone_violation(weights) <= REPAIR_ABOVE else _onto_cones(own, weights)


def _warm_proof(
    prog: ConvexProgram, start: Solution | ReLUNetwork | FloatArray | None
) -> ConeMultipliers | None:
    """The multipliers of an earlier solution, which bound g_b(ν) for every ν of the same cones."""
    if not isinstance(start, Solution):
        return None
    before = start.program
    same = before.patterns is prog.patterns and np.array_equal(before.X, prog.X)
    if not same or prog.activation.gated or prog.activation != before.activation:
        return None
    known = start.certificate.multipliers
    return replace(known, values=before.units.in_duals(known.values))


def _users_multipliers(known: object, units: Units) -> ConeMultipliers | None:
    """A backend's multipliers in the user's units; None if it has none of the right form."""
    if not isinstance(known, ConeMultipliers):
        return None
    if not isinstance(known.values, np.ndarray) or known.values.dtype.kind != "f":
        return None
    return replace(known, values=units.duals(known.values))


def _usable_weights(
    info: BackendInfo, prog: ConvexProgram, raw: RawSolution
) -> tuple[FloatArray, float]:
    """The backend's blocks, moved onto their cones; and how far off they were."""
    if raw.x is None:
        raise SolveFailed(
            f"Backend {info.name!r} returned no answer: {raw.stop.value} "
            f"({raw.raw_status or 'no status'}). {raw.stop.advice}",
            backend=info.name,
            stop=raw.stop,
            raw_status=raw.raw_status,
        )
    weights = raw.x
    violation = prog.cone_violation(weights)
    if violation <= REPAIR_ABOVE:
        return weights, violation
    repaired = _onto_cones(prog, weights)
    before = prog.objective(weights, prog.best_intercept(prog.fits(weights)))
    after = prog.objective(repaired, prog.best_intercept(prog.fits(repaired)))
    moved = abs(after - before) > REPAIR_LIMIT * abs(after)
    if raw.stop.converged and violation > THIN and moved:
        raise ContractViolation(
            f"Backend {info.name!r} returned blocks that leave their cones by {violation:.1e}; "
            f"moving them back changes the objective from {before:.9g} to {after:.9g}. Tighten "
            "the backend's tolerance, or use backend='native'.",
            backend=info.name,
            cone_violation=violation,
            before=before,
            after=after,
        )
    return repaired, violation


def _onto_cones(prog: ConvexProgram, weights: FloatArray) -> FloatArray:
    sign, which = np.nonzero(weights.any(axis=2))
    repaired = np.zeros_like(weights)
    for s in (0, 1):
        chosen = which[sign == s]
        # Both signs share the cones; sign +1 keeps the targets as they are.
        repaired[s, chosen] = prog.project(weights[s], chosen).points
    return repaired


def _promised(own: ConvexProgram, blocks: FloatArray) -> float:
    """The objective of blocks as neurons, φ(Xw): in a thin cone D_iXw is another number."""
    fits = own.fits(blocks)
    if not own.activation.gated:
        sign, which = np.nonzero(blocks.any(axis=2))
        hidden = own.activation.apply(own.X @ blocks[sign, which].T)
        fits = hidden @ np.asarray(own.signs)[sign]
    norms = float(np.linalg.norm(blocks, axis=2).sum())
    return own.mean_loss(fits + own.best_intercept(fits)) + own.lam * norms


def _self_check(info: BackendInfo, units: Units, found: float, actual: float) -> None:
    """Compare the program's objective with the network's, which was evaluated on the raw data."""
    promised = units.objective(found)
    if abs(actual - promised) > SELF_CHECK * max(units.objective(1e-12), abs(actual)):
        raise ContractViolation(
            f"The network has objective {actual:.12g} on the raw data, and the program's blocks "
            f"from backend {info.name!r} have {promised:.12g}. The network is not the model that "
            "was optimised; please report this.",
            backend=info.name,
            network=actual,
            program=promised,
        )
