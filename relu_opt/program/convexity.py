r"""Whether a matrix is positive semidefinite, at any size.

Each variable is measured by its own curvature: with D the diagonal of P, what is asked is whether
D^(−½) P D^(−½) + ε·I has a Cholesky factor. So P = diag(10¹⁰, −1) is as indefinite as diag(1, −1).
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csc_array, diags_array, eye_array
from scipy.sparse.linalg import splu

from relu_opt.arrays import FloatArray
from relu_opt.errors import DataError

# ε that rounding in P and in the factors explains, per column, and the largest that is taken for
# digits that P lost: its bound on the objective is charged for it.
ROUNDING, INDEFINITE = 2e-15, 1e-9
# Up to so many columns, or with so large a share of entries, P is factored as a dense matrix.
SMALL, DENSE = 500, 0.1
# Up to so many columns the eigenvalue is found that says why.
SHOWN = 3000


def dent(P: csc_array) -> float:
    """An ε for which P + ε·diag(P) is positive semidefinite; 0 where only rounding is missing.

    Raises
    ------
    DataError
        If P is not positive semidefinite.
    """
    if not P.nnz:
        return 0.0
    diagonal = np.asarray(P.diagonal())
    roots = np.sqrt(np.maximum(diagonal, 0.0))
    if np.abs(loose(P).data).max(initial=0.0) > ROUNDING * diagonal.max(initial=0.0):
        raise _indefinite(P)
    curved = np.flatnonzero(roots)
    inverse = diags_array(1.0 / roots[curved])
    unit = csc_array(inverse @ P[:, curved].tocsr()[curved] @ inverse)
    for shift in (ROUNDING * len(curved), 1e-12, INDEFINITE):
        if _is_definite(unit, shift):
            return 0.0 if shift == ROUNDING * len(curved) else shift
    raise _indefinite(P)


def loose(P: csc_array) -> csc_array:
    """The entries of P in rows or columns without a positive diagonal: rounding, or indefinite."""
    flat = P.diagonal() <= 0
    owners = np.repeat(np.arange(P.shape[1]), np.diff(P.indptr))
    data = np.where(flat[owners] | flat[P.indices], P.data, 0.0)
    entries = csc_array((data, P.indices.copy(), P.indptr.copy()), shape=P.shape)
    entries.eliminate_zeros()
    return entries


def _indefinite(P: csc_array) -> DataError:
    least = float(P.diagonal().min())
    shown = f"a diagonal entry {least:.3g}" if least < 0 else "a negative eigenvalue"
    fields: dict[str, float] = {}
    if P.shape[0] <= SHOWN:
        values = np.linalg.eigvalsh(P.toarray())
        shown = f"the eigenvalue {values[0]:.3g} (the largest is {values[-1]:.3g})"
        fields = {"eigenvalue": float(values[0])}
    return DataError(
        f"P has {shown}, so the program is not convex. Pass a positive semidefinite P, such as "
        "LᵀL.",
        **fields,
    )


def _is_definite(unit: csc_array, shift: float) -> bool:
    size = unit.shape[0]
    if size <= SMALL or unit.nnz > DENSE * size**2:
        try:
            np.linalg.cholesky(unit.toarray() + shift * np.eye(size))
        except np.linalg.LinAlgError:
            return False
        return True
    shifted = csc_array(unit + shift * eye_array(size))
    try:
        factors = splu(
            shifted,
            permc_spec="MMD_AT_PLUS_A",
            diag_pivot_thresh=0.0,
            options={"SymmetricMode": True},
        )
    except RuntimeError:  # a pivot that is zero
        return False
    pivots: FloatArray = factors.U.diagonal()
    return bool(np.array_equal(factors.perm_r, factors.perm_c) and (pivots > 0).all())
