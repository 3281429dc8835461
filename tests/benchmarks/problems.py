"""The training problems of the benchmarks.

Features are standardised, a column of ones is the hidden bias, everything is divided by the
root of the number of features, and the patterns are those of 500 gates (unless it says
otherwise) of seed 123. All are of the squared loss; lam is on the scale of the mean loss.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import sklearn.datasets
from sklearn.preprocessing import StandardScaler

import relu_opt as ro

GATE_SEED = 123
MNIST_ROWS = 8000


@dataclass(frozen=True)
class Problem:
    """A training problem, built when it is needed."""

    title: str
    build: Callable[[], ro.ConvexProgram]


def program(data: np.ndarray, y: np.ndarray, gates: int, lam: float) -> ro.ConvexProgram:
    """The program of raw features and targets, prepared as the head of this file says."""
    n, features = data.shape
    X = np.c_[StandardScaler().fit_transform(data), np.ones(n)] / np.sqrt(features)
    return ro.ConvexProgram(X, y, lam, ro.sample_patterns(X, gates, seed=GATE_SEED))


def diabetes() -> ro.ConvexProgram:
    """442 × 11, 50 gates, standardised target."""
    data, target = sklearn.datasets.load_diabetes(return_X_y=True)
    return program(data, (target - target.mean()) / target.std(), gates=50, lam=0.01)


def breast_cancer(activation: str = "relu") -> ro.ConvexProgram:
    """569 × 31, labels −1 and +1."""
    data, target = sklearn.datasets.load_breast_cancer(return_X_y=True)
    return replace(program(data, 2.0 * target - 1, 500, 0.003), activation=activation)


def digits() -> ro.ConvexProgram:
    """1797 × 65, even digits +1 and odd ones −1."""
    data, digit = sklearn.datasets.load_digits(return_X_y=True)
    return program(data, 1.0 - 2.0 * (digit % 2), 500, 0.003)


def synthetic(
    n: int = 20_000,
    d: int = 30,
    gates: int = 500,
    share: float = 0.05,
    activation: str = "relu",
) -> ro.ConvexProgram:
    """A network of two neurons with noise, n × d with the bias; lam is a share of lam_max."""
    rng = np.random.default_rng(0)
    X = np.c_[rng.standard_normal((n, d - 1)), np.ones(n)] / np.sqrt(d - 1)
    first, second = X[:, :5].sum(axis=1), X[:, 5:9].sum(axis=1)
    y = 2 * np.maximum(first, 0) - np.maximum(second, 0) + 0.1 * rng.standard_normal(n)
    patterns = ro.sample_patterns(X, gates, seed=GATE_SEED)
    whole = ro.ConvexProgram(X, y, 1.0, patterns, activation=activation)
    return whole.with_lam(share * whole.lam_max)


def mnist(
    folder: Path, activation: str, gates: int, lam: float = 0.003, share: float | None = None
) -> ro.ConvexProgram:
    """8000 × 785, digits from 5 on +1 and the others −1; with `share`, lam = share · lam_max.

    The folder holds one file of images and one of labels in the idx format, gzipped.
    """
    images, labels = (next(folder.glob(f"*{word}*.gz")) for word in ("images", "labels"))
    with gzip.open(images) as file:
        pixels = np.frombuffer(file.read()[16:], np.uint8).reshape(-1, 28 * 28)
    with gzip.open(labels) as file:
        digit = np.frombuffer(file.read()[8:], np.uint8)
    y = np.where(digit[:MNIST_ROWS] >= 5, 1.0, -1.0)
    prog = program(pixels[:MNIST_ROWS].astype(float), y, gates, lam)
    prog = replace(prog, activation=activation)
    return prog if share is None else prog.with_lam(share * prog.lam_max)


def problems(mnist_folder: Path | None = None) -> dict[str, Problem]:
    """The problems of `peers.py` by name; those on MNIST only where its folder is given."""
    found = {
        "R1": Problem("diabetes 442 × 11, 50 patterns, relu, lam 0.01", diabetes),
        "R2": Problem("breast cancer 569 × 31, 500 patterns, relu, lam 0.003", breast_cancer),
        "R3": Problem(
            "breast cancer 569 × 31, 500 patterns, gated, lam 0.003",
            partial(breast_cancer, "gated"),
        ),
        "R4": Problem("digits even/odd 1797 × 65, 500 patterns, relu, lam 0.003", digits),
        "R5": Problem("synthetic 20,000 × 30, 500 patterns, relu, lam 0.05 lam_max", synthetic),
    }
    if mnist_folder is not None:
        gated = partial(mnist, mnist_folder, "gated", 500)
        found |= {
            "R6": Problem("MNIST 8000 × 785, 500 patterns, gated, lam 0.003", gated),
            "R6b": Problem(
                "MNIST 8000 × 785, 500 patterns, gated, lam 0.1 lam_max", partial(gated, share=0.1)
            ),
            "R7": Problem(
                "MNIST 8000 × 785, 100 patterns, relu, lam 0.003",
                partial(mnist, mnist_folder, "relu", 100),
            ),
        }
    return found
