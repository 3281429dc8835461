r"""From a table to the arrays of a training program, and back to the user's units.

Features are standardised (mean 0, population standard deviation 1), a hidden bias is a column
of ones, and all of it is divided by √d₀ for d₀ features: see `tabular.scaling`. Targets of a
regression are standardised too; the two classes of a classification become −1 and +1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.errors import DataError
from relu_opt.program.losses import Loss, get_loss
from relu_opt.tabular.scaling import moments, scaled_rows
from relu_opt.tabular.tables import Table

# How far, relative to a deviation, stored means and deviations may be from a table's.
DRIFT = 1e-9


@dataclass(frozen=True)
class Preprocessing:
    """A fixed transformation of tables.

    Parameters
    ----------
    features : tuple of str
        Columns that are features, in the order of the columns of X.
    target : str
        The column to predict.
    centre, scale : tuple of float
        One value a feature, scale > 0.
    bias : bool
        Whether X ends with a column of ones (divided by √d₀ when standardised).
    standardize : bool
        Without it, features and targets are used as they are.
    target_centre, target_scale : float
        What a regression's target is standardised with.
    classes : (float, float) or None
        The target values that stand for −1 and +1; None for a regression.
    """

    features: tuple[str, ...]
    target: str
    centre: tuple[float, ...]
    scale: tuple[float, ...]
    bias: bool = True
    standardize: bool = True
    target_centre: float = 0.0
    target_scale: float = 1.0
    classes: tuple[float, float] | None = None

    @classmethod
    def fit(
        cls,
        table: Table,
        target: str,
        loss: str | Loss = "squared",
        bias: bool = True,
        standardize: bool = True,
    ) -> Preprocessing:
        """Learn the transformation from a table whose other columns are all features.

        Raises
        ------
        DataError
            If the target is missing, a column is not numeric and finite, there is no feature,
            or a classification loss meets other than two classes.
        """
        target = table.resolve(target)
        features = tuple(name for name in table.names if name != target)
        if not features:
            raise DataError(
                f"{table.source} has the single column {target!r}, the target. At least one "
                "feature is needed.",
                source=table.source,
                column=target,
            )
        values = table.numbers(target)
        columns = [_moments(table, name, standardize) for name in features]
        asked = get_loss(loss)
        centre, scale = _moments(table, target, standardize and asked.scales)
        return cls(
            features=features,
            target=target,
            centre=tuple(mean for mean, _ in columns),
            scale=tuple(deviation for _, deviation in columns),
            bias=bias,
            standardize=standardize,
            target_centre=centre,
            target_scale=scale,
            classes=_two_classes(table, target, values) if asked.classifies else None,
        )

    def transform(self, table: Table) -> FloatArray:
        """The matrix X of a table, (n, d) with d = d₀ + 1 if there is a bias.

        Raises
        ------
        DataError
            If a feature's column is missing or not numeric and finite.
        """
        return scaled_rows(
            table.matrix(self.features), self.centre, self.scale, self.bias, self.standardize
        )

    def targets(self, table: Table, column: str | None = None) -> FloatArray:
        """The targets y of a table, (n,), from the target's column or another.

        Raises
        ------
        DataError
            If the column is missing, not numeric and finite, or holds another class.
        """
        name = self.target if column is None else table.resolve(column)
        values = table.numbers(name)
        if self.classes is None:
            return (values - self.target_centre) / self.target_scale
        low, high = self.classes
        strange = (values != low) & (values != high)
        if strange.any():
            row = int(np.argmax(strange))
            raise DataError(
                f"{table.source}, column {name!r}, {table.place(row)}: the class is "
                f"{values[row]:g}, and the model knows {low:g} and {high:g}.",
                source=table.source,
                column=name,
                row=row,
            )
        return np.where(values == high, 1.0, -1.0)

    def restore(self, outputs: FloatArray) -> FloatArray:
        """Outputs of a network in the target's own units, or as the two class values."""
        if self.classes is None:
            return outputs * self.target_scale + self.target_centre
        return np.where(outputs >= 0, self.classes[1], self.classes[0])

    def drift(self, table: Table, column: str | None = None, tol: float = DRIFT) -> list[str]:
        """The columns whose stored mean or deviation is not that of this table.

        Equal means within `tol` of the stored deviation. Nothing drifts that is used as it is, such
        as classes and counts.
        """
        if not self.standardize:
            return []
        stored = self._stored()
        target = stored.pop(self.target)
        if target != (0.0, 1.0):
            stored[self.target if column is None else table.resolve(column)] = target
        return [
            name
            for name, mine in stored.items()
            if not _agree(mine, _moments(table, name, standardize=True), tol)
        ]

    def departures(self, table: Table, loss: str | Loss) -> list[str]:
        """How this differs from what `fit` learns from the table with the same target and settings.

        Returns
        -------
        list of str
            Sentences; none if it is the table's own preparation, up to the rounding of `drift`.
        """
        others = tuple(name for name in table.names if name != self.target)
        if self.features != others:
            return [
                f"The features are {listed(self.features)}, and the columns other than the "
                f"target {self.target!r} are {listed(others)}."
            ]
        own = Preprocessing.fit(table, self.target, loss, self.bias, self.standardize)
        found = []
        if self.classes != own.classes:
            found.append(f"The classes are {self.classes}, and those of the table {own.classes}.")
        mine, theirs = self._stored(), own._stored()
        moved = [name for name in mine if not _agree(mine[name], theirs[name])]
        if moved:
            found.append(f"The means or deviations are not those of the columns {listed(moved)}.")
        return found

    def _stored(self) -> dict[str, tuple[float, float]]:
        """The centre and scale of every column."""
        columns = dict(zip(self.features, zip(self.centre, self.scale, strict=True), strict=True))
        return {**columns, self.target: (self.target_centre, self.target_scale)}

    def to_meta(self) -> dict[str, Any]:
        """A JSON-able description; `from_meta` reads it."""
        return {
            "features": list(self.features),
            "target": self.target,
            "centre": list(self.centre),
            "scale": list(self.scale),
            "bias": self.bias,
            "standardize": self.standardize,
            "target_centre": self.target_centre,
            "target_scale": self.target_scale,
            "classes": None if self.classes is None else list(self.classes),
        }

    @classmethod
    def from_meta(cls, meta: object) -> Preprocessing:
        """Rebuild what `to_meta` described; anything else is a DataError."""
        if not isinstance(meta, Mapping):
            raise _damaged("it is not a table of fields")
        features = _strings(meta.get("features"), "features")
        if not features or len(set(features)) != len(features):
            raise _damaged("'features' is empty or has a name twice")
        classes = meta.get("classes")
        if classes is not None:
            low, high = _numbers(classes, "classes", 2)
            if low >= high:
                raise _damaged("'classes' are not two values in order")
            classes = (low, high)
        target_scale = _numbers([meta.get("target_scale")], "target_scale", 1, above=0.0)
        return cls(
            features=features,
            target=_strings([meta.get("target")], "target")[0],
            centre=_numbers(meta.get("centre"), "centre", len(features)),
            scale=_numbers(meta.get("scale"), "scale", len(features), above=0.0),
            bias=_flag(meta.get("bias"), "bias"),
            standardize=_flag(meta.get("standardize"), "standardize"),
            target_centre=_numbers([meta.get("target_centre")], "target_centre", 1)[0],
            target_scale=target_scale[0],
            classes=classes,
        )


def _moments(table: Table, name: str, standardize: bool) -> tuple[float, float]:
    """Mean and deviation of a column, or those that leave it as it is."""
    values = table.numbers(name)
    if not standardize:
        return 0.0, 1.0
    where = f"{table.source}, column {name!r}"
    return moments(values, where=where, source=table.source, column=name)


def _agree(mine: tuple[float, float], theirs: tuple[float, float], tol: float = DRIFT) -> bool:
    """Whether two pairs of mean and deviation are equal within `tol` of the first deviation."""
    return all(abs(a - b) <= tol * mine[1] for a, b in zip(mine, theirs, strict=True))


def listed(names: Sequence[str]) -> str:
    """The first names of columns, for a sentence."""
    few = ", ".join(f"{name!r:.40}" for name in names[:6])
    return f"{few}, … ({len(names)} in all)" if len(names) > 6 else few or "none"


def _two_classes(table: Table, target: str, values: FloatArray) -> tuple[float, float]:
    found = np.unique(values)
    if len(found) != 2:
        listed = ", ".join(f"{value:g}" for value in found[:5]) + (", …" if len(found) > 5 else "")
        amount = "one class" if len(found) == 1 else f"{len(found)} different values"
        raise DataError(
            f"{table.source}, column {target!r}: a classification loss needs two classes, and "
            f"this column has {amount} ({listed}). Choose another target, or the loss 'squared'.",
            source=table.source,
            column=target,
            classes=len(found),
        )
    return float(found[0]), float(found[1])


# -- reading a description that nobody vouches for -----------------------------------------


def _damaged(why: str) -> DataError:
    return DataError(f"The file's description of the preprocessing is damaged: {why}.")


def _strings(values: object, key: str) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise _damaged(f"{key!r} is not text")
    return tuple(values)


def _numbers(values: object, key: str, count: int, above: float = -math.inf) -> tuple[float, ...]:
    if not isinstance(values, list) or len(values) != count:
        raise _damaged(f"{key!r} does not hold {count} numbers")
    for value in values:
        # Written so that NaN fails too, and integers beyond float64.
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (number and abs(value) < 1e308 and value > above):
            raise _damaged(f"{key!r} holds {value!r}")
    return tuple(map(float, values))


def _flag(value: object, key: str) -> bool:
    if not isinstance(value, bool):
        raise _damaged(f"{key!r} is not true or false")
    return value
