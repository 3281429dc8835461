"""True answers of all kinds, each with the networks that are known to be good.

An honest answer is itself a trial: what the library certifies is judged before it is spoiled. Here
are networks of one output on ordinary data; `truths_other` has several outputs and splines, and
`truths_mapped` strange units, nearly parallel rows and far targets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import relu_opt as ro
from relu_opt.errors import ReluOptError

from .answers import Answer
from .data import Matrix, Rng, features, targets, weights
from .exact import Network
from .judge import Known
from .second import best_found, nudged

LOSSES = ("squared", "huber", "logistic", "squared_hinge", "hinge")
TOLS = (1e-3, 1e-6, 1e-8, 1e-8)


@dataclass(frozen=True, eq=False)
class Truth:
    """An answer of the library with its proof, and networks of its problem.

    Attributes
    ----------
    certificate : object
        The library's own, with its verdict.
    answer : Answer
        The same as the contents of a file.
    known : tuple
        Networks, some near the optimum.
    """

    certificate: Any
    answer: Answer
    known: tuple[Known, ...]


Maker = Callable[[Rng], Truth]
TRUTHS: dict[str, Maker] = {}


def truth(name: str) -> Callable[[Maker], Maker]:
    """Register a kind of true answer."""

    def register(maker: Maker) -> Maker:
        TRUTHS[name] = maker
        return maker

    return register


def as_known(network: Any) -> Network:
    """The weights of a network of the library."""
    return Network(network.hidden, network.output, np.float64(network.intercept), network.gates)


def zero(d: int, constant: float = 0.0) -> Network:
    """The network without neurons."""
    return Network(np.zeros((0, d)), np.zeros(0), np.float64(constant))


# -- networks of one output ----------------------------------------------------


def program(rng: Rng, loss: str, activation: str, scope: str) -> Any:
    """A small training program; with the scope of all networks, over all patterns."""
    d = int(rng.integers(1, 3 if scope == "all" else 4))
    n = int(rng.integers(max(3, d), 10 if d < 3 else 8))
    X, y = features(rng, n, d), targets(rng, n, loss)
    if scope == "all":
        patterns = ro.enumerate_patterns(X)
    else:
        patterns = ro.sample_patterns(X, int(rng.integers(1, 7)), seed=int(rng.integers(99)))
    chosen: Any = ro.losses.Huber(float(rng.choice([0.1, 1.0]))) if loss == "huber" else loss
    free = bool(rng.random() < 0.4)
    prog = ro.ConvexProgram(X, y, 1.0, patterns, chosen, activation, weights(rng, n), free)
    return prog.with_lam(float(10 ** rng.uniform(-2.5, -0.1) * prog.lam_max) or 0.1)


def into_cones(network: Network, patterns: Any, X: Matrix) -> Network:
    """The network with each neuron moved into a pattern's cone where rounding left it outside."""
    if network.gates is not None or patterns.gates is None or not len(network.hidden):
        return network
    masks = patterns.masks.T.astype(float)
    lengths = np.linalg.norm(X, axis=1)
    slack = (2 * masks[None] - 1) * (network.hidden @ X.T / np.where(lengths, lengths, 1))[:, None]
    place = slack.min(axis=2).argmax(axis=1)
    pairs = zip(network.hidden, place, strict=True)
    moved = [nudged(u, masks[k], patterns.gates[:, k], X) for u, k in pairs]
    return replace(network, hidden=np.array(moved))


def solved(rng: Rng, prog: Any, scope: str) -> tuple[Any, Network]:
    """The library's certificate of a program's solution, and the network inside its cones."""
    solution = ro.solve(prog, tol=1e-9)
    proof = ro.certify(prog, solution, scope=scope, tol=float(rng.choice(TOLS)))
    return proof, into_cones(as_known(solution.network), prog.patterns, prog.X)


def of_program(rng: Rng, loss: str, activation: str, scope: str) -> Truth:
    """A solved program, and what another solver finds."""
    prog = program(rng, loss, activation, scope)
    proof, network = solved(rng, prog, scope)
    answer = Answer.of(proof, prog.X, prog.y)
    other = best_found(answer, rng)
    known = (network, zero(prog.d, float(network.constant)), *([other] if other else []))
    return Truth(proof, answer, known)


def _register_programs() -> None:
    for loss in LOSSES:
        for activation in ("relu", "gated"):
            for scope in ("program", "own", "all"):

                def make(
                    rng: Rng, which: tuple[str, str, str] = (loss, activation, scope)
                ) -> Truth:
                    return of_program(rng, *which)

                TRUTHS[f"{activation}-{loss}-{scope}"] = make


_register_programs()


@truth("searched")
def searched(rng: Rng) -> Truth:
    """Training over all patterns, proved by a search."""
    loss = str(rng.choice(LOSSES))
    d = int(rng.integers(1, 4))
    X = features(rng, int(rng.integers(3, 10 if d < 3 else 6)), d)
    return trained(rng, X, targets(rng, len(X), loss), loss)


@truth("interpolant")
def interpolant(rng: Rng) -> Truth:
    """The least cost of an exact fit, proved by a certificate of training with a tiny λ."""
    d = int(rng.integers(1, 4))
    X = features(rng, max(2, d + int(rng.integers(0, 2))), d)
    y = targets(rng, len(X), "squared")
    found = ro.interpolation.minimum_norm_interpolant(X, y)
    answer = Answer.of(found.certificate, X, y)
    near = ro.train_globally(X, y, found.certificate.lam, tol=1e-9)
    return Truth(found.certificate, answer, (as_known(found.network), as_known(near.network)))


@truth("spike-free")
def spike_free(rng: Rng) -> Truth:
    """Rows at right angles need one pattern only."""
    loss = str(rng.choice(LOSSES))
    d = int(rng.integers(1, 4))
    rows = np.linalg.qr(rng.standard_normal((d, d)))[0] if rng.random() < 0.5 else np.eye(d)
    X = np.repeat(rows, 2, axis=0) * rng.uniform(0.5, 2, (2 * d, 1))
    return trained(rng, X, targets(rng, len(X), loss), loss)


def trained(rng: Rng, X: Matrix, y: Matrix, loss: str) -> Truth:
    """The answer of `train_globally`."""
    free = bool(rng.random() < 0.3)
    scale = ro.ConvexProgram(X, y, 1.0, ro.sample_patterns(X, 9), loss=loss).lam_max
    lam = float(10 ** rng.uniform(-2, -0.3) * scale) or 0.1
    tol = float(rng.choice([1e-3, 1e-6]))
    found = ro.train_globally(X, y, lam, tol=tol, loss=loss, intercept=free)
    answer = Answer.of(found.certificate, X, y)
    near = ro.train_globally(X, y, lam, tol=1e-9, loss=loss, intercept=free)
    network = as_known(near.network)
    other = best_found(answer, rng)
    known = (
        network,
        as_known(found.network),
        zero(X.shape[1], float(network.constant)),
        *([other] if other else []),
    )
    return Truth(found.certificate, answer, known)


def make(kind: str, seed: int) -> Truth | None:
    """The true answer of a kind and a seed; None where the library refuses the problem."""
    try:
        return TRUTHS[kind](np.random.default_rng([seed, *kind.encode()]))
    except ReluOptError:
        return None
