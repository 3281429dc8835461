r"""One form of linear, quadratic and conic programs, for those who judge their answers.

    minimise  ½xᵀPx + cᵀx + offset   subject to   row_lower ≤ Ax ≤ row_upper,  lower ≤ x ≤ upper,
                                                  (b − Ax)_B ∈ K_B for the blocks B of other rows

Its sizes say what an error is relative to, each row and each variable by itself: a program may
have a bound of 10⁹ beside numbers of size one, and metres beside picofarads.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self
from weakref import WeakKeyDictionary

import numpy as np
from scipy.sparse import csc_array, csr_array

from relu_opt.arrays import BoolArray, FloatArray, IntArray
from relu_opt.program.conic import Cones, ConicProgram
from relu_opt.program.convexity import loose
from relu_opt.program.linear import LinearProgram, QuadraticProgram, without_infinite

# Sizes go from row to column to row so many times at most.
LONGEST_CHAIN = 20
# What is smaller than others by this is their rounding, and the same of entries and sides of rows
# with several terms, which may be what is left of sums.
FAINT, FAINT_SUM = 1e-13, 1e-11
# A point may well be so many times as large as the sides of its program, and these as this.
ORDINARY, LARGEST_SIDE = 1e3, 1e3

StandardProgram = LinearProgram | QuadraticProgram | ConicProgram


@dataclass(frozen=True, eq=False)
class Form:
    """A program as its judge sees it.

    Attributes
    ----------
    P, A : csc_array
        P may have no entries.
    c : (k,) array
    row_lower, row_upper : (m,) arrays
        Sides of the rows, ±inf where there is none, and for rows of cones.
    lower, upper : (k,) arrays
    offset : float
    b : (m,) array
        Right-hand sides of the rows of cones; 0 for others.
    cones : Cones
        Those of the last rows, without zero and nonnegative ones.
    whole : (k,) array of bool or None
        Which variables have to be integers.
    dent : float
        P + dent·diag(P) is positive semidefinite; see `convexity`.
    """

    P: csc_array
    c: FloatArray
    A: csc_array
    row_lower: FloatArray
    row_upper: FloatArray
    lower: FloatArray
    upper: FloatArray
    offset: float
    b: FloatArray
    cones: Cones
    whole: BoolArray | None = None
    dent: float = 0.0

    @classmethod
    def of(cls, program: StandardProgram, dent: float = 0.0) -> Self:
        """The form of a program; nothing large is copied."""
        size = len(program.c)
        if isinstance(program, ConicProgram):
            cones, rows = program.cones, len(program.b)
            plain = cones.zero + cones.nonnegative
            upper = np.where(np.arange(rows) < plain, program.b, np.inf)
            lower = np.where(np.arange(rows) < cones.zero, program.b, -np.inf)
            b = np.where(np.arange(rows) < plain, 0.0, program.b)
            free = np.full(size, np.inf)
            rest = replace(cones, zero=0, nonnegative=0)
            sides = lower, without_infinite(upper), -free, free
            return cls(
                csc_array((size, size)), program.c, program.A, *sides, program.offset, b, rest
            )
        return cls(
            program.P if isinstance(program, QuadraticProgram) else csc_array((size, size)),
            program.c,
            program.A,
            program.row_lower,
            program.row_upper,
            program.lower,
            program.upper,
            program.offset,
            np.zeros(program.rows),
            Cones(),
            None if isinstance(program, QuadraticProgram) else program.integrality,
            dent,
        )

    @property
    def plain(self) -> int:
        """Number of rows that belong to no cone; they come first."""
        return len(self.b) - self.cones.rows

    def gradient(self, x: FloatArray) -> FloatArray:
        """Px + c."""
        return np.asarray(self.P @ x + self.c)

    def multipliers(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """z = −(Px + c + Aᵀy), of the variables' bounds."""
        return np.asarray(-(self.gradient(x) + self.across @ y))

    def curvature(self, x: FloatArray) -> float:
        """½xᵀPx."""
        return 0.5 * float(x @ (self.P @ x))

    @cached_property
    def sizes(self) -> tuple[csc_array, csc_array]:
        """|P| and |A|."""
        return abs(self.P), abs(self.A)

    @cached_property
    def across(self) -> csr_array:
        """Aᵀ."""
        return csr_array(self.A.T)

    @cached_property
    def columns(self) -> IntArray:
        """The column that each entry of A is in."""
        return np.repeat(np.arange(len(self.c)), np.diff(self.A.indptr))

    @cached_property
    def coarse(self) -> csr_array:
        """|A|ᵀ, with entries that are rounding beside others of their column as large as those."""
        entries = np.abs(self.A.data)
        largest = largest_of(entries, self.columns, len(self.c))[self.columns]
        data = np.where(entries <= FAINT * largest, largest, entries)
        return csr_array((data, self.A.indices, self.A.indptr), shape=self.A.shape[::-1])

    @cached_property
    def loose(self) -> csc_array:
        """|P| where no curvature holds an entry."""
        return abs(loose(self.P))

    @cached_property
    def units(self) -> FloatArray:
        """A size below which a variable is as good as zero to everything that it is in, (k,).

        The least |side|/|a| of its rows, |bound| and |c|/P of its own, where they are not zero;
        1 where nothing is less.
        """
        rows, own = self._solid
        with np.errstate(all="ignore"):
            own = np.minimum(own.min(axis=0), _size(self.c / self.P.diagonal()))
        units = self._spread(self.A.indices, self.columns, self._shared(rows.min(axis=0)), own)
        return np.minimum(1.0, units)

    @cached_property
    def own(self) -> FloatArray:
        """The size of each row without its side, Σ|a|·unit, (m,)."""
        return np.asarray(self.sizes[1] @ self.units)

    @cached_property
    def ordinary(self) -> float:
        """How large the entries of a point may be without being far out."""
        rows, own = self._solid
        sizes = np.concatenate([np.ravel(rows / self._entries), np.ravel(own)])
        sizes = sizes[np.isfinite(sizes)]
        median = float(np.median(sizes)) if len(sizes) else 1.0
        return ORDINARY * min(max(median, 1.0), LARGEST_SIDE)

    @cached_property
    def _entries(self) -> FloatArray:
        """The largest |entry| of each row; 1 where there is none."""
        largest = largest_of(np.abs(self.A.data), self.A.indices, len(self.b))
        return np.where(largest > 0, largest, 1.0)

    @cached_property
    def _solid(self) -> tuple[FloatArray, FloatArray]:
        """|sides| of rows, (3, m), and bounds, (2, k); inf for none, and for those of rounding.

        Files hold sides of 10⁻¹⁶ where zero was meant: rounding beside the largest entry of their
        row, and beside other sides.
        """
        several = np.bincount(self.A.indices, minlength=len(self.b)) > 1
        rows = _size(np.stack([self.row_lower, self.row_upper, self.b]))
        own, sizes = _size(np.stack([self.lower, self.upper])), rows / self._entries
        known = np.concatenate([sizes[np.isfinite(sizes)], own[np.isfinite(own)]])
        most = min(1.0, float(known.max(initial=0.0)))
        rows = np.where(sizes > np.where(several, FAINT_SUM, FAINT) * most, rows, np.inf)
        return rows, np.where(own > FAINT * most, own, np.inf)

    @cached_property
    def prices(self) -> FloatArray:
        """The same of multipliers: the least cost/|a| of a row's columns, 0 without any, (m,)."""
        prices, costs = np.full(len(self.b), np.inf), _size(self.costs)
        # What costs nothing by itself may be tied to what does by a cone: twice.
        for _ in range(2 if self.cones.rows else 1):
            prices = self._spread(self.columns, self.A.indices, costs, prices)
            prices = self._shared(prices)
        return np.where(np.isinf(prices), 0.0, prices)

    @cached_property
    def costs(self) -> FloatArray:
        """|c|, or what the curvature makes of a unit where c is zero, (k,)."""
        return np.where(self.c == 0, self.P.diagonal() * self.units, np.abs(self.c))

    def _spread(
        self, where: IntArray, owners: IntArray, rows: FloatArray, columns: FloatArray
    ) -> FloatArray:
        """Sizes of columns from those of rows, inf where unknown: the least size/|a| of all rows.

        A row without a size has the least of its columns' |a|·size, as soon as one is known.
        Entries that are rounding beside others of their row are passed over. `where` and `owners`
        are the row and the column of each entry of A, or the other way round.
        """
        sizes = np.abs(self.A.data)
        kept = sizes > FAINT_SUM * largest_of(sizes, where, len(rows))[where]
        where, owners, sizes = where[kept], owners[kept], sizes[kept]
        rows, columns = rows.copy(), columns.copy()
        with np.errstate(all="ignore"):
            for _ in range(LONGEST_CHAIN):
                np.minimum.at(columns, owners, rows[where] / sizes)
                found = np.full_like(rows, np.inf)
                np.minimum.at(found, where, _size(columns[owners] * sizes))
                new = np.isinf(rows) & np.isfinite(found)
                if not new.any():
                    break
                rows[new] = found[new]
        return columns

    def _shared(self, sizes: FloatArray) -> FloatArray:
        """Sizes of rows, the rows of a cone with the least of them."""
        if not self.cones.rows:
            return sizes
        least = np.full(int(self.owners.max()) + 1, np.inf)
        np.minimum.at(least, self.owners, sizes[self.plain :])
        return np.concatenate([sizes[: self.plain], least[self.owners]])

    def magnitudes(self, x: FloatArray) -> FloatArray:
        """max(|x|, unit), variable by variable."""
        return np.maximum(np.abs(x), self.units)

    @cached_property
    def rows(self) -> csr_array:
        """A by rows."""
        return csr_array(self.A)

    @cached_property
    def owners(self) -> IntArray:
        """Which cone each row of cones is in."""
        cones = self.cones
        triangles = [order * (order + 1) // 2 for order in cones.semidefinite]
        lengths = [*cones.second_order, *[3] * cones.exponential, *triangles]
        return np.repeat(np.arange(len(lengths)), lengths)


def form_of(program: StandardProgram) -> Form:
    """The form of a program, kept as long as the program is: its sizes are asked for often."""
    form = _FORMS.get(program)
    if form is None:
        form = _FORMS[program] = Form.of(program)
    return form


_FORMS: WeakKeyDictionary[StandardProgram, Form] = WeakKeyDictionary()


def largest_of(values: FloatArray, owners: IntArray, count: int = 0) -> FloatArray:
    """The largest of the values that belong to each of `count` owners or more, 0 without any."""
    found = np.zeros(max(count, int(owners.max(initial=-1)) + 1))
    np.maximum.at(found, owners, values)
    return found


def _size(values: FloatArray) -> FloatArray:
    """|values| where they are neither zero nor infinite, and inf elsewhere."""
    size = np.abs(values)
    return np.where((size > 0) & np.isfinite(size), size, np.inf)
