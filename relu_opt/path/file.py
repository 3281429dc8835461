"""Paths in files: the points' blocks and dual points, from which every proof is made anew."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from relu_opt.arrays import as_tolerance
from relu_opt.errors import DataError
from relu_opt.io import need
from relu_opt.path.point import PathPoint, full_weights
from relu_opt.plugins.types import StopReason
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.multipliers import ConeMultipliers
from relu_opt.program.network import network_from_weights
from relu_opt.proof.record import fingerprint
from relu_opt.solving.certify import certify
from relu_opt.solving.training import Solution


@dataclass(frozen=True)
class Promise:
    """What was asked of a path, and why it ended; see `SolutionPath`."""

    eps: float | None
    tol: float
    stop: StopReason


def contents(
    points: Sequence[PathPoint], promise: Promise
) -> tuple[dict[str, np.ndarray | None], dict[str, Any]]:
    """The arrays and the description of a file that holds points of one program."""
    prog, proofs = points[0].prog, [point.multipliers for point in points]
    arrays: dict[str, np.ndarray | None] = {
        "lams": np.array([point.lam for point in points]),
        "nus": np.array([point.nu for point in points]),
        "counts": np.array([len(point.blocks) for point in points], dtype=np.int64),
        "blocks": np.concatenate([point.blocks for point in points]).astype(np.int64),
        "vectors": np.concatenate([point.vectors for point in points]),
        "rho_counts": np.array([len(each.blocks) for each in proofs], dtype=np.int64),
        "rho_blocks": np.concatenate([each.blocks for each in proofs]).astype(np.int64),
        "rho_lengths": np.concatenate([np.diff(each.starts) for each in proofs]).astype(np.int64),
        "rho_rows": np.concatenate([each.rows for each in proofs]).astype(np.int64),
        "rho_values": np.concatenate([each.values for each in proofs]),
    }
    about = {
        "eps": promise.eps,
        "tol": promise.tol,
        "stop": promise.stop.name,
        "fingerprint": fingerprint(prog.X, prog.y),
        "points": [
            {"stop": point.stop.name, "backend": point.backend, "stats": dict(point.stats)}
            for point in points
        ],
    }
    return arrays, about


def from_contents(
    arrays: dict[str, np.ndarray],
    meta: Mapping[str, Any],
    path: str | os.PathLike[str],
    prog: ConvexProgram,
    tol: float | None = None,
) -> tuple[tuple[PathPoint, ...], Promise]:
    """What `contents` returned, as read from a file: the points, certified anew, and the promise.

    Raises
    ------
    DataError
        If the file is damaged or belongs to other data.
    """
    asked = None if tol is None else as_tolerance(tol, "tol")
    try:
        eps = None if meta["eps"] is None else as_tolerance(meta["eps"], "eps")
        said = as_tolerance(meta["tol"], "tol")
        promise = Promise(eps, said if asked is None else asked, StopReason[meta["stop"]])
        return _points(arrays, meta, prog, promise.tol), promise
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        why = error.message if isinstance(error, DataError) else repr(error)
        raise DataError(f"{path} is not a usable path: {why}", path=str(path)) from error


def _points(
    arrays: dict[str, np.ndarray], meta: Mapping[str, Any], prog: ConvexProgram, tol: float
) -> tuple[PathPoint, ...]:
    if meta["fingerprint"] != fingerprint(prog.X, prog.y):
        raise DataError("it belongs to other data. Pass the program that it was made from.")
    lams, nus = need(arrays, "lams", "f", 1), need(arrays, "nus", "f", 2)
    counts, blocks = need(arrays, "counts", "i", 1), need(arrays, "blocks", "i", 1)
    vectors, about = need(arrays, "vectors", "f", 2), meta["points"]
    total, most = int(counts.sum()), len(prog.signs) * len(prog.patterns)
    fits = (
        len(lams) == len(nus) == len(counts) == len(about) > 0
        and (counts >= 0).all()
        and len(blocks) == len(vectors) == total
        and nus.shape[1] == prog.n
        and vectors.shape[1] == prog.d
        and ((blocks >= 0) & (blocks < most)).all()
        and (np.diff(lams) < 0).all()
    )
    if not fits:
        raise DataError("its arrays do not fit together, or not the program. Write it anew.")
    points, ends, proofs = [], np.cumsum(counts), _multipliers(arrays, len(lams))
    columns = (lams, nus, ends, counts, proofs, about)
    for lam, nu, end, count, known, word in zip(*columns, strict=True):
        here, part = prog.with_lam(float(lam)), slice(int(end - count), int(end))
        weights = here.check_weights(full_weights(here, blocks[part], vectors[part]))
        network = network_from_weights(here, weights, here.best_intercept(here.fits(weights)))
        proof = certify(here, network, nu, "program", tol, known)
        stop, stats = StopReason[word["stop"]], dict(word["stats"])
        sol = Solution(here, weights, network, proof.nu, proof, stop, str(word["backend"]), stats)
        points.append(PathPoint.of(sol))
    return tuple(points)


def _multipliers(arrays: dict[str, np.ndarray], points: int) -> list[ConeMultipliers]:
    """The multipliers of each point; whether they prove anything is checked later."""
    counts, lengths = need(arrays, "rho_counts", "i", 1), need(arrays, "rho_lengths", "i", 1)
    blocks, rows = need(arrays, "rho_blocks", "i", 1), need(arrays, "rho_rows", "i", 1)
    values = need(arrays, "rho_values", "f", 1)
    fits = (
        len(counts) == points
        and (counts >= 0).all()
        and (lengths >= 0).all()
        and counts.sum() == len(blocks) == len(lengths)
        and lengths.sum() == len(rows) == len(values)
    )
    if not fits:
        raise DataError("its multipliers do not fit together. Write it anew.")
    ends, places = np.cumsum(counts), np.append(0, np.cumsum(lengths))
    result = []
    for end, count in zip(ends, counts, strict=True):
        mine = slice(int(end - count), int(end))
        starts = places[mine.start : mine.stop + 1]
        part = slice(int(starts[0]), int(starts[-1]))
        result.append(ConeMultipliers(blocks[mine], starts - starts[0], rows[part], values[part]))
    return result
