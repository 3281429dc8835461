r"""The linear algebra of pruning: steps that switch neurons off one after another.

A balanced network's fits are C s: the columns of C are the neurons' contributions q_j scaled to
norm one (and, where an output constant is free, 1/√n as the last column), s_j = ‖q_j‖ ≥ 0 is how
much of a column there is, and the coefficient of the constant has no sign. All steps are of one
form: s ← s − t z until the first neuron is zero.

* Exact (Mishkin & Pilanci, ICML 2023, Algorithm 1): C z = 0, so the fits stay.
* Least squares (the Optimal/LS extension there): with H = (CᵀC)⁻¹ the column z = H e_j/H_jj takes
  neuron j away and fits what it did by the others as well as they can; ‖C z‖ = 1/√H_jj.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import lstsq, qr, solve_triangular

from relu_opt.arrays import BoolArray, FloatArray, IntArray
from relu_opt.progress.bar import Announcer

# Columns of norm one are dependent when a pivot is at most this share of the largest: of the
# pivots of the factor R, or of the singular values where a kept pivot is below DOUBT.
RANK_TOLERANCE = 1e-10
DOUBT = 1e-6
# Entries of a null vector below this share of its largest are rounding.
NEGLIGIBLE = 1e-13
# A neuron that a step leaves with this share of itself was to be zero.
VANISHED = 1e-13
# How much of the diagonal of H a downdate may cancel before H is computed anew.
CANCELLED = 1e-6


def null_space(columns: FloatArray, sizes: FloatArray) -> FloatArray:
    """Rows that are a basis of {z : C z = 0}, of one QR factorisation with pivoting.

    Parameters
    ----------
    columns : (m, k) array
        C, of columns of norm one.
    sizes : (k,) array
        How much of each column there is. Of columns that could equally well be kept as
        independent, the larger is: so the answer does not depend on the order of the columns.

    Returns
    -------
    (k − rank, k) array
        One row for each column that depends on others, the smallest columns first. The rank is
        the number of |R_ii| > 1e−10 |R_00|; where the last of these is below 1e−6 |R_00|, it is
        the number of singular values > 1e−10 of the largest.
    """
    k = columns.shape[1]
    place = np.empty(k)
    place[np.argsort(np.abs(sizes), kind="stable")] = np.arange(1, k + 1)
    tilt = 0.5 + 0.5 * place / k
    factor, order = qr(columns * tilt, mode="r", pivoting=True, check_finite=False)
    factor = factor[: min(columns.shape)]
    pivots = np.abs(factor.diagonal())
    rank = int(np.count_nonzero(pivots > RANK_TOLERANCE * pivots[0]))
    if pivots[rank - 1] > DOUBT * pivots[0]:
        dependent = solve_triangular(factor[:rank, :rank], factor[:rank, rank:]).T
        own, rows = np.arange(rank, k), np.hstack([-dependent, np.eye(k - rank)])
    else:
        own, rows = _null_rows(factor)
    basis = np.empty_like(rows)
    basis[:, order] = rows
    # The pivots of dependent columns are rounding, so their order says nothing.
    return np.asarray(basis[np.argsort(place[order[own]])] * tilt)


def _null_rows(factor: FloatArray) -> tuple[IntArray, FloatArray]:
    """A basis of the null space by singular values: a unit matrix in some columns, and these."""
    _, values, rows = np.linalg.svd(factor)
    null = rows[np.count_nonzero(values > RANK_TOLERANCE * values[0]) :]
    if not len(null):
        return np.zeros(0, dtype=np.intp), null
    # Singular vectors of equal values are any; this basis is the same whichever they are.
    chosen = qr(null, mode="r", pivoting=True)[1][: len(null)]
    return chosen, np.linalg.solve(null[:, chosen], null)


def exact_steps(
    columns: FloatArray,
    count: int,
    sizes: FloatArray,
    rates: FloatArray,
    to: int,
    limit: float,
) -> tuple[list[FloatArray], bool]:
    """Switch neurons off without a change of the fits, until no step is left.

    Parameters
    ----------
    columns : (n, k) array
        C. The first `count` columns are neurons; one more is the constant.
    count : int
        Number of neurons.
    sizes : (k,) array
        s at the start.
    rates : (k,) array
        The objective's derivative by s. Each step goes the way in which it does not rise.
    to : int
        Stop as soon as at most so many neurons are left.
    limit : float
        The largest change of the fits, as a norm, that rounding may add up to. Steps that would
        change them more are not made.

    Returns
    -------
    steps : list of (k,) arrays
        s after each step.
    minimal : bool
        Whether the columns that are left are independent.
    """
    columns = _compressed(columns)
    target = columns @ sizes
    steps, minimal = [sizes], False
    tell = Announcer("prune")
    while not minimal:
        now = steps[-1]
        tell(len(steps) - 1, f"pruning, {np.count_nonzero(now)} neurons")
        active = _active(now, count)
        part = _smallest(active, now, count, 2 * len(columns))
        if not len(part):
            return steps[1:], True
        null = null_space(columns[:, part], now[part])
        minimal = not len(null) and len(part) == len(active)
        kept = len(active) - len(part)
        drift = columns @ now - target
        found = _sweep(
            columns[:, part],
            int(np.count_nonzero(part < count)),
            now[part],
            rates[part],
            null,
            to - kept,
            (drift, limit),
        )
        for each in found:
            steps.append(now.copy())
            steps[-1][part] = each
        if not found:
            break
    if minimal and len(steps) > 1:
        steps[-1] = _repaired(columns, count, steps[-2:], rates, target)
    return steps[1:], minimal


def _compressed(columns: FloatArray) -> FloatArray:
    """Columns with the same products, of no more rows than columns."""
    if len(columns) <= columns.shape[1]:
        return columns
    return np.asarray(np.linalg.qr(columns, mode="r"))


def _sweep(
    columns: FloatArray,
    count: int,
    sizes: FloatArray,
    rates: FloatArray,
    null: FloatArray,
    to: int,
    promise: tuple[FloatArray, float],
) -> list[FloatArray]:
    """The sizes after each step along the rows of `null`, which has one less after each."""
    drift, limit = promise
    steps: list[FloatArray] = []
    start, width = sizes, int(np.count_nonzero(sizes[:count]))
    while len(null) and width > to:
        direction = _pointed(null[0], count, rates)
        hit, length = _first_zero(sizes[:count], direction[:count])
        moved = _moved(sizes, count, length * direction, hit)
        change = columns @ (moved - start) + drift
        if change @ change > limit**2:
            null = null[1:]
            continue
        gone = np.flatnonzero((moved[:count] == 0) & (sizes[:count] > 0))
        for j in gone:
            null = _without(null, int(j))
        width -= len(gone)
        sizes = moved
        steps.append(sizes)
    return steps


def _active(sizes: FloatArray, count: int) -> IntArray:
    """The neurons that are on, and the constant if there is one."""
    return np.append(np.flatnonzero(sizes[:count] > 0), np.arange(count, len(sizes)))


def _smallest(active: IntArray, sizes: FloatArray, count: int, most: int) -> IntArray:
    """Of many active columns the constant and the smallest neurons, at most so many.

    More columns than rows are dependent whichever they are, and fewer null vectors at a time
    are less work.
    """
    neurons = active[active < count]
    if len(neurons) <= most:
        return active
    chosen = np.sort(neurons[np.argsort(sizes[neurons], kind="stable")[:most]])
    return np.append(chosen, active[active >= count])


def _pointed(vector: FloatArray, count: int, rates: FloatArray) -> FloatArray:
    """±z, largest entry 1, so that s − t z does not raise the objective and ends at a neuron."""
    high, low = vector[:count].max(), vector[:count].min()
    size = max(high, -low)
    shrinks, grows = high > NEGLIGIBLE * size, -low > NEGLIGIBLE * size
    turned = rates @ vector < 0 if shrinks and grows else grows
    return np.asarray(vector / (-size if turned else size))


def _first_zero(sizes: FloatArray, direction: FloatArray) -> tuple[int, float]:
    """Along s − t z: the neuron that is zero first, and its t."""
    lengths = np.full(len(sizes), np.inf)
    np.divide(sizes, direction, out=lengths, where=direction > NEGLIGIBLE)
    hit = int(lengths.argmin())
    return hit, float(lengths[hit])


def _moved(sizes: FloatArray, count: int, change: FloatArray, hit: int) -> FloatArray:
    """s less the change; the neuron that was hit, and those that vanish with it, exactly zero."""
    moved = sizes - change
    moved[:count][moved[:count] <= VANISHED * sizes[:count]] = 0.0
    moved[hit] = 0.0
    return moved


def _without(null: FloatArray, j: int) -> FloatArray:
    """A basis of the null vectors with entry j zero, by one elimination; `null` is used up."""
    if not len(null):
        return null
    entries = null[:, j].copy()
    pivot = int(np.argmax(np.abs(entries)))
    if abs(entries[pivot]) > NEGLIGIBLE * np.abs(null[pivot]).max():
        null -= (entries / entries[pivot])[:, None] * null[pivot]
        null[pivot] = null[0]
        null = null[1:]
    null[:, j] = 0.0
    return null


def _repaired(
    columns: FloatArray,
    count: int,
    steps: list[FloatArray],
    rates: FloatArray,
    target: FloatArray,
) -> FloatArray:
    """The last of two steps, its independent columns fitted once more to the first fits.

    Takes away the rounding that the steps added up to. Kept only if all neurons stay and the
    objective is not above that of the step before.
    """
    before, sizes = steps
    active = _active(sizes, count)
    if not len(active):
        return sizes
    drift = target - columns @ sizes
    better = sizes.copy()
    better[active] += lstsq(columns[:, active], drift, lapack_driver="gelsy")[0]
    kept = (better[active[active < count]] > 0).all()
    raised = rates @ (better - before) > 1e-14 * (np.abs(rates) @ np.abs(before))
    return better if kept and not raised else sizes


def least_squares_steps(
    columns: FloatArray, count: int, sizes: FloatArray, to: int
) -> list[FloatArray]:
    """Switch neurons off with the least change of the fits at each step.

    For each active neuron j the step along z = H e_j/H_jj, up to the whole of neuron j, ends
    where the first neuron is zero; the step of the smallest ‖C Δs‖ is made. H is downdated
    when a neuron leaves, and computed anew when that cancels more than six digits.

    Parameters
    ----------
    columns, count, sizes, to
        As in `exact_steps`; the columns of the neurons that are on should be independent.

    Returns
    -------
    list of (k,) arrays
        s after each step.
    """
    columns = _compressed(columns)
    steps = [sizes]
    active = _active(sizes, count)
    inverse, fresh = np.zeros((0, 0)), np.zeros(0)
    neurons = int(np.count_nonzero(active < count))
    tell = Announcer("prune", neurons - to)
    while neurons > to:
        tell(len(steps) - 1, f"pruning, {neurons} neurons")
        if not len(inverse):
            inverse = inverse_gram(columns[:, active])
            fresh = inverse.diagonal()
        now = steps[-1][active]
        lengths = np.full((neurons, neurons), np.inf)
        shares = inverse[:neurons, :neurons]
        np.divide(now[:neurons, None], shares, out=lengths, where=shares > 0)
        hits, lengths = lengths.argmin(axis=0), lengths.min(axis=0)
        pick = int(np.argmin(lengths * np.sqrt(inverse.diagonal()[:neurons])))
        moved = _moved(now, neurons, lengths[pick] * inverse[:, pick], hits[pick])
        after = np.zeros_like(sizes)
        after[active] = moved
        steps.append(after)
        stay = np.append(moved[:neurons] > 0, np.ones(len(active) - neurons, dtype=bool))
        inverse, fresh = _downdated(inverse, stay), fresh[stay]
        if (inverse.diagonal() < CANCELLED * fresh).any():
            inverse = np.zeros((0, 0))
        active = active[stay]
        neurons = int(np.count_nonzero(active < count))
    return steps[1:]


def inverse_gram(columns: FloatArray) -> FloatArray:
    """(CᵀC)⁻¹ through the pseudo-inverse of C, which squares no condition number."""
    inverse = np.linalg.pinv(columns)
    return np.asarray(inverse @ inverse.T)


def _downdated(inverse: FloatArray, stay: BoolArray) -> FloatArray:
    """The inverse Gram matrix of the columns that stay, by a Schur complement each that leaves."""
    for row in np.flatnonzero(~stay):
        inverse = inverse - np.outer(inverse[:, row], inverse[row] / inverse[row, row])
    return np.asarray(inverse[np.ix_(stay, stay)])
