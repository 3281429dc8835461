r"""Certificates: a proof of how far an answer is from the optimum, whoever computed it.

The proof is a network (its objective is an upper bound), a dual point ν and cone multipliers
ρ ≥ 0. For every block, ‖X_bᵀν + (S_iX)ᵀρ_b‖ ≥ ‖P_K(X_bᵀν)‖, so where the left side is at most
λ the point ν is feasible and D(ν) is a lower bound. No projection and no solver is trusted.
`relu_opt.verify` re-checks a certificate from the file and the data alone.

Source: theory of Mishkin & Pilanci (ICML 2023), §3; the bound through ρ is Moreau's.
"""

from __future__ import annotations

import enum
import hashlib
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from relu_opt.arrays import FloatArray, IntArray, as_floats, as_positive
from relu_opt.errors import DataError
from relu_opt.io import need, read_npz, write_npz
from relu_opt.plugins.types import ConeMultipliers
from relu_opt.program.arrangement import enumerate_patterns
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.losses import Loss, make_loss
from relu_opt.program.network import (
    ReLUNetwork,
    locate_neurons,
    network_blocks,
    network_from_weights,
)
from relu_opt.program.patterns import Patterns, unique_rows

if TYPE_CHECKING:
    from relu_opt.solution import Solution

SCOPES = ("own", "program", "all")
# How far, relative to the norms of row and neuron, a neuron may leave its cone.
CONE_TOLERANCE = 1e-9
# How far a lower bound may lie above an upper bound, relative to it, by rounding.
CROSSING_TOLERANCE = 1e-9


class Verdict(enum.StrEnum):
    """What a certificate says."""

    CERTIFIED = "certified"
    NOT_CERTIFIED = "not_certified"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class KKTReport:
    """The optimality conditions, as numbers.

    Attributes
    ----------
    primal : float
        Objective of the network itself: an upper bound on the optimum.
    dual : float
        D(ν): a lower bound.
    gap, rel_gap : float
        primal − dual, and that over max(1e−12, |primal|).
    cone_violation : float
        Largest amount by which a neuron leaves its cone, relative to the row's and the
        neuron's norm.
    stationarity : float
        max over neurons of ‖λ w/‖w‖ − v‖/λ with v = X_bᵀν + (S_iX)ᵀρ_b, which is
        P_K(X_bᵀν) at the optimum.
    dual_infeasibility : float
        max(0, max_b ‖X_bᵀν + (S_iX)ᵀρ_b‖/λ − 1).
    complementarity : float
        max over neurons of |ρᵀS_iXw|.
    """

    primal: float
    dual: float
    gap: float
    rel_gap: float
    cone_violation: float
    stationarity: float
    dual_infeasibility: float
    complementarity: float


@dataclass(frozen=True, eq=False)
class Certificate:
    """A proof that a network is optimal up to a gap, with all that is needed to check it.

    Attributes
    ----------
    network : ReLUNetwork
        The network, balanced.
    nu : (n,) array
        Dual point.
    multipliers : ConeMultipliers
        ρ ≥ 0 of the blocks with ‖X_bᵀν‖ > λ.
    patterns : Patterns
        The patterns that the lower bound speaks of.
    lam, loss, activation, sample_weight, intercept
        The training problem; see `ConvexProgram`.
    scope : str
        `own` (the network's patterns: Clarke stationarity), `program` (the program's
        patterns), `all` (every pattern of the data: global optimality).
    tol : float
        The relative gap that the verdict is against.
    kkt : KKTReport
        The optimality conditions as numbers.
    verdict : Verdict
        `certified`, `not_certified` or `inconclusive`.
    reason : str
        Why, in one sentence.
    fingerprint : str
        SHA-256 of the data.
    """

    network: ReLUNetwork
    nu: FloatArray
    multipliers: ConeMultipliers
    patterns: Patterns
    lam: float
    loss: Loss
    activation: str
    sample_weight: FloatArray | None
    intercept: bool
    scope: str
    tol: float
    kkt: KKTReport
    verdict: Verdict
    reason: str
    fingerprint: str

    @property
    def primal(self) -> float:
        """Upper bound on the optimum: the network's objective."""
        return self.kkt.primal

    @property
    def dual(self) -> float:
        """Lower bound on the optimum."""
        return self.kkt.dual

    @property
    def rel_gap(self) -> float:
        """(primal − dual)/max(1e−12, |primal|)."""
        return self.kkt.rel_gap

    def __repr__(self) -> str:
        return (
            f"Certificate({self.verdict.value}, scope={self.scope!r}, "
            f"primal={self.primal:.12g}, rel_gap={self.rel_gap:.2e})"
        )

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The proof's arrays by name, as they stand in a file."""
        arrays: dict[str, np.ndarray | None] = {
            **self.network.to_arrays(),
            "nu": self.nu,
            "patterns": self.patterns.packed,
            "pattern_gates": self.patterns.gates,
            "rho_blocks": self.multipliers.blocks.astype(np.int64),
            "rho_starts": self.multipliers.starts.astype(np.int64),
            "rho_rows": self.multipliers.rows.astype(np.int64),
            "rho_values": self.multipliers.values,
            "sample_weight": self.sample_weight,
        }
        return {name: array for name, array in arrays.items() if array is not None}

    def meta(self) -> dict[str, Any]:
        """The claims, as they stand in a file."""
        return {
            "lam": self.lam,
            "loss": self.loss.name,
            "loss_parameters": self.loss.parameters,
            "activation": self.activation,
            "intercept": self.intercept,
            "scope": self.scope,
            "tol": self.tol,
            "verdict": self.verdict.value,
            "reason": self.reason,
            "complete": self.patterns.complete,
            "fingerprint": self.fingerprint,
            **asdict(self.kkt),
        }

    def save(self, path: str | os.PathLike[str], extra: Mapping[str, Any] | None = None) -> None:
        """Write the certificate to an npz file (no pickle).

        Parameters
        ----------
        path : path
            Where to; an earlier file survives a failure.
        extra : mapping, optional
            More JSON values for the file's description, such as how the data were prepared.
        """
        write_npz(path, "certificate", self.to_arrays(), {**(extra or {}), **self.meta()})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Certificate:
        """Read what `save` wrote. The claims are read, not checked: that is `verify`'s work."""
        arrays, meta = read_npz(path, "certificate")
        nu = need(arrays, "nu", "f", 1)
        multipliers = ConeMultipliers(
            need(arrays, "rho_blocks", "i", 1),
            need(arrays, "rho_starts", "i", 1),
            need(arrays, "rho_rows", "i", 1),
            need(arrays, "rho_values", "f", 1),
        )
        weight = need(arrays, "sample_weight", "f", 1) if "sample_weight" in arrays else None
        try:
            return cls(
                ReLUNetwork.from_arrays(arrays),
                nu,
                multipliers,
                Patterns.from_packed(
                    need(arrays, "patterns", "u", 2),
                    len(nu),
                    arrays.get("pattern_gates"),
                    complete=meta["complete"],
                ),
                float(meta["lam"]),
                make_loss(meta["loss"], meta["loss_parameters"]),
                str(meta["activation"]),
                weight,
                bool(meta["intercept"]),
                str(meta["scope"]),
                float(meta["tol"]),
                KKTReport(**{f.name: float(meta[f.name]) for f in fields(KKTReport)}),
                Verdict(meta["verdict"]),
                str(meta["reason"]),
                str(meta["fingerprint"]),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(
                f"{path} is not a complete certificate ({error!r}). Write it anew.",
                path=str(path),
            ) from error


def fingerprint(X: FloatArray, y: FloatArray) -> str:
    """SHA-256 of shape, X and y, as float64 in C order."""
    digest = hashlib.sha256(f"{X.shape[0]},{X.shape[1]};".encode())
    digest.update(np.ascontiguousarray(X, dtype=np.float64).data)
    digest.update(np.ascontiguousarray(y, dtype=np.float64).data)
    return digest.hexdigest()


def certify(
    prog: ConvexProgram,
    answer: Solution | ReLUNetwork | FloatArray,
    nu: FloatArray | None = None,
    scope: str = "program",
    tol: float = 1e-8,
    multipliers: ConeMultipliers | None = None,
) -> Certificate:
    """Prove how far an answer is from the optimum.

    Parameters
    ----------
    prog : ConvexProgram
        The training problem.
    answer : Solution, ReLUNetwork or array of `prog.weights_shape`
        Any answer to it, also a network that was trained elsewhere: it is balanced first,
        which never raises its objective.
    nu : (n,) array, optional
        A dual point; without it ν = −∇F at the answer is used, and also when `nu` comes
        without multipliers and proves less. It is scaled until it is feasible.
    scope : {"own", "program", "all"}
        Whose optimality to prove. `all` enumerates the patterns of X unless the program's
        are complete.
    tol : float
        The relative gap to certify.
    multipliers : ConeMultipliers, optional
        Cone multipliers that go with `nu`; missing ones are found by projection.

    Returns
    -------
    Certificate
        Never raises for a bad answer of the right shape: the verdict says so.

    Raises
    ------
    DataError
        If the answer does not fit the program, or all patterns cannot be enumerated.
    """
    if not isinstance(prog, ConvexProgram):
        raise DataError(f"prog is a {type(prog).__name__}, and a ConvexProgram is needed.")
    if scope not in SCOPES:
        raise DataError(f"Unknown scope {scope!r}. Use one of {', '.join(SCOPES)}.", scope=scope)
    tol = as_positive(tol, "tol")
    network, hint = _read_answer(prog, answer)
    prog = _in_scope(prog, network, scope)
    nu = hint if nu is None else as_floats(nu, "nu", 1)
    if nu is not None and len(nu) != prog.n:
        raise DataError(f"nu has {len(nu)} values, and the data have {prog.n} rows.")

    primal = network.objective(prog.X, prog.y, prog.lam, prog.loss, prog.sample_weight)
    bounds = [] if nu is None else [_lower_bound(prog, nu, multipliers)]
    proved = bool(bounds) and primal - bounds[0].value <= tol * max(1e-12, abs(primal))
    if not proved and (not bounds or multipliers is None):
        hidden = network.predict(prog.X) - network.intercept
        bounds.append(_lower_bound(prog, prog.dual_candidate(hidden), None))
    bound = max(bounds, key=lambda each: each.value)

    place = locate_neurons(prog, network, CONE_TOLERANCE)
    kkt = _report(prog, network, place, bound, primal)
    verdict, reason = _judge(kkt, place, scope, tol)
    return Certificate(
        network,
        bound.nu,
        bound.multipliers,
        prog.patterns,
        prog.lam,
        prog.loss,
        prog.activation,
        prog.sample_weight,
        prog.intercept,
        scope,
        tol,
        kkt,
        verdict,
        reason,
        fingerprint(prog.X, prog.y),
    )


def _read_answer(
    prog: ConvexProgram, answer: Solution | ReLUNetwork | FloatArray
) -> tuple[ReLUNetwork, FloatArray | None]:
    """The balanced network of an answer, and the dual point that came with it."""
    nu: FloatArray | None = None
    if isinstance(answer, ReLUNetwork):
        network = answer
    elif isinstance(answer, np.ndarray | list):
        weights = prog.check_weights(answer)
        network = network_from_weights(prog, weights, prog.best_intercept(prog.fits(weights)))
    elif hasattr(answer, "network") and hasattr(answer, "nu"):
        network, nu = answer.network, answer.nu
    else:
        raise DataError(
            f"The answer is a {type(answer).__name__}. Pass a Solution, a ReLUNetwork, or weights "
            f"of shape {prog.weights_shape}."
        )
    if network.hidden.shape[1] != prog.d:
        raise DataError(
            f"The network takes {network.hidden.shape[1]} features and the data have {prog.d}.",
            network=network.hidden.shape[1],
            data=prog.d,
        )
    if (network.gates is not None) != (prog.activation == "gated") and len(network):
        raise DataError(
            f"The program is for {prog.activation} networks, and this network "
            f"{'has no' if network.gates is None else 'has'} gates."
        )
    if network.intercept and not prog.intercept:
        raise DataError(
            "The network has an output intercept, and the program has none. Pass "
            "intercept=True to ConvexProgram."
        )
    return network.balance(), nu


def _in_scope(prog: ConvexProgram, network: ReLUNetwork, scope: str) -> ConvexProgram:
    """The program over the patterns that the scope speaks of."""
    if scope == "own":
        if not len(network):
            raise DataError(
                "The network has no neurons, so it has no patterns of its own. Use scope='program'."
            )
        return prog.with_patterns(_own_patterns(prog, network))
    if scope == "all" and not prog.patterns.complete:
        return prog.with_patterns(enumerate_patterns(prog.X))
    return prog


def _own_patterns(prog: ConvexProgram, network: ReLUNetwork) -> Patterns:
    """A pattern for each neuron: the program's that holds it, else that of its signs.

    A neuron on the boundary between cones belongs to each of them, and rounding would choose
    one at random.
    """
    directions = network.hidden if network.gates is None else network.gates
    place = locate_neurons(prog, network, CONE_TOLERANCE)
    theirs = np.packbits(prog.X @ directions[place < 0].T >= 0, axis=0).T
    used = np.unique(place[place >= 0])
    packed = np.concatenate([prog.patterns.packed[used], np.ascontiguousarray(theirs)])
    gates = None
    if prog.patterns.gates is not None:
        gates = np.hstack([prog.patterns.gates[:, used], directions[place < 0].T])
    keep = unique_rows(packed)
    return Patterns.from_packed(packed[keep], prog.n, None if gates is None else gates[:, keep])


@dataclass(frozen=True)
class _Bound:
    nu: FloatArray
    multipliers: ConeMultipliers
    value: float
    largest: float

    def rho_of(self, prog: ConvexProgram, block: int) -> tuple[IntArray, FloatArray, FloatArray]:
        """Rows, multipliers and sides ±1 of a block; empty where it needs none."""
        known = self.multipliers
        k = int(np.searchsorted(known.blocks, block))
        if k == len(known.blocks) or known.blocks[k] != block:
            return np.empty(0, dtype=np.intp), np.empty(0), np.empty(0)
        part = slice(known.starts[k], known.starts[k + 1])
        rows = known.rows[part]
        return rows, known.values[part], _sides(prog, block, rows)


def _lower_bound(prog: ConvexProgram, nu: FloatArray, known: ConeMultipliers | None) -> _Bound:
    """Scale ν until it is feasible; find the multipliers that show it."""
    if abs(nu.sum()) > 1e-13 * np.abs(nu).sum():
        nu = prog.admissible(nu)
    common = prog.correlations(nu)
    norms = np.linalg.norm(common, axis=1)
    if prog.activation == "gated":
        multipliers, largest = _no_multipliers(), float(norms.max())
    else:
        multipliers, bounds = _cone_bounds(prog, common, norms, known)
        largest = max(float(norms[norms <= prog.lam].max(initial=0.0)), bounds)
    largest += _rounding(prog.n) * float(np.linalg.norm(np.abs(nu) @ np.abs(prog.X)))
    scale = prog.best_scale(nu, largest)
    nu = scale * nu
    value = prog.dual_objective(nu)
    return _Bound(
        nu,
        ConeMultipliers(
            multipliers.blocks, multipliers.starts, multipliers.rows, scale * multipliers.values
        ),
        value if math.isfinite(value) else -math.inf,
        scale * largest,
    )


def _rounding(n: int) -> float:
    """How wrong a computed norm ‖X_bᵀν‖ may be, relative to ‖|X|ᵀ|ν|‖: a sum of n products.

    The usual model of random rounding errors (Higham & Mary, SIAM J. Sci. Comput. 2019).
    """
    return 4 * float(np.finfo(np.float64).eps) * math.sqrt(n)


def _no_multipliers() -> ConeMultipliers:
    none = np.empty(0, dtype=np.intp)
    return ConeMultipliers(none, np.zeros(1, dtype=np.intp), none, np.empty(0))


def _cone_bounds(
    prog: ConvexProgram, common: FloatArray, norms: FloatArray, known: ConeMultipliers | None
) -> tuple[ConeMultipliers, float]:
    """Multipliers of every block with ‖X_bᵀν‖ > λ, and the largest bound that they give."""
    over = np.flatnonzero(norms > prog.lam)
    count = len(prog.patterns)
    pieces = _usable_multipliers(prog, common, over, known)
    missing = np.array(
        [b for b in np.concatenate([over, over + count]) if int(b) not in pieces], dtype=np.intp
    )
    step = max(1, 2**22 // prog.n)
    for start in range(0, len(missing), step):
        part = missing[start : start + step]
        found = prog.project(common, part)
        for k, b in enumerate(part):
            size = float(np.linalg.norm(found.points[k]))
            pieces[int(b)] = _piece(prog, found.rows[k], found.rho[k], size)
    blocks = np.array(sorted(pieces), dtype=np.intp)
    lengths = [len(pieces[b][0]) for b in blocks]
    rows = [pieces[b][0] for b in blocks]
    values = [pieces[b][1] for b in blocks]
    packed = ConeMultipliers(
        blocks,
        np.concatenate([[0], np.cumsum(lengths, dtype=np.intp)]).astype(np.intp),
        np.concatenate(rows).astype(np.intp) if rows else np.empty(0, dtype=np.intp),
        np.concatenate(values) if values else np.empty(0),
    )
    return packed, max((piece[2] for piece in pieces.values()), default=0.0)


def _piece(
    prog: ConvexProgram, rows: IntArray, rho: FloatArray, size: float
) -> tuple[IntArray, FloatArray, float]:
    """A block's multipliers and its bound, with what rounding may add to it."""
    error = _rounding(prog.n) * float(np.linalg.norm(rho @ np.abs(prog.X[rows])))
    return rows, rho, size + error


def _usable_multipliers(
    prog: ConvexProgram, common: FloatArray, over: IntArray, known: ConeMultipliers | None
) -> dict[int, tuple[IntArray, FloatArray, float]]:
    """Those of a backend's multipliers that are valid and prove what is needed."""
    if not isinstance(known, ConeMultipliers) or not _well_formed(prog, known):
        return {}
    count = len(prog.patterns)
    needed = np.zeros(2 * count, dtype=np.bool_)
    needed[over] = needed[over + count] = True
    usable: dict[int, tuple[IntArray, FloatArray, float]] = {}
    for k, b in enumerate(known.blocks):
        if not needed[b]:
            continue
        part = slice(known.starts[k], known.starts[k + 1])
        rows, rho = known.rows[part], known.values[part]
        sign, i = divmod(int(b), count)
        vector = common[i] if sign == 0 else -common[i]
        vector = vector + (rho * _sides(prog, int(b), rows)) @ prog.X[rows]
        size = float(np.linalg.norm(vector))
        if size <= prog.lam * (1 + 1e-9):
            usable[int(b)] = _piece(prog, rows, rho, size)
    return usable


def _sides(prog: ConvexProgram, block: int, rows: IntArray) -> FloatArray:
    """+1 where the block's pattern is active, −1 where it is not, at chosen samples."""
    packed = prog.patterns.packed[block % len(prog.patterns), rows >> 3]
    return np.where((packed >> (7 - (rows & 7))) & 1, 1.0, -1.0)


def _well_formed(prog: ConvexProgram, known: ConeMultipliers) -> bool:
    """Whether a backend's multipliers have the form that they should have."""
    integers = (known.blocks, known.starts, known.rows)
    for array in (*integers, known.values):
        if not isinstance(array, np.ndarray) or array.ndim != 1:
            return False
    if any(array.dtype.kind != "i" for array in integers) or known.values.dtype.kind != "f":
        return False
    starts, total = known.starts, len(known.values)
    return bool(
        len(starts) == len(known.blocks) + 1
        and len(known.rows) == total
        and starts[0] == 0
        and starts[-1] == total
        and (np.diff(starts) >= 0).all()
        and ((known.blocks >= 0) & (known.blocks < 2 * len(prog.patterns))).all()
        and ((known.rows >= 0) & (known.rows < prog.n)).all()
        and np.isfinite(known.values).all()
        and (known.values >= 0).all()
    )


def _report(
    prog: ConvexProgram, network: ReLUNetwork, place: IntArray, bound: _Bound, primal: float
) -> KKTReport:
    gap = primal - bound.value
    inside = np.flatnonzero(place >= 0)
    violation = stationarity = complementarity = 0.0
    if len(network) and not len(inside):
        violation = stationarity = complementarity = math.inf
    elif len(inside):
        blocks = network_blocks(network)[inside]
        signs = np.sign(network.output[inside])
        units = blocks / np.linalg.norm(blocks, axis=1, keepdims=True)
        common = prog.correlations(bound.nu, place[inside])
        points = signs[:, None] * common
        if prog.activation == "relu":
            masks = prog.patterns.unpack(place[inside])
            violation = float(prog.cone_rows.violation(blocks, masks).max())
            flat = np.where(signs > 0, 0, len(prog.patterns)) + place[inside]
            for k, b in enumerate(flat):
                rows, rho, sides = bound.rho_of(prog, int(b))
                points[k] += (rho * sides) @ prog.X[rows]
                slack = np.abs(prog.X[rows] @ blocks[k])
                complementarity = max(complementarity, float(rho @ slack))
        away = np.linalg.norm(prog.lam * units - points, axis=1)
        stationarity = float(away.max()) / prog.lam
    return KKTReport(
        primal=primal,
        dual=bound.value,
        gap=gap,
        rel_gap=gap / max(1e-12, abs(primal)),
        cone_violation=violation,
        stationarity=stationarity,
        dual_infeasibility=max(0.0, bound.largest / prog.lam - 1),
        complementarity=complementarity,
    )


def _judge(kkt: KKTReport, place: IntArray, scope: str, tol: float) -> tuple[Verdict, str]:
    against = {
        "own": "the network's own patterns",
        "program": "the program's patterns",
        "all": "all patterns of the data",
    }[scope]
    if not (math.isfinite(kkt.primal) and math.isfinite(kkt.dual)):
        return Verdict.NOT_CERTIFIED, "A bound is not finite."
    if (place < 0).any():
        outside = np.flatnonzero(place < 0)
        return Verdict.INCONCLUSIVE, (
            f"Neuron {outside[0]} ({len(outside)} in all) lies outside {against}, so the lower "
            "bound does not speak of this network. Add the neurons' patterns, or use "
            "scope 'own' or 'all'."
        )
    if kkt.rel_gap < -CROSSING_TOLERANCE:
        return Verdict.INCONCLUSIVE, (
            f"The lower bound lies above the network's objective by {-kkt.rel_gap:.1e}, which "
            "rounding does not explain."
        )
    if not kkt.rel_gap <= tol:
        return Verdict.NOT_CERTIFIED, (
            f"The relative gap {kkt.rel_gap:.2e} over {against} is above the tolerance {tol:.0e}."
        )
    return Verdict.CERTIFIED, (
        f"No network over {against} has an objective that is lower by more than a share of "
        f"{max(kkt.rel_gap, 0):.1e}."
    )
