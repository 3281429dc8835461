"""The data and splits of the paper's experiments (Mishkin & Pilanci, ICML 2023, §6)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

import relu_opt as ro

# Of sets with a train and a test file the paper uses the train file.
NAMES = (
    "fertility",
    "mammographic",
    "pima",
    "parkinsons",
    "breast-cancer",
    "hepatitis",
    "monks-1",
    "spectf",
)


@dataclass(frozen=True, eq=False)
class Split:
    """Rows to train, validate and test on, with labels −1 and +1."""

    train: tuple[np.ndarray, np.ndarray]
    valid: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]

    def program(self, lam: float, gates: int, seed: int) -> ro.ConvexProgram:
        """Squared loss over the patterns of normal gates."""
        X, y = self.train
        drawn = np.random.default_rng(seed).standard_normal((X.shape[1], gates))
        return ro.ConvexProgram(X, y, lam, ro.program.patterns_of_gates(X, drawn))


def read(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Features as they are, and the class as −1 and +1."""
    file = folder / f"{name}.csv"
    rows = np.loadtxt(file if file.exists() else folder / f"{name}_train.csv", delimiter=",")
    return rows[:, :-1], np.where(rows[:, -1] == rows[:, -1].max(), 1.0, -1.0)


def hold_out(n: int, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows to keep and rows to hold out: the first ⌊n·share⌋ of a shuffle."""
    order = np.arange(n)
    np.random.default_rng(seed).shuffle(order)
    count = int(np.floor(n * share))
    return order[count:], order[:count]


def make_split(
    X: np.ndarray, y: np.ndarray, test_share: float, valid_share: float, r: int
) -> Split:
    """Split r: the test rows of seed 650 + r, then the validation rows of seed r."""
    rest, test = hold_out(len(y), test_share, 650 + r)
    keep, valid = hold_out(len(rest), valid_share, r)
    parts = [(X[rows], y[rows]) for rows in (rest[keep], rest[valid], test)]
    return Split(*parts)


def accuracy(network: ro.ReLUNetwork, data: tuple[np.ndarray, np.ndarray]) -> float:
    """The share of rows whose sign is right."""
    return float(np.mean((network.predict(data[0]) >= 0) == (data[1] > 0)))
