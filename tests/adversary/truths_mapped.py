"""True answers in strange units, on nearly parallel rows, far from zero.

They are made from ordinary ones by a map of the data, which maps the known networks too.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

import relu_opt as ro

from .answers import Answer
from .data import LABELLED, Matrix, Rng, factor, map_of
from .exact import Network
from .judge import Known, Spline, own
from .truths import LOSSES, TRUTHS, Truth, as_known, into_cones, of_program, truth
from .truths_other import DEMANDS


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
    solution = ro.solve(prog)
    known.append(into_cones(as_known(solution.network), prog.patterns, X))
    certificate = ro.certify(prog, solution, scope=proof.scope, tol=proof.tol)
    return Truth(certificate, Answer.of(certificate, X, y), tuple(known))


def through(network: Network, back: Matrix, up: float, away: float) -> Network:
    """The network that predicts up·f + away on mapped rows, its neurons balanced."""
    hidden, output = network.hidden @ back.T, network.output * up
    flat = output.reshape(len(output), int(np.prod(output.shape[1:])))
    inner, outer = np.linalg.norm(hidden, axis=1), np.linalg.norm(flat, axis=1)
    kept = (inner > 0) & (outer > 0)
    root = np.sqrt(inner[kept]) * np.sqrt(outer[kept])
    shares = flat[kept] / outer[kept, None] * root[:, None]
    return Network(
        hidden[kept] / inner[kept, None] * root[:, None],
        shares.reshape(int(kept.sum()), *output.shape[1:]),
        np.asarray(up * network.constant + away),
    )


# -- trained anew --------------------------------------------------------------


@truth("units-trained")
def units_trained(rng: Rng) -> Truth:
    """Training over all patterns, several outputs and splines, in other units."""
    first, labelled = _plain(rng)
    return retrained(first, factor(rng), 1.0 if labelled else factor(rng), 0.0)


@truth("offset-trained")
def offset_trained(rng: Rng) -> Truth:
    """The same with targets far away, where a constant is free."""
    while True:
        first, labelled = _plain(rng)
        free = first.answer.claims.get("intercept", first.answer.claims.get("with_intercept", True))
        if free and not labelled:
            return retrained(first, 1.0, 1.0, float(10 ** rng.uniform(2, 9)))


@truth("nearly-parallel-trained")
def nearly_parallel_trained(rng: Rng) -> Truth:
    """Training over all patterns, and several outputs, on nearly parallel rows."""
    first = TRUTHS[str(rng.choice(["searched", "spike-free", "several-outputs"]))](rng)
    old = first.answer
    T = map_of(rng, old.X.shape[1])
    X, lam = old.X @ T, float(old.claims["lam"] * 10.0 ** -rng.uniform(0, 3))
    certificate = trained_on(first, X, old.y, lam)
    answer, back = Answer.of(certificate, X, old.y), np.linalg.inv(T)
    known = [through(each, back, 1.0, 0.0) for each in first.known if isinstance(each, Network)]
    return Truth(certificate, answer, (own(answer), *known))


def _plain(rng: Rng) -> tuple[Truth, bool]:
    kinds = ("searched", "spike-free", "several-outputs", *(f"spline-{loss}" for loss in LOSSES))
    first = TRUTHS[kinds[rng.integers(len(kinds))]](rng)
    # The parameter of the Huber loss would have to move with the units.
    labelled = first.answer.claims.get("loss") in (*LABELLED, *DEMANDS, "huber")
    return first, labelled


def retrained(first: Truth, across: float, up: float, away: float) -> Truth:
    """The library's answer on X·across, y·up + away, and the known networks moved there."""
    old = first.answer
    X, y = old.X * across, old.y * up + away
    certificate = trained_on(first, X, y, float(old.claims["lam"]) * across * up)
    answer = Answer.of(certificate, X, y)
    known = tuple(moved(each, across, up, away) for each in first.known)
    return Truth(certificate, answer, (own(answer), *known))


def trained_on(first: Truth, X: Matrix, y: Matrix, lam: float) -> Any:
    """The certificate of the first answer's problem on other data, with another λ."""
    proof, tol = first.certificate, float(first.answer.claims["tol"])
    if first.answer.problem == "spline":
        shares = first.answer.weights
        return ro.one_input.fit_spline(
            X[:, 0], y, lam, loss=proof.loss, sample_weight=shares, tol=tol
        ).certificate
    if first.answer.problem == "several_outputs":
        free = bool(first.answer.claims["with_intercept"])
        return ro.several_outputs.train_vector(X, y, lam, intercept=free, tol=tol).certificate
    return ro.train_globally(
        X, y, lam, tol=tol, loss=proof.loss, intercept=proof.intercept
    ).certificate


def moved(network: Known, across: float, up: float, away: float) -> Known:
    """The network that predicts up·f + away at rows times `across`."""
    if isinstance(network, Spline):
        wide, high = Fraction(across), Fraction(up)
        return Spline(
            [kink * wide for kink in network.kinks],
            network.sides,
            [w * high / wide for w in network.weights],
            network.constant * high + Fraction(away),
        )
    share = up**0.5 / across**0.5
    return Network(
        network.hidden * share, network.output * share, np.asarray(network.constant * up + away)
    )
