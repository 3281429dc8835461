"""Spoils of the claims, the network and the data; for networks of one output."""

from __future__ import annotations

import numpy as np

from .answers import Answer
from .data import LABELLED, Rng, factor
from .registry import spoil, tiny
from .spoil_proofs import projected

# -- what is claimed -----------------------------------------------------------


@spoil("network")
def lam_moved(rng: Rng, answer: Answer) -> Answer:
    share = factor(rng) if rng.random() < 0.3 else 1 + rng.choice([-1, 1]) * tiny(rng)
    return answer.saying(lam=float(answer.claims["lam"] * share))


@spoil("network")
def lam_and_nu(rng: Rng, answer: Answer) -> Answer:
    """λ and ν by one factor."""
    share = factor(rng) if rng.random() < 0.3 else float(rng.uniform(0.1, 10))
    moved = answer.saying(lam=float(answer.claims["lam"] * share))
    return projected(moved.having(nu=moved.arrays["nu"] * share))


@spoil("network")
def tol_moved(rng: Rng, answer: Answer) -> Answer:
    values = (0.0, 5e-324, 1e-300, 1e-12, 0.5, 1 - 2**-53, 1.0, 1e6, 1e300, -1.0, True)
    return answer.saying(tol=values[rng.integers(len(values))])


@spoil("network")
def loss_changed(rng: Rng, answer: Answer) -> Answer:
    names = ["squared", "hinge", "squared_hinge", "logistic"]
    if not np.isin(answer.y, (-1, 1)).all():
        names = ["squared", "huber"]
    name = str(rng.choice(names))
    return answer.saying(loss=name, loss_parameters={"delta": 0.7} if name == "huber" else {})


@spoil("network")
def delta_changed(rng: Rng, answer: Answer) -> Answer:
    if answer.claims["loss"] != "huber":
        return answer.saying(loss_parameters={"delta": 1.0})
    return answer.saying(loss_parameters={"delta": answer.delta * float(rng.uniform(0.5, 2))})


@spoil("network")
def weights_changed(rng: Rng, answer: Answer) -> Answer:
    n = len(answer.y)
    shares = rng.uniform(0.01, 3, n) if rng.random() < 0.7 else 10.0 ** rng.uniform(-9, 0, n)
    shares *= n / shares.sum()
    return answer.having(sample_weight=shares if rng.random() < 0.9 else None)


@spoil("network")
def weights_skewed(rng: Rng, answer: Answer) -> Answer:
    """Weights whose mean is not quite 1."""
    shares = np.ones(len(answer.y)) if answer.weights is None else answer.weights
    return answer.having(sample_weight=shares * (1 + rng.choice([-1, 1]) * tiny(rng)))


@spoil("network")
def constant_allowed(rng: Rng, answer: Answer) -> Answer:
    return answer.saying(intercept=not answer.claims["intercept"])


@spoil("network")
def constant_moved(rng: Rng, answer: Answer) -> Answer:
    moved = answer.arrays["intercept"] + rng.choice([-1, 1]) * tiny(rng)
    return answer.having(intercept=np.asarray(moved, dtype=float))


@spoil("network")
def scope_changed(rng: Rng, answer: Answer) -> Answer:
    return answer.saying(scope=str(rng.choice(["own", "program", "all"])))


@spoil("network")
def coverage_changed(rng: Rng, answer: Answer) -> Answer:
    """A program's proof said to speak of all networks."""
    kind = str(rng.choice(["listed", "searched", "spike_free", "oracle"]))
    oracle = {"oracle": "a search", "oracle_bound": answer.claims["lam"]}
    return answer.saying(scope="all", coverage=kind, **(oracle if kind == "oracle" else {}))


@spoil("network")
def activation_changed(rng: Rng, answer: Answer) -> Answer:
    if answer.claims["activation"] == "gated":
        return answer.saying(activation="relu").having(gates=None)
    hidden = answer.arrays["hidden"]
    return answer.saying(activation="gated").having(gates=hidden.copy())


# -- the network ---------------------------------------------------------------


@spoil("network")
def network_scaled(rng: Rng, answer: Answer) -> Answer:
    share = 1 + rng.choice([-1, 1]) * tiny(rng)
    return answer.having(output=answer.arrays["output"] * share)


@spoil("network")
def network_unbalanced(rng: Rng, answer: Answer) -> Answer:
    share = factor(rng)
    with np.errstate(all="ignore"):
        output = np.nan_to_num(answer.arrays["output"] / share)
    return answer.having(hidden=answer.arrays["hidden"] * share, output=output)


@spoil("network")
def neurons_dropped(rng: Rng, answer: Answer) -> Answer:
    kept = rng.random(len(answer.arrays["output"])) < 0.6
    parts = {name: answer.arrays[name][kept] for name in ("hidden", "output")}
    gates = answer.arrays.get("gates")
    return answer.having(**parts, gates=None if gates is None else gates[kept])


@spoil("network")
def neurons_added(rng: Rng, answer: Answer) -> Answer:
    """A neuron from nowhere, often one that is nearly nothing."""
    size, d = tiny(rng), answer.X.shape[1]
    new = rng.standard_normal((1, d))
    gates = answer.arrays.get("gates")
    return answer.having(
        hidden=np.vstack([answer.arrays["hidden"], size * new]),
        output=np.append(answer.arrays["output"], rng.choice([-1, 0, 1]) * size),
        gates=None if gates is None else np.vstack([gates, new]),
    )


@spoil("network")
def neurons_moved(rng: Rng, answer: Answer) -> Answer:
    hidden = answer.arrays["hidden"]
    return answer.having(hidden=hidden + tiny(rng) * rng.standard_normal(hidden.shape))


@spoil("network")
def network_emptied(rng: Rng, answer: Answer) -> Answer:
    """The zero network, with the bound of the true one."""
    gates = answer.arrays.get("gates")
    return answer.having(
        hidden=answer.arrays["hidden"][:0], output=np.zeros(0),
        gates=None if gates is None else gates[:0],
    )  # fmt: skip


@spoil("network")
def network_gates(rng: Rng, answer: Answer) -> Answer:
    """Gates of the network's neurons turned, onto a row's hyperplane at times."""
    gates = answer.arrays.get("gates")
    if gates is None:
        return neurons_moved(rng, answer)
    moved = gates + tiny(rng) * rng.standard_normal(gates.shape)
    if rng.random() < 0.4:
        row = answer.X[rng.integers(len(answer.X))]
        with np.errstate(all="ignore"):
            moved = np.nan_to_num(moved - np.outer(moved @ row / (row @ row), row))
    return answer.having(gates=moved)


# -- the data ------------------------------------------------------------------


@spoil("network")
def rows_moved(rng: Rng, answer: Answer) -> Answer:
    noise = rng.standard_normal(answer.X.shape) * np.abs(answer.X)
    return answer.on(answer.X + tiny(rng) * noise, answer.y)


@spoil("network")
def rows_swapped(rng: Rng, answer: Answer) -> Answer:
    order = rng.permutation(len(answer.X))
    return answer.on(answer.X[order], answer.y[order] if rng.random() < 0.5 else answer.y)


@spoil("network")
def rows_repeated(rng: Rng, answer: Answer) -> Answer:
    """One row in place of another, exactly or nearly."""
    X = answer.X.copy()
    k, j = rng.integers(0, len(X), 2)
    X[k] = X[j] * rng.choice([1.0, -1.0, 3.0]) * (1 + rng.choice([0.0, 1e-16, 1e-12, 1e-9]))
    return answer.on(X, answer.y)


@spoil("network")
def rows_zero(rng: Rng, answer: Answer) -> Answer:
    X = answer.X.copy()
    X[rng.integers(len(X))] *= 10.0 ** -rng.choice([0, 12, 200, 400])
    return answer.on(X, answer.y)


@spoil("network")
def columns_scaled(rng: Rng, answer: Answer) -> Answer:
    X = answer.X.copy()
    X[:, rng.integers(X.shape[1])] *= factor(rng)
    return answer.on(X, answer.y)


@spoil("network")
def columns_huge(rng: Rng, answer: Answer) -> Answer:
    """A column of huge numbers of both signs, which cancel."""
    X = answer.X.copy()
    signs = np.where(np.arange(len(X)) % 2, -1.0, 1.0)
    X[:, rng.integers(X.shape[1])] += signs * 10 ** rng.uniform(3, 18)
    return projected(answer.on(X, answer.y))


@spoil("network")
def targets_moved(rng: Rng, answer: Answer) -> Answer:
    if answer.claims["loss"] in LABELLED:
        flips = np.where(rng.random(len(answer.y)) < 0.3, -1.0, 1.0)
        return answer.on(answer.X, answer.y * flips)
    noise = tiny(rng) * rng.standard_normal(len(answer.y))
    return answer.on(answer.X, answer.y * (1 + noise) + rng.choice([0.0, 1.0, 1e8]))


@spoil("network")
def offset_and_sum(rng: Rng, answer: Answer) -> Answer:
    """Targets and a free constant far away, and Σν off zero by a little, which they multiply."""
    if answer.claims["loss"] in LABELLED:
        return targets_moved(rng, answer)
    away = float(rng.choice([-1, 1]) * 10 ** rng.uniform(2, 12))
    nu = answer.arrays["nu"]
    nu = nu + np.sign(away) * 10 ** rng.uniform(-17, -9) * np.abs(nu).sum() / len(nu)
    moved = np.asarray(answer.arrays["intercept"] + away, dtype=float)
    free = answer.having(nu=nu, intercept=moved).saying(intercept=True)
    return free.on(answer.X, answer.y + away)


@spoil("network")
def units_moved(rng: Rng, answer: Answer) -> Answer:
    """Data in other units, but not the network."""
    up = 1.0 if answer.claims["loss"] in LABELLED else factor(rng)
    return answer.on(answer.X * factor(rng), answer.y * up)
