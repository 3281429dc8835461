"""True answers of all kinds, each with the networks that are known to be good.

An honest answer is itself a trial: what the library certifies is judged before it is spoiled.
Answers in strange units and on nearly parallel rows are made from ordinary ones by a map of the
data, which maps the known networks too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np

import relu_opt as ro
from relu_opt.errors import ReluOptError

from .answers import Answer
from .data import LABELLED, Matrix, Rng, factor, features, map_of, targets, weights
from .exact import Network
from .judge import Known, Spline
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
    chosen: Any = ro.Huber(float(rng.choice([0.1, 1.0]))) if loss == "huber" else loss
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
    network = as_known(found.network)
    other = best_found(answer, rng)
    known = (network, zero(X.shape[1], float(network.constant)), *([other] if other else []))
    return Truth(found.certificate, answer, known)


# -- by a map of the data ------------------------------------------------------


@truth("units")
def units(rng: Rng) -> Truth:
    """X and y in other units, λ with them."""
    loss = str(rng.choice(LOSSES))
    first = of_program(rng, loss, "relu", str(rng.choice(["program", "all"])))
    across = factor(rng)
    up = 1.0 if loss in LABELLED else factor(rng)
    if loss == "huber":
        up = 1.0
    return mapped(rng, first, np.eye(first.answer.X.shape[1]) * across, up, 0.0, across * up)


@truth("nearly-parallel")
def nearly_parallel(rng: Rng) -> Truth:
    """Rows that a shear or a squeeze brings close to each other, and a smaller λ."""
    first = of_program(rng, str(rng.choice(LOSSES)), "relu", str(rng.choice(["program", "all"])))
    T = map_of(rng, first.answer.X.shape[1])
    return mapped(rng, first, T, 1.0, 0.0, 10.0 ** -rng.uniform(0, 7))


@truth("offset")
def offset(rng: Rng) -> Truth:
    """Targets far from zero, and a free constant."""
    while True:
        loss = str(rng.choice(["squared", "huber"]))
        first = of_program(rng, loss, "relu", str(rng.choice(["program", "all"])))
        if first.answer.claims["intercept"]:
            break
    away = float(rng.choice([-1, 1]) * 10 ** rng.uniform(2, 9))
    return mapped(rng, first, np.eye(first.answer.X.shape[1]), 1.0, away, 1.0)


def mapped(rng: Rng, first: Truth, T: Matrix, up: float, away: float, share: float) -> Truth:
    """The answer on X T and up·y + away with λ·share, and the known networks mapped with them."""
    old, proof = first.answer, first.certificate
    X, y = old.X @ T, up * old.y + away
    back, gates = np.linalg.inv(T), proof.patterns.gates
    moved = ro.Patterns(proof.patterns.masks, None if gates is None else back @ gates)
    lam = float(proof.lam * share)
    prog = ro.ConvexProgram(
        X, y, lam, moved, proof.loss, "relu", proof.sample_weight, proof.intercept
    )
    known = [through(each, back, up, away) for each in first.known if isinstance(each, Network)]
    if share < 0.1:
        for less in (1e-2, 1e-4):
            near = ro.ConvexProgram(
                old.X, old.y, proof.lam * less, proof.patterns, proof.loss, "relu",
                proof.sample_weight, proof.intercept,
            )  # fmt: skip
            found = into_cones(as_known(ro.solve(near, tol=1e-6).network), near.patterns, old.X)
            known.append(through(found, back, up, away))
    certificate = ro.certify(prog, ro.solve(prog), scope=proof.scope, tol=proof.tol)
    return Truth(certificate, Answer.of(certificate, X, y), tuple(known))


def through(network: Network, back: Matrix, up: float, away: float) -> Network:
    """The network that predicts up·f + away on mapped rows, its neurons balanced."""
    hidden, output = network.hidden @ back.T, network.output * up
    inner, outer = np.linalg.norm(hidden, axis=1), np.abs(output)
    kept = (inner > 0) & (outer > 0)
    root = np.sqrt(inner[kept]) * np.sqrt(outer[kept])
    return Network(
        hidden[kept] / inner[kept, None] * root[:, None],
        np.sign(output[kept]) * root,
        np.float64(up * network.constant + away),
    )


# -- several outputs and splines -----------------------------------------------


@truth("several-outputs")
def several_outputs(rng: Rng) -> Truth:
    """Two outputs, dense."""
    d = int(rng.integers(1, 3))
    X = features(rng, int(rng.integers(3, 6)), d)
    return _several(rng, X, None)


@truth("patches")
def patches(rng: Rng) -> Truth:
    """Several outputs over patches of the features."""
    return _several(rng, features(rng, 3, 3), np.array([[0, 1], [1, 2]]))


def _several(rng: Rng, X: Matrix, columns: Any) -> Truth:
    Y = rng.standard_normal((len(X), 2)) + 0.3
    pooling = None if columns is None or rng.random() < 0.5 else "average"
    free, tol = bool(rng.random() < 0.4), float(rng.choice([1e-2, 1e-4]))
    lam = float(10 ** rng.uniform(-2, -0.7)) * float(np.linalg.norm(X, 2) / len(X))
    found = ro.train_vector(X, Y, lam, patches=columns, pooling=pooling, intercept=free, tol=tol)
    answer = Answer.of(found.certificate, X, Y)
    network = Network.of(answer.arrays)
    none = replace(network, hidden=network.hidden[:0], output=network.output[:0])
    return Truth(found.certificate, answer, (network, none))


def _spline(rng: Rng, loss: str) -> Truth:
    n = int(rng.integers(3, 12))
    x = features(rng, n, 1)[:, 0]
    demanded = loss in ("interpolation", "hard_margin")
    if demanded:
        x = rng.permutation(np.arange(n) * rng.choice([1.0, 0.1])) + rng.normal()
    y = targets(rng, n, "hinge" if loss == "hard_margin" else loss)
    chosen: Any = ro.Huber(0.5) if loss == "huber" else loss
    lam = None if demanded else float(10 ** rng.uniform(-3, 0))
    weight = None if demanded else weights(rng, n)
    found = ro.fit_spline(x, y, lam, loss=chosen, sample_weight=weight, tol=1e-8)
    answer = Answer.of(found.certificate, x[:, None], y)
    return Truth(found.certificate, answer, (Spline.of(answer), *_exact_splines(answer)))


def _exact_splines(answer: Answer) -> tuple[Spline, ...]:
    """The polygon through the data where the fit is demanded, else the best constant of a few."""
    if answer.claims["loss"] in ("interpolation", "hard_margin"):
        return (polygon([Fraction(float(v)) for v in answer.X[:, 0]], answer.y),)
    spots = {0.0, float(answer.y.mean()), float(np.median(answer.y))}
    return tuple(Spline([], [], [], Fraction(spot)) for spot in sorted(spots))


def polygon(x: list[Fraction], y: Matrix) -> Spline:
    """The linear spline through all points, its first piece's slope shared by two ramps."""
    points = sorted(zip(x, map(Fraction, map(float, y)), strict=True))
    slopes = [(y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in pairwise(points)]
    turns = [after - before for before, after in pairwise(slopes)]
    start, height = points[0]
    # f = height + slope·(x − start)₊ from the left end on, and its turns at the points between.
    return Spline(
        [start, *(place for place, _ in points[1:-1])],
        [1] * (len(turns) + 1),
        [slopes[0], *turns],
        height,
    )


def _register_splines() -> None:
    for loss in (*LOSSES, "interpolation", "hard_margin"):
        TRUTHS[f"spline-{loss}"] = lambda rng, loss=loss: _spline(rng, loss)


_register_splines()


def make(kind: str, seed: int) -> Truth | None:
    """The true answer of a kind and a seed; None where the library refuses the problem."""
    try:
        return TRUTHS[kind](np.random.default_rng([seed, *kind.encode()]))
    except ReluOptError:
        return None
