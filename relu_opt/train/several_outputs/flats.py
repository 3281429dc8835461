r"""The oracle `flats`: M(V) exactly, by eigenvectors on all flats of the hyperplanes.

In a cell with the pattern D, ‖Vᵀ(Xu)₊‖² = uᵀAᵀAu with A = VᵀDX. A maximum over the sphere is a top
eigenvector of AᵀA restricted to the flat that it lies on: the whole space, a hyperplane
x_iᵀu = 0, or an intersection of several. So the largest value at the top eigenvectors of all cells
of all flats is M(V); no membership is tested, since the true function is evaluated (Sahiner et
al., ICLR 2021, call it cone-constrained PCA). Where the top eigenvalue is a multiple one, the
maximum reaches a smaller flat too. There are O(n^(r−1)) cells of rank r.

That is computed, and not proved: cells may be lost to rounding. So the upper bound is that of the
oracle `sphere`, which starts from what is found here.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.clock import Clock
from relu_opt.errors import DataError
from relu_opt.plugins.stopping import until_stopped
from relu_opt.plugins.types import StopReason
from relu_opt.program.arrangement import MAX_PATTERNS, count_patterns_bound, enumerate_patterns
from relu_opt.program.lines import merge
from relu_opt.train.all_patterns.separation_bounds import RowSpace
from relu_opt.train.several_outputs.bounds import (
    MOST_DIRECTIONS,
    Terms,
    VectorSeparation,
    distinct,
    null_basis,
)
from relu_opt.train.several_outputs.sphere import VectorSphere


class VectorFlats:
    """All flats for the rows that the neurons see.

    Parameters
    ----------
    space : RowSpace
        Of those rows.
    max_patterns : int
        As of `enumerate_patterns`, for all flats together.

    Raises
    ------
    DataError
        If there may be more cells.
    """

    name = "flats"

    def __init__(self, space: RowSpace, max_patterns: int = MAX_PATTERNS) -> None:
        self.space = space
        count = count_patterns_bound(space.rows) if self.space.rank else 0
        if count > max_patterns:
            raise DataError(
                f"The data have up to {count} activation patterns, more than max_patterns = "
                f"{max_patterns}. Use the oracle 'sphere', or raise max_patterns.",
                count=count,
                limit=max_patterns,
            )

    def search(
        self,
        weights: FloatArray,
        target: float,
        rel: float,
        clock: Clock,
        starts: FloatArray | None = None,
    ) -> VectorSeparation:
        """Bound M: the flats give its value up to rounding, and a search of cones shows it.

        See `VectorSphere.search`; the flats are looked at whatever `target` and `rel` are.
        """
        terms = Terms.of(self.space, weights)
        points: list[FloatArray] = []

        def collect() -> None:
            for top in self._candidates(terms):
                points.append(top)
                clock.check()

        stop = until_stopped(collect).stop
        every = np.array(points) if points else np.zeros((0, self.space.rank))
        every = np.concatenate([every, -every])
        directions, values = distinct(every, terms.values(every), MOST_DIRECTIONS)
        found = self.space.outward(directions)
        if stop is StopReason.CONVERGED:
            shown = VectorSphere(self.space).search(weights, target, rel, clock, found)
            stop, upper, cones = shown.stop, shown.upper, shown.work
        else:
            upper, cones = terms.everywhere(terms.size), 0
        return VectorSeparation(
            terms.surely(float(values.max(initial=0.0))),
            upper,
            found,
            values,
            self.name,
            f"eigenvectors on {len(points)} cells of all flats, and branch and bound over {cones} "
            "cones of directions",
            stop,
            len(points),
        )

    def _candidates(self, terms: Terms) -> Iterator[FloatArray]:
        """A top eigenvector for each cell of each flat."""
        r = self.space.rank
        if not r or terms.size == 0.0:
            return
        units = terms.a / np.linalg.norm(terms.a, axis=1, keepdims=True)
        for count in range(r):
            for rows in itertools.combinations(range(len(units)), count):
                Q = null_basis(units[list(rows)], r)
                if Q.shape[1] != r - count:
                    continue
                gates = self._cells(units, rows, Q)
                for gate in gates.T:
                    active = units @ (Q @ gate) > 0
                    # The flat's own hyperplanes contribute nothing on it.
                    active[list(rows)] = False
                    A = (terms.w[active].T @ terms.a[active] + terms.B) @ Q
                    yield Q @ np.linalg.svd(A)[2][0]

    @staticmethod
    def _cells(units: FloatArray, rows: tuple[int, ...], Q: FloatArray) -> FloatArray:
        """A direction in each cell of a flat, in its coordinates."""
        if Q.shape[1] == 1:
            return np.array([[1.0, -1.0]])
        others = np.delete(units, list(rows), axis=0) @ Q
        others = others[np.linalg.norm(others, axis=1) > 1e-10]
        if not len(others):
            return np.eye(Q.shape[1])[:, :1]
        # Flats are found in doubles, so that parallel rows on them are so up to rounding.
        lines, _, _ = merge(others / np.linalg.norm(others, axis=1, keepdims=True))
        gates = enumerate_patterns(lines).gates
        assert gates is not None  # noqa: S101 - the enumeration gives them
        return gates
