"""The networks that pruning goes through, as one network and its factors at each step."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.arrays import FloatArray, IntArray, as_count, as_floats, as_tolerance, frozen
from relu_opt.errors import DataError, did_you_mean
from relu_opt.io import need, read_npz, write_npz
from relu_opt.plotting import new_axes
from relu_opt.plugins.types import StopReason
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.losses import check_saved
from relu_opt.program.network import ReLUNetwork
from relu_opt.proof.assembly import certificate_of
from relu_opt.proof.certificate import NetworkCertificate
from relu_opt.proof.dual_bound import DualBound
from relu_opt.proof.record import fingerprint
from relu_opt.proof.verdict import Verdict, relative_gap
from relu_opt.verify.renamed import renamed

METRICS = ("accuracy", "r2")
# Entries of fits that are held at a time.
CHUNK_ENTRIES = 2**22


@dataclass(frozen=True, eq=False)
class PruningPath:
    """The networks of a pruning, from the start to the narrowest. Made by `prune`.

    Attributes
    ----------
    start : NetworkCertificate
        Of the network before pruning, balanced. Its lower bound is over patterns that hold
        every network of the path.
    method : str
        How neurons were chosen; see `prune`.
    factors : (steps + 1, k) array
        What each neuron of `start.network` is scaled by, ≥ 0; in the first row 1, or 0 for
        neurons that are dead on the data.
    intercepts : (steps + 1,) array
        The output constant at each step.
    losses, objectives : (steps + 1,) arrays
        Mean loss, and that plus the penalty, of each network on the training data.
    exact_steps : int
        How many steps left the training fits as they were.
    minimal : bool
        Whether the exact steps ended where the neurons are linearly independent on the data.
    program : ConvexProgram or None
        The training problem; not saved, so None after `load`.
    """

    start: NetworkCertificate
    method: str
    factors: FloatArray
    intercepts: FloatArray
    losses: FloatArray
    objectives: FloatArray
    exact_steps: int = 0
    minimal: bool = False
    program: ConvexProgram | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        settle = object.__setattr__
        settle(self, "factors", frozen(np.array(self.factors, dtype=np.float64)))
        rows = len(self.factors)
        for name in ("intercepts", "losses", "objectives"):
            settle(self, name, frozen(np.array(getattr(self, name), dtype=np.float64)))
            if getattr(self, name).shape != (rows,):
                raise DataError(f"{name} needs one value for each of the {rows} rows of factors.")
        if self.factors.shape != (rows, len(self.start.network)) or not rows:
            raise DataError(
                f"factors has shape {self.factors.shape}, and the network has "
                f"{len(self.start.network)} neurons. One column a neuron is needed."
            )
        usable = np.isfinite(self.factors).all() and (self.factors >= 0).all()
        if not (usable and np.isfinite(self.intercepts).all()):
            raise DataError("factors and intercepts must be finite, and factors at least 0.")
        as_count(self.exact_steps, "exact_steps", least=0)
        if self.exact_steps >= rows:
            raise DataError(f"exact_steps is {self.exact_steps}, and there are {rows - 1} steps.")

    def __len__(self) -> int:
        return len(self.factors)

    def __repr__(self) -> str:
        first, last = self.widths[0], self.widths[-1]
        return (
            f"PruningPath({self.method}, {first} to {last} neurons, "
            f"{len(self) - 1} steps, {self.exact_steps} of them exact)"
        )

    # -- numbers, one a step -----------------------------------------------------------

    @property
    def widths(self) -> IntArray:
        """Neurons of each network, falling; the first entry is before any step."""
        return np.asarray(np.count_nonzero(self.factors, axis=1), dtype=np.intp)

    @property
    def scope(self) -> str:
        """Whose optimality the bound speaks of: `program` or `own`; see `certify`."""
        return self.start.scope

    @property
    def lower_bound(self) -> float:
        """The proved lower bound on the objective of every network over the patterns.

        −inf where it does not speak of the start (a neuron lies outside the patterns).
        """
        return -np.inf if self.start.verdict == Verdict.INCONCLUSIVE else self.start.lower_bound

    @property
    def rel_gaps(self) -> FloatArray:
        """(objective − lower_bound)/lower_bound of each network; see `relative_gap`."""
        return np.array([relative_gap(each, self.lower_bound) for each in self.objectives])

    # -- the narrowest network ---------------------------------------------------------

    bound: ClassVar[renamed] = renamed("lower_bound")
    stop: ClassVar[StopReason] = StopReason.CONVERGED

    @property
    def objective(self) -> float:
        """Of the last network."""
        return float(self.objectives[-1])

    @property
    def rel_gap(self) -> float:
        """Of the last network."""
        return float(self.rel_gaps[-1])

    @property
    def certificate(self) -> NetworkCertificate:
        """Of the last network; a DataError where the data are missing: see `certify`."""
        return self.certify()

    @property
    def verdict(self) -> Verdict:
        """That of the certificate; `inconclusive` where the data are missing."""
        return Verdict.INCONCLUSIVE if self.program is None else self.certificate.verdict

    @property
    def stats(self) -> dict[str, Any]:
        """How it was pruned, and in how many steps."""
        steps = {"steps": len(self) - 1, "exact_steps": self.exact_steps}
        return {"method": self.method, **steps, "minimal": self.minimal}

    # -- networks ----------------------------------------------------------------------

    def network(self, step: int = -1) -> ReLUNetwork:
        """The network after so many steps; 0 is the start, −1 the last."""
        row = self._row(step)
        factors, base = self.factors[row], self.start.network
        keep = factors > 0
        root = np.sqrt(factors[keep])
        return ReLUNetwork(
            base.hidden[keep] * root[:, None],
            base.output[keep] * root,
            float(self.intercepts[row]),
            None if base.gates is None else base.gates[keep],
            base.slope,
        )

    def at_width(self, width: int) -> ReLUNetwork:
        """The first network of the path with at most so many neurons.

        Raises
        ------
        DataError
            If all networks of the path are wider.
        """
        as_count(width, "width", least=0)
        fits = np.flatnonzero(self.widths <= width)
        if not len(fits):
            raise DataError(
                f"The narrowest network of the path has {self.widths[-1]} neurons. Prune with "
                f"to={width} to go on.",
                width=width,
                narrowest=int(self.widths[-1]),
            )
        return self.network(int(fits[0]))

    @property
    def vertex(self) -> ReLUNetwork:
        """The network at the end of the exact phase: its neurons are independent on the data.

        Raises
        ------
        DataError
            If the path has none: of a baseline, or where `to` stopped it before.
        """
        if not self.minimal:
            raise DataError(
                "The exact phase did not end at independent neurons. Use method='optimal' and a "
                "smaller `to`, or none.",
                method=self.method,
            )
        return self.network(self.exact_steps)

    def _row(self, step: int) -> int:
        whole = isinstance(step, int | np.integer) and not isinstance(step, bool)
        if not whole or not -len(self) <= step < len(self):
            raise DataError(
                f"step is {step!r}, and the path has steps 0 to {len(self) - 1} (or −1, the last).",
                step=step,
            )
        return int(step) % len(self)

    def certify(
        self,
        step: int = -1,
        X: ArrayLike | None = None,
        y: ArrayLike | None = None,
        tol: float | None = None,
    ) -> NetworkCertificate:
        """The certificate of a step's network, by the lower bound of the start.

        Parameters
        ----------
        step : int
            As in `network`.
        X, y : arrays, optional
            The training data; needed for a path that was loaded from a file.
        tol : float, optional
            The relative gap to certify; that of the start's certificate by default.

        Raises
        ------
        DataError
            If the data are missing, or are not those of the pruning.
        """
        network, prog, start = self.network(step), self._program(X, y), self.start
        largest = prog.lam * (1 + start.kkt.dual_infeasibility)
        bound = DualBound(start.nu, start.multipliers, start.lower_bound, largest)
        tol = start.tol if tol is None else as_tolerance(tol, "tol")
        return certificate_of(prog, network, bound, start.scope, tol)

    def _program(self, X: ArrayLike | None, y: ArrayLike | None) -> ConvexProgram:
        if self.program is not None and X is None and y is None:
            return self.program
        if X is None or y is None:
            raise DataError("This path has no data. Pass X and y, the data of the pruning.")
        start = self.start
        prog = ConvexProgram(
            X,  # type: ignore[arg-type]
            y,  # type: ignore[arg-type]
            start.lam,
            start.patterns,
            start.loss,
            start.activation,
            start.sample_weight,
            start.intercept,
        )
        if fingerprint(prog.X, prog.y) != start.fingerprint:
            raise DataError("X and y are not the data of the pruning. Pass those.")
        return prog

    # -- how well the networks predict --------------------------------------------------

    def scores(self, X: ArrayLike, y: ArrayLike, metric: str | None = None) -> FloatArray:
        """How well each network predicts on any data, (steps + 1,).

        Parameters
        ----------
        X : (n, d) array
            Data, as the network takes them.
        y : (n,) array
            Targets.
        metric : {"accuracy", "r2"}, optional
            `accuracy`: the share of predictions with the sign of y, labels −1 and +1 (a
            prediction of 0 counts as +1). `r2`: 1 − Σ(y − ŷ)²/Σ(y − mean y)², NaN where all
            targets are equal. By default accuracy for classification losses, and for any loss
            where all of y are −1 or +1; otherwise r2.
        """
        data, targets = as_floats(X, "X", 2), as_floats(y, "y", 1)
        base = self.start.network
        if data.shape[1] != base.hidden.shape[1] or len(data) != len(targets):
            raise DataError(
                f"X has shape {data.shape} and y {targets.shape}; (n, {base.hidden.shape[1]}) and "
                "(n,) are needed.",
                X=data.shape,
                y=targets.shape,
            )
        if self.metric(targets, metric) == "accuracy":
            wrong = self._sums(data, targets, lambda z, t: (z >= 0) != (t > 0))
            return 1 - wrong / len(targets)
        spread = float(((targets - targets.mean()) ** 2).sum())
        squares = self._sums(data, targets, lambda z, t: (z - t) ** 2)
        return 1 - squares / spread if spread > 0 else np.full(len(self), np.nan)

    def metric(self, y: FloatArray, asked: str | None = None) -> str:
        """The metric of `scores` on these targets."""
        if asked is not None and asked not in METRICS:
            raise DataError(f"Unknown metric {asked!r}. {did_you_mean(str(asked), METRICS)}")
        labels = bool(np.isin(y, (-1.0, 1.0)).all())
        chosen = asked or ("accuracy" if labels or self.start.loss.classifies else "r2")
        if chosen == "accuracy" and not labels:
            raise DataError("Accuracy needs labels −1 and +1 in y. Encode the two classes so.")
        return chosen

    def _sums(self, X: FloatArray, y: FloatArray, error: Any) -> FloatArray:
        """Σ over the rows of X of an error of the predictions, for each network."""
        base, total = self.start.network, np.zeros(len(self))
        rows = max(1, CHUNK_ENTRIES // max(1, len(base), len(self)))
        for start in range(0, len(X), rows):
            part = slice(start, start + rows)
            contributions = base.activations(X[part]) * base.output
            predictions = contributions @ self.factors.T + self.intercepts
            total += error(predictions, y[part, None]).sum(axis=0)
        return total

    def plot(
        self,
        ax: Any = None,
        X: ArrayLike | None = None,
        y: ArrayLike | None = None,
        metric: str | None = None,
    ) -> Any:
        """Draw score against neurons, or without data the objective; needs matplotlib.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to; a new figure by default. The path is one labelled line, so paths of
            several methods can share an axis; the end of the exact phase is marked.
        X, y : arrays, optional
            Data to score on, such as a test set.
        metric : str, optional
            As in `scores`.

        Returns
        -------
        Axes
        """
        if (X is None) != (y is None):
            raise DataError("X and y go together: pass both, or neither to draw the objective.")
        values, label = self.objectives, "objective"
        if X is not None and y is not None:
            values = self.scores(X, y, metric)
            label = {"accuracy": "accuracy", "r2": "R²"}[self.metric(as_floats(y, "y", 1), metric)]
        ax = new_axes(ax)
        from matplotlib.ticker import MaxNLocator

        (line,) = ax.plot(self.widths, values, marker=".", label=self.method)
        if self.minimal:
            end = self.exact_steps
            ax.plot(self.widths[end], values[end], "o", color=line.get_color(), fillstyle="none")
        if not ax.xaxis_inverted():
            ax.invert_xaxis()
        ax.set_xlabel("neurons")
        ax.set_ylabel(label)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.legend(frameon=False)
        return ax

    # -- files -------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the path to an npz file (no pickle, no data); an earlier one survives failure."""
        check_saved(self.start.loss)
        arrays = {
            **self.start.to_arrays(),
            "factors": self.factors,
            "intercepts": self.intercepts,
            "losses": self.losses,
            "objectives": self.objectives,
        }
        meta = {
            **self.start.meta(),
            "method": self.method,
            "exact_steps": self.exact_steps,
            "minimal": self.minimal,
        }
        write_npz(path, "pruning", arrays, meta)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> PruningPath:
        """Read what `save` wrote; a damaged file is a DataError that names it."""
        arrays, meta = read_npz(path, "pruning")
        start = NetworkCertificate.from_contents(arrays, meta, path)
        try:
            return cls(
                start,
                str(meta["method"]),
                need(arrays, "factors", "f", 2),
                need(arrays, "intercepts", "f", 1),
                need(arrays, "losses", "f", 1),
                need(arrays, "objectives", "f", 1),
                meta["exact_steps"],
                bool(meta["minimal"]),
            )
        except (KeyError, DataError) as error:
            raise DataError(
                f"{path} is not a usable pruning path: {error}. Write it anew.", path=str(path)
            ) from error
