"""A trained network together with how its data were prepared: what `relu-opt fit` writes."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from relu_opt.arrays import FloatArray, as_floats, as_positive
from relu_opt.errors import DataError
from relu_opt.io import need, read_npz, write_npz
from relu_opt.plugins.dispatch import can_start
from relu_opt.program.activations import RELU, Activation, activation_of
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.losses import Loss, check_saved, make_loss
from relu_opt.program.network import ReLUNetwork, locate_neurons
from relu_opt.program.patterns import patterns_of_gates
from relu_opt.proof.assembly import CONE_TOLERANCE
from relu_opt.sets.equicorrelation import ACCURACY
from relu_opt.solving.training import Solution, solve
from relu_opt.tabular.preprocessing import Preprocessing
from relu_opt.tabular.tables import Table


@dataclass(frozen=True, eq=False)
class Model:
    """A network that predicts from tables, and the program that it was trained on.

    Attributes
    ----------
    network : ReLUNetwork
        Takes the rows that `preprocessing` makes.
    preprocessing : Preprocessing
        From tables to rows, and from outputs to the target's own units.
    gates : (d, p) array
        Gate vectors of the program's patterns.
    lam, loss, activation, intercept
        The training problem; see `ConvexProgram`.
    nu : (n,) array or None
        The dual point that training found. A certificate made from it is sharper, and trusts
        it no more than any other.
    provenance : mapping
        Where the model comes from: versions, options, backend, seed, timings (JSON values).
    """

    network: ReLUNetwork
    preprocessing: Preprocessing
    gates: FloatArray
    lam: float
    loss: Loss
    activation: Activation = RELU
    intercept: bool = False
    nu: FloatArray | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        width = len(self.preprocessing.features) + self.preprocessing.bias
        if not self.network.hidden.shape[1] == self.gates.shape[0] == width:
            raise DataError(
                f"The preprocessing makes {width} columns, the network takes "
                f"{self.network.hidden.shape[1]} and the gates {self.gates.shape[0]}. "
                "They must agree."
            )

    @classmethod
    def of(cls, solution: Solution, preprocessing: Preprocessing, source: str) -> Model:
        """The model of a solution whose patterns have gates.

        Parameters
        ----------
        solution : Solution
            Of a program of the rows and targets that `preprocessing` makes, without weights.
        preprocessing : Preprocessing
            From tables to these.
        source : str
            Where the data come from.

        Raises
        ------
        DataError
            If the model could not say what it was trained on.
        """
        program = solution.program
        if program.patterns.gates is None:
            raise DataError("A model needs the gates of its patterns. Use sample_patterns.")
        if program.sample_weight is not None:
            raise DataError(
                "The program has sample weights, and a model's file has no place for them. Save "
                "the network and the certificate."
            )
        return cls(
            network=solution.network,
            preprocessing=preprocessing,
            gates=program.patterns.gates,
            lam=program.lam,
            loss=program.loss,
            activation=program.activation,
            intercept=program.intercept,
            nu=solution.nu,
            provenance={
                **solution.stats,
                "backend": solution.backend,
                "stop": solution.stop.value,
                "objective": solution.objective,
                "rel_gap": solution.rel_gap,
                "verdict": solution.certificate.verdict.value,
                "data": source,
                "fingerprint": solution.certificate.fingerprint,
            },
        )

    def program(self, table: Table, target: str | None = None) -> ConvexProgram:
        """The training program on a table: with its own data, the one that was solved.

        Parameters
        ----------
        table : Table
            Must have the columns that are features.
        target : str, optional
            The column of the targets; the training target's name by default.
        """
        X = self.preprocessing.transform(table)
        return ConvexProgram(
            X,
            self.preprocessing.targets(table, target),
            self.lam,
            patterns_of_gates(X, self.gates),
            loss=self.loss,
            activation=self.activation,
            intercept=self.intercept,
        )

    def predict(self, table: Table) -> FloatArray:
        """Predictions in the target's own units, or as the two class values: (n,)."""
        outputs = self.network.predict(self.preprocessing.transform(table))
        return self.preprocessing.restore(self.loss.mean(outputs))

    def errors(self, table: Table, target: str | None = None) -> dict[str, float]:
        """How well it predicts a table: `error_rate`, or `rmse` and `r2` in the target's units.

        Parameters
        ----------
        table : Table
        target : str, optional
            The column of the targets; the training target's name by default.
        """
        predictions = self.predict(table)
        truth = table.numbers(table.resolve(target or self.preprocessing.target))
        if self.preprocessing.classes is not None:
            return {"error_rate": float(np.mean(predictions != truth))}
        squares = float(np.mean((predictions - truth) ** 2))
        spread = float(truth.var())
        return {"rmse": squares**0.5, "r2": 1 - squares / spread if spread > 0 else math.nan}

    def optimum(self, table: Table, target: str | None = None) -> Solution:
        """The training program solved to the last digits, for what asks about its optimum.

        Starts from the model's network if its neurons belong to the program, and the backend can
        start from a network.

        Parameters
        ----------
        table, target
            As in `program`.
        """
        program = self.program(table, target)
        balanced = self.network.balance()
        inside = (locate_neurons(program, balanced, CONE_TOLERANCE) >= 0).all()
        start = balanced if inside and can_start(program, "auto") else None
        return solve(program, tol=ACCURACY, warm_start=start)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to an npz file (no pickle); an earlier file survives a failure."""
        check_saved(self.loss)
        arrays = {**self.network.to_arrays(), "pattern_gates": self.gates, "nu": self.nu}
        meta = {
            "preprocessing": self.preprocessing.to_meta(),
            "lam": self.lam,
            "loss": self.loss.name,
            "loss_parameters": self.loss.parameters,
            **self.activation.meta,
            "output_intercept": self.intercept,
            "provenance": dict(self.provenance),
        }
        write_npz(path, "model", arrays, meta)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Model:
        """Read what `save` wrote; a damaged file, or another, is a DataError that names it."""
        arrays, meta = read_npz(path, "model")
        try:
            return _rebuilt(arrays, meta)
        except DataError as error:
            raise DataError(
                f"{path} is not a usable model: {error.message}", **{**error.fields, "path": path}
            ) from error


def _rebuilt(arrays: dict[str, np.ndarray], meta: Mapping[str, Any]) -> Model:
    parameters, provenance = meta.get("loss_parameters"), meta.get("provenance")
    if not isinstance(parameters, dict) or not isinstance(provenance, dict):
        raise DataError("its description lacks the loss or the provenance.")
    return Model(
        ReLUNetwork.from_arrays(arrays),
        Preprocessing.from_meta(meta.get("preprocessing")),
        as_floats(need(arrays, "pattern_gates", "f", 2), "pattern_gates", 2),
        as_positive(meta.get("lam"), "lam"),
        make_loss(str(meta.get("loss")), parameters),
        activation_of(meta),
        bool(meta.get("output_intercept")),
        as_floats(need(arrays, "nu", "f", 1), "nu", 1) if "nu" in arrays else None,
        provenance,
    )
