"""Public functions, called with one argument that is not what it should be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

import relu_opt as ro
from relu_opt.errors import ReluOptError

from .data import Rng
from .trials import Trial, fault, strict


@dataclass(frozen=True, eq=False)
class Call:
    """A function and arguments that it takes."""

    function: Callable[..., object]
    arguments: Mapping[str, Any]


@cache
def calls() -> dict[str, Call]:
    """Calls that work, by name."""
    rng = np.random.default_rng(7)
    X, y = rng.standard_normal((6, 2)), rng.standard_normal(6)
    labels = np.where(y > 0, 1.0, -1.0)
    Y = rng.standard_normal((4, 2))
    patterns = ro.sample_patterns(X, 4)
    prog = ro.ConvexProgram(X, y, 0.1, patterns)
    solution = ro.solve(prog)
    network, proof = solution.network, solution.certificate
    data: dict[str, Any] = {"X": X, "y": y, "lam": 0.1}
    return {
        "ConvexProgram": Call(
            ro.ConvexProgram,
            {**data, "patterns": patterns, "loss": "squared", "activation": "relu",
             "sample_weight": np.ones(6), "intercept": False},
        ),
        "Patterns": Call(ro.Patterns, {"masks": X > 0, "gates": np.eye(2)}),
        "sample_patterns": Call(ro.sample_patterns, {"X": X, "n_gates": 4, "seed": 0}),
        "enumerate_patterns": Call(ro.enumerate_patterns, {"X": X}),
        "count_patterns": Call(ro.program.count_patterns, {"X": X}),
        "ReLUNetwork": Call(
            ro.ReLUNetwork,
            {"hidden": network.hidden, "output": network.output, "intercept": 0.0},
        ),
        "VectorNetwork": Call(
            ro.several_outputs.VectorNetwork, {"hidden": np.eye(2), "output": np.eye(2)}
        ),
        "predict": Call(network.predict, {"X": X}),
        "objective": Call(network.objective, {**data, "loss": "squared", "sample_weight": None}),
        "solve": Call(
            ro.solve,
            {"prog": prog, "backend": "auto", "tol": 1e-6, "time_limit": 5.0, "warm_start": None,
             "options": {}},
        ),
        "certify": Call(
            ro.certify,
            {"prog": prog, "answer": network, "nu": solution.nu, "scope": "program", "tol": 1e-6},
        ),
        "certify_network": Call(
            ro.certify_network, {"network": network, **data, "scope": "own", "tol": 1e-6}
        ),
        "verify": Call(ro.verify, {"certificate": proof, "X": X, "y": y}),
        "train_globally": Call(
            ro.train_globally, {**data, "oracle": "auto", "tol": 1e-3, "seed": 0}
        ),
        "separation": Call(ro.all_patterns.separation, {"X": X, "nu": solution.nu}),
        "is_spike_free": Call(ro.formulas.is_spike_free, {"X": X}),
        "train_vector": Call(
            ro.several_outputs.train_vector,
            {"X": X[:4], "Y": Y, "lam": 0.2, "tol": 1e-2, "patches": None},
        ),
        "vector_separation": Call(
            ro.several_outputs.vector_separation, {"X": X[:4], "V": Y / 9, "tol": 1e-2}
        ),
        "fit_spline": Call(
            ro.one_input.fit_spline,
            {"x": X[:, 0], "y": labels, "lam": 0.1, "loss": "hinge", "sample_weight": None,
             "tol": 1e-6},
        ),
        "train_deep": Call(
            ro.deep.train_deep, {"X": np.eye(3), "Y": np.eye(3), "lam": 0.01, "depth": 3}
        ),
        "minimum_norm_interpolant": Call(
            ro.interpolation.minimum_norm_interpolant, {"X": X[:3], "y": y[:3]}
        ),
        "sparsest_interpolant": Call(
            ro.interpolation.sparsest_interpolant, {"X": X[:3], "y": y[:3]}
        ),
        "prune": Call(ro.prune, {"network": network, **data, "method": "optimal", "to": 1}),
        "optimal_set": Call(ro.optimal_set, {"sol": solution, "backend": "auto"}),
        "from_arrays": Call(
            ro.export.from_arrays, {"hidden": network.hidden, "output": network.output}
        ),
    }  # fmt: skip


def oddities(rng: Rng, value: Any) -> list[Any]:
    """Things to pass in place of a value."""
    plain: list[Any] = [
        None, True, 0, -1, 3, 2**70, 0.5, -1.0, np.nan, np.inf, 1e308, 5e-324, "", "x", b"x", [],
        {}, (1,), {1}, range(3), object(), len, int, 1j, np.float32(0.1), ["a"],
    ]  # fmt: skip
    if not isinstance(value, np.ndarray):
        return plain
    arrays = [
        [[]], [[1], [1, 2]], np.zeros(0), np.zeros((0, 2)), np.zeros((2, 0)), np.zeros((2, 2, 2)),
        np.array(None), np.array([None, 1.0]), np.array("x"), np.zeros(6, "M8[s]"),
        np.zeros(6, [("a", "f8")]), np.repeat(value[:1], len(value), axis=0), value.T, value[:-1],
        value[None], value.astype(object), value.astype(str), value.tolist(), np.asmatrix(value),
        value > 0, 0 - value, value.astype("f2"), value.astype("i8"), value.astype(complex),
        value.astype(">f8"), value.astype(np.longdouble), np.ma.masked_less(value, 0),
    ]  # fmt: skip
    if value.dtype.kind == "f":
        holes = np.where(rng.random(value.shape) < 0.2, np.nan, value)
        arrays += [holes, np.inf * value, 0 * value, value * 1e200, value * 1e-200, value * 1e-320]
    return [*plain, *arrays]


def call(name: str, rng: Rng) -> Trial:
    """Call a function with one odd argument."""
    chosen = calls()[name]
    keys = sorted(chosen.arguments)
    key = keys[rng.integers(len(keys))]
    with np.errstate(all="ignore"):
        every = oddities(rng, chosen.arguments[key])
    k = int(rng.integers(len(every)))
    try:
        with strict():
            chosen.function(**{**chosen.arguments, key: every[k]})
    except ReluOptError:
        return Trial((key,), "refused", "")
    except Exception as error:  # noqa: BLE001 - any other error is what is looked for
        shown = f"{key} = {every[k]!r:.60}"
        return Trial((key,), "error", f"{shown}: {fault(error)}")
    return Trial((key,), "read", "")
