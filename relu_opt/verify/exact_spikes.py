r"""How far spike-free data are from it, in exact arithmetic."""

from __future__ import annotations

from fractions import Fraction

from relu_opt.verify.exact_cones import dot, size
from relu_opt.verify.exact_integers import root_above

# Directions of rows whose Gram matrix is inverted.
MOST_DIRECTIONS = 50
# Rows are of one direction if the rest of one is less than its size by this factor, squared.
SAME = 2**80


def directions(rows: list[list[int]]) -> tuple[list[list[int]], list[Fraction]]:
    """Rows of which all others are multiples; and by how much each row is not one, at most."""
    found: list[list[int]] = []
    missed = [Fraction(0)] * len(rows)
    for k, row in enumerate(rows):
        square = dot(row, row)
        for other in found:
            along = dot(row, other)
            rest = square - Fraction(along**2, dot(other, other))
            if along > 0 and rest * SAME <= square:
                missed[k] = root_above(rest)
                break
        else:
            found += [row] if square else []
    return found, missed


def stretch(rows: list[list[int]]) -> tuple[Fraction, str]:
    r"""How much longer than u the v of (Xu)₊ = Xv may be, squared; or why no bound is known.

    With G the Gram matrix of independent rows a_k, those of X up to factors, and
    E_kl = max(0, (G⁻¹)_kl), k ≠ l, u has ‖u‖² ≥ zᵀG⁻¹z for z = Au, and z₊ and z₋ have no common
    entry, so that

        ‖u‖² ≥ ‖v‖² + ‖w‖² − 2 z₊ᵀE z₋ ≥ ‖v‖² + ‖w‖² − 2e‖v‖‖w‖ ≥ (1 − e²)‖v‖²

    with v, w of least norm for z₊, z₋ and e = ‖E‖‖G‖ (Frobenius norm and trace here). Spike-free
    data have E = 0.
    """
    if not rows:
        return Fraction(1), ""
    if len(rows) > min(len(rows[0]), MOST_DIRECTIONS):
        return Fraction(0), f"the rows have {len(rows)} directions, which is too many"
    # Rows of about one size, so that e is not that of the scales.
    sizes = [size(row) for row in rows]
    units = [
        [value << max(sizes) - each for value in row] for row, each in zip(rows, sizes, strict=True)
    ]
    gram = [[dot(a, b) for b in units] for a in units]
    adjugate, determinant = _adjugate(gram)
    if not determinant:
        return Fraction(0), "the rows are linearly dependent"
    apart = sum(
        max(0, entry) ** 2
        for k, row in enumerate(adjugate)
        for j, entry in enumerate(row)
        if j != k
    )
    e2 = Fraction(apart * sum(gram[k][k] for k in range(len(gram))) ** 2, determinant**2)
    if e2 >= 1:
        return Fraction(
            0
        ), "the inverse Gram matrix of their rows has positive entries beside its diagonal"
    return 1 / (1 - e2), ""


def _adjugate(gram: list[list[int]]) -> tuple[list[list[int]], int]:
    """Adjugate and determinant of a Gram matrix, without fractions (Bareiss, 1968).

    A determinant of zero says that the rows are dependent; the adjugate is then not there.
    """
    r, before = len(gram), 1
    table = [[*row, *(int(j == k) for j in range(r))] for k, row in enumerate(gram)]
    for k in range(r):
        pivot = table[k][k]
        if not pivot:
            return [], 0
        for j in range(r):
            if j != k:
                factor = table[j][k]
                pairs = zip(table[j], table[k], strict=True)
                table[j] = [(pivot * a - factor * b) // before for a, b in pairs]
        before = pivot
    return [row[r:] for row in table], before
