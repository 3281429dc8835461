"""Spoiled certificates of leaky networks, counts and quantiles: none proves what is not so.

Whatever a file is made to say, `verify` may call an objective small only if the network has it, and
no bound may exceed the optimum of the problem that the file speaks of.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from targets import targets_of

import relu_opt as ro

KINDS = {
    "poisson": ("poisson", "relu"),
    "poisson-gated": ("poisson", "gated"),
    "quantile": (ro.losses.Quantile(0.3), "relu"),
    "leaky": ("squared", ro.Leaky(0.3)),
    "absolute": ("logistic", "absolute"),
    "negative": (ro.losses.Huber(0.4), ro.Leaky(-2.0)),
    "leaky-poisson": ("poisson", ro.Leaky(0.1)),
    "leaky-quantile": (ro.losses.Quantile(0.8), ro.Leaky(-0.5)),
}


class File:
    """What `verify` reads of a certificate."""

    def __init__(self, arrays, meta):
        self.arrays, self.said = dict(arrays), dict(meta)

    def to_arrays(self):
        return self.arrays

    def meta(self):
        return self.said


def problem(kind, rng):
    loss, activation = KINDS[kind]
    n, d = int(rng.integers(5, 10)), int(rng.integers(2, 4))
    X = rng.standard_normal((n, d))
    y = targets_of(loss, rng.standard_normal(n) + 0.4)
    if ro.program.losses.get_loss(loss).classifies:
        y[:2] = 1.0, -1.0
    weight = rng.uniform(0.3, 2.0, n) if rng.random() < 0.4 else None
    prog = ro.ConvexProgram(
        X, y, 1.0, ro.sample_patterns(X, 6, int(rng.integers(99))), loss, activation, weight,
        bool(rng.random() < 0.5),
    )  # fmt: skip
    return prog.with_lam(float(10 ** rng.uniform(-2, -0.3)) * (prog.lam_max or 1.0))


def spoiled(file, prog, rng):
    """The file with a lie, and the problem that it then speaks of."""
    arrays, said = file.arrays, file.said
    lie = rng.choice(["nu", "network", "lam", "bound", "rho", "verdict", "parameter", "sign"])
    if lie == "nu":
        arrays["nu"] = arrays["nu"] * rng.choice([1.001, 1.5, -1.0, 0.999])
        arrays["nu"] = arrays["nu"] + rng.choice([0.0, 1e-9, 1e-2]) * rng.standard_normal(prog.n)
    elif lie == "network":
        arrays["hidden"] = arrays["hidden"] * rng.choice([1.0001, 1.1, 0.5])
    elif lie == "lam":
        said["lam"] = said["lam"] * float(rng.choice([0.9, 1.1, 1 + 1e-6]))
        prog = prog.with_lam(said["lam"])
    elif lie == "bound":
        said["dual"] = said["primal"]
        said["rel_gap"] = 0.0
    elif lie == "rho" and len(arrays.get("rho_values", ())):
        arrays["rho_values"] = arrays["rho_values"] * float(rng.choice([0.0, 0.9, 2.0]))
    elif lie == "parameter" and "slope" in said:
        said["slope"] = said["slope"] * 0.8
        arrays["slope"] = np.array(said["slope"])
        prog = replace(prog, activation=ro.Leaky(said["slope"]))
    elif lie == "parameter" and said["loss_parameters"]:
        name = next(iter(said["loss_parameters"]))
        said["loss_parameters"] = {name: 0.9 * said["loss_parameters"][name]}
        prog = replace(prog, loss=type(prog.loss)(**said["loss_parameters"]))
    elif lie == "sign":
        arrays["output"] = -arrays["output"]
    said["verdict"] = "certified" if rng.random() < 0.5 else "not_certified"
    return prog


def objective(prog, arrays):
    hidden, output = arrays["hidden"], arrays["output"]
    network = ro.ReLUNetwork(
        hidden, output, float(arrays["intercept"]), arrays.get("gates"), prog.activation.slope
    )
    penalty = 0.5 * prog.lam * float((hidden**2).sum() + (output**2).sum())
    return prog.mean_loss(network.predict(prog.X)) + penalty


def one_lie(kind, rng, arithmetic):
    prog = problem(kind, rng)
    proof = ro.solve(prog, tol=1e-9).certificate
    file = File(proof.to_arrays(), proof.meta())
    prog = spoiled(file, prog, rng)
    best, own = ro.solve(prog, tol=1e-9).objective, objective(prog, file.arrays)
    found = ro.verify(file, prog.X, prog.y, arithmetic=arithmetic)
    if np.isfinite(found.objective):
        assert found.objective >= own * (1 - 1e-12)
        assert found.lower_bound <= best * (1 + 1e-12)
    if found.valid:
        assert own <= (1 + file.said["tol"]) * best * (1 + 1e-12)
    return found.valid


@pytest.mark.parametrize("kind", KINDS)
def test_no_lie_is_proved(kind):
    rng = np.random.default_rng(list(kind.encode()))
    for k in range(12):
        one_lie(kind, rng, ("float", "exact")[k % 2])


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_no_lie_of_many_is_proved(kind):
    rng = np.random.default_rng([7, *kind.encode()])
    for k in range(400):
        one_lie(kind, rng, ("float", "exact")[k % 2])
