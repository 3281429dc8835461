"""Spoils of answers of several outputs and of splines."""

from __future__ import annotations

import numpy as np

from .answers import Answer
from .data import LABELLED, Rng, factor
from .registry import spoil, tiny

OTHERS = ("several_outputs", "spline")


def dual_name(answer: Answer) -> str:
    """The entry that holds the dual point."""
    return "V" if answer.problem == "several_outputs" else "nu"


def output_name(answer: Answer) -> str:
    """The entry that holds the output weights."""
    return "output" if answer.problem == "several_outputs" else "weights"


@spoil(*OTHERS)
def dual_raised(rng: Rng, answer: Answer) -> Answer:
    """The dual point a little larger."""
    name = dual_name(answer)
    return answer.having(**{name: answer.arrays[name] * (1 + tiny(rng))})


@spoil(*OTHERS)
def dual_noise(rng: Rng, answer: Answer) -> Answer:
    name = dual_name(answer)
    point = answer.arrays[name]
    noise = rng.standard_normal(point.shape) * np.abs(point).max()
    return answer.having(**{name: point + tiny(rng) * noise})


@spoil(*OTHERS)
def dual_centred(rng: Rng, answer: Answer) -> Answer:
    """Noise of sum zero, as a free constant asks for."""
    name = dual_name(answer)
    point = answer.arrays[name]
    noise = rng.standard_normal(point.shape) * np.abs(point).max() * tiny(rng)
    return answer.having(**{name: point + noise - noise.mean(axis=0)})


@spoil(*OTHERS)
def dual_sum(rng: Rng, answer: Answer) -> Answer:
    """A sum a little off zero, which an offset of the targets multiplies."""
    name = dual_name(answer)
    point = answer.arrays[name]
    away = np.sign(answer.y.sum(axis=0)) * 10 ** rng.uniform(-16, -6)
    return answer.having(**{name: point + away * np.abs(point).mean()})


@spoil(*OTHERS)
def dual_zero(rng: Rng, answer: Answer) -> Answer:
    name = dual_name(answer)
    return answer.having(**{name: 0 * answer.arrays[name]})


@spoil(*OTHERS)
def dual_greedy(rng: Rng, answer: Answer) -> Answer:
    """What would be best if nothing constrained it."""
    point = (answer.y - answer.y.mean(axis=0)) / len(answer.y)
    return answer.having(**{dual_name(answer): point * (1 - tiny(rng))})


@spoil(*OTHERS)
def dual_permuted(rng: Rng, answer: Answer) -> Answer:
    name = dual_name(answer)
    return answer.having(**{name: rng.permutation(answer.arrays[name])})


@spoil(*OTHERS)
def dual_huge(rng: Rng, answer: Answer) -> Answer:
    """Two huge entries that cancel."""
    name = dual_name(answer)
    point = answer.arrays[name].copy()
    size = 10 ** rng.uniform(0, 18) * np.abs(point).max()
    point[0] += size
    point[-1] -= size
    return answer.having(**{name: point})


@spoil(*OTHERS)
def lam_changed(rng: Rng, answer: Answer) -> Answer:
    share = factor(rng) if rng.random() < 0.3 else 1 + rng.choice([-1, 1]) * tiny(rng)
    return answer.saying(lam=float(answer.claims["lam"] * share))


@spoil(*OTHERS)
def lam_with_dual(rng: Rng, answer: Answer) -> Answer:
    name, share = dual_name(answer), float(rng.uniform(0.1, 10))
    moved = answer.saying(lam=float(answer.claims["lam"] * share))
    return moved.having(**{name: answer.arrays[name] * share})


@spoil(*OTHERS)
def tolerance(rng: Rng, answer: Answer) -> Answer:
    values = (0.0, 1e-300, 1e-12, 0.5, 1 - 2**-53, 1.0, 1e6, 1e300, -1.0, False)
    return answer.saying(tol=values[rng.integers(len(values))])


@spoil(*OTHERS)
def outputs_scaled(rng: Rng, answer: Answer) -> Answer:
    name, share = output_name(answer), 1 + rng.choice([-1, 1]) * tiny(rng)
    return answer.having(**{name: answer.arrays[name] * share})


@spoil(*OTHERS)
def outputs_zero(rng: Rng, answer: Answer) -> Answer:
    name = output_name(answer)
    return answer.having(**{name: 0 * answer.arrays[name]})


@spoil(*OTHERS)
def constants_moved(rng: Rng, answer: Answer) -> Answer:
    name = "intercept" if answer.problem == "several_outputs" else "constant"
    moved = answer.arrays[name] + rng.choice([-1, 1]) * tiny(rng)
    return answer.having(**{name: np.asarray(moved, dtype=float)})


@spoil(*OTHERS)
def data_moved(rng: Rng, answer: Answer) -> Answer:
    noise = rng.standard_normal(answer.X.shape) * np.abs(answer.X)
    return answer.on(answer.X + tiny(rng) * noise, answer.y)


@spoil(*OTHERS)
def data_tied(rng: Rng, answer: Answer) -> Answer:
    """One row in place of another, exactly or nearly."""
    X = answer.X.copy()
    k, j = rng.integers(0, len(X), 2)
    X[k] = X[j] * (1 + rng.choice([0.0, 1e-16, 1e-12]))
    return answer.on(X, answer.y)


@spoil(*OTHERS)
def data_scaled(rng: Rng, answer: Answer) -> Answer:
    up = 1.0 if answer.claims.get("loss") in (*LABELLED, "hard_margin") else factor(rng)
    return answer.on(answer.X * factor(rng), answer.y * up)


@spoil(*OTHERS)
def data_offset(rng: Rng, answer: Answer) -> Answer:
    """Targets moved with the constant, far away."""
    if answer.claims.get("loss") in (*LABELLED, "hard_margin"):
        return data_moved(rng, answer)
    away = 10 ** rng.uniform(0, 12)
    name = "intercept" if answer.problem == "several_outputs" else "constant"
    moved = np.asarray(answer.arrays[name] + away, dtype=float)
    return answer.having(**{name: moved}).on(answer.X, answer.y + away)


@spoil("several_outputs")
def proof_changed(rng: Rng, answer: Answer) -> Answer:
    kinds = ("searched", "relaxed", "lifted", "closed", "listed")
    return answer.saying(proof=str(rng.choice(kinds)))


@spoil("several_outputs")
def constants_allowed(rng: Rng, answer: Answer) -> Answer:
    return answer.saying(with_intercept=not answer.claims["with_intercept"])


@spoil("several_outputs")
def pooling_changed(rng: Rng, answer: Answer) -> Answer:
    return answer.saying(pooled=not answer.claims["pooled"])


@spoil("several_outputs")
def patches_changed(rng: Rng, answer: Answer) -> Answer:
    d = answer.X.shape[1]
    width = answer.arrays["hidden"].shape[1]
    count = int(rng.integers(1, 4))
    columns = rng.integers(0, d, (count, width))
    return answer.having(patches=columns)


@spoil("spline")
def kinks_moved(rng: Rng, answer: Answer) -> Answer:
    kinks = answer.arrays["kinks"]
    return answer.having(kinks=kinks + tiny(rng) * rng.standard_normal(kinks.shape))


@spoil("spline")
def sides_flipped(rng: Rng, answer: Answer) -> Answer:
    sides = answer.arrays["sides"]
    return answer.having(sides=np.where(rng.random(len(sides)) < 0.4, -sides, sides))


@spoil("spline")
def loss_renamed(rng: Rng, answer: Answer) -> Answer:
    names = ["squared", "huber", "interpolation"]
    if np.isin(answer.y, (-1, 1)).all():
        names += ["hinge", "logistic", "squared_hinge", "hard_margin"]
    name = str(rng.choice(names))
    demanded = name in ("interpolation", "hard_margin")
    changed = answer.having(sample_weight=None) if demanded else answer
    return changed.saying(
        loss=name,
        loss_parameters={"delta": 0.7} if name == "huber" else {},
        lam=1.0 if demanded else answer.claims["lam"],
    )


@spoil("spline")
def shares_changed(rng: Rng, answer: Answer) -> Answer:
    shares = rng.uniform(0.01, 3, len(answer.y))
    return answer.having(sample_weight=shares * (len(shares) / shares.sum()))
