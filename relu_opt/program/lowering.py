r"""The training program as a linear program over cones, and the way back.

With blocks w_b, bounds t_b on their norms, the fits z and the variables e of the loss,

    minimise  loss(z, e) + λ Σ t_b   subject to  Σ_b X_b w_b + c − z = 0,  S_i X w_b ≥ 0,
                                                 ‖w_b‖ ≤ t_b,  (z, e) ∈ epigraph of the loss.

The rows Σ_b X_b w_b + c = z have the multiplier ∇F(ŷ) = −ν. All variables and the cost are in
units of the problem (see `Units`), so that a solver's absolute tolerances are relative ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csc_array, diags_array, eye_array, hstack, vstack

from relu_opt.arrays import FloatArray, frozen
from relu_opt.errors import DataError, UnsupportedProgram
from relu_opt.program.conic import Cones, ConicProgram, half_square_rows
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.loss_term import LossTerm
from relu_opt.program.losses.atoms import Rows

# The most memory that the matrix of a model may take.
LIMIT_BYTES = 8 * 2**30
BYTES_PER_ENTRY = 12  # float64 and int32
# A block is idle if its norm is below this share of its dual slack: interior points end with
# all blocks non-zero, and strict complementarity tells the noise from the answer.
IDLE = 1e-3


@dataclass(frozen=True)
class Units:
    """What the number one of the lowered program means in the training program.

    Attributes
    ----------
    cost : float
        Of the objective: λ · weight, so that a norm costs 1. A small λ is then no small number
        beside a solver's tolerances, and the optimum stays well above them.
    loss : float
        Of F in the loss's epigraph: F at the zero network, its intercept optimised.
    centre, fit : float
        Fits are centre + fit · z; centre is the zero network's intercept and fit the spread
        of the targets about it (1 for labels).
    weight : float
        Of the weights: fit over the rms norm of a data row.
    """

    cost: float
    loss: float
    centre: float
    fit: float
    weight: float

    @classmethod
    def of(cls, prog: ConvexProgram) -> Units:
        """The units that suit a program."""
        centre = prog.best_intercept(np.zeros(prog.n))
        loss = prog.mean_loss(np.full(prog.n, centre))
        spread = math.sqrt(prog.sample_scale @ (prog.y - centre) ** 2)
        fit = spread if prog.loss.scales else 1.0
        row = math.sqrt(np.mean(prog.cone_rows.norms**2))
        fit, row = fit or 1.0, row or 1.0
        return cls(prog.lam * fit / row, loss or 1.0, centre, fit, fit / row)


@dataclass(frozen=True, eq=False)
class Lowering:
    """A conic program and the way back to the training program.

    Attributes
    ----------
    source : ConvexProgram
        The training program.
    program : ConicProgram
        Its conic form; an objective of it times `units.cost` is one of the source.
    units : Units
    """

    source: ConvexProgram
    program: ConicProgram
    units: Units

    def recover(
        self, x: FloatArray, z: FloatArray | None = None
    ) -> tuple[FloatArray, float, FloatArray | None]:
        """The training program's primal and dual point.

        Parameters
        ----------
        x, z : arrays
            Primal point and multipliers of the conic program, as `ConicProgram` defines them.

        Returns
        -------
        weights : array of shape `source.weights_shape`
            Without idle blocks, if z is given.
        intercept : float
            0 for a program without one.
        nu : (n,) array or None
            In the domain of D, and with Σν = 0 if the program has an intercept; None without z.
        """
        prog, units = self.source, self.units
        size = math.prod(prog.weights_shape)
        weights = units.weight * x[:size].reshape(prog.weights_shape)
        constant = size + size // prog.d + prog.n  # after the blocks, their norms and the fits
        intercept = units.centre + units.fit * float(x[constant]) if prog.intercept else 0.0
        if z is None:
            return weights, intercept, None
        cones = self.program.cones
        at = cones.zero + cones.nonnegative
        norm_rows = z[at : at + size + size // prog.d].reshape(*weights.shape[:2], prog.d + 1)
        # Each norm costs 1, so that the multiplier of its bound is 1 too.
        slack = norm_rows[..., 0] - np.linalg.norm(norm_rows[..., 1:], axis=2)
        weights = without_idle_blocks(weights, slack, units.weight)
        nu = -units.cost / units.fit * z[: prog.n]
        return weights, intercept, into_domain(prog, nu)


def without_idle_blocks(weights: FloatArray, slack: FloatArray, unit: float) -> FloatArray:
    """The weights with the noise of a solver removed from blocks that its dual point rules out.

    Parameters
    ----------
    weights : (signs, p, d) array
    slack : (signs, p) array
        1 − ‖v_b‖/λ of the dual point, where v_b = X_bᵀν + (S_iX)ᵀρ_b.
    unit : float
        The unit of the weights.
    """
    idle = np.linalg.norm(weights, axis=2) < IDLE * unit * slack
    return np.where(idle[..., None], 0.0, weights)


def into_domain(prog: LossTerm, nu: FloatArray) -> FloatArray:
    """The multipliers of a solver, moved by its rounding error into the domain of D.

    Values are clipped to the slopes that the loss has; with an intercept, the side of the
    larger sum is then shrunk until Σν = 0.
    """
    low, high = prog.loss.slopes(prog.y)
    return prog.admissible(np.clip(nu, low * prog.sample_scale, high * prog.sample_scale))


def check_memory(prog: ConvexProgram, copies: float = 2.5) -> None:
    """Refuse a program whose sparse matrix would not fit into memory.

    Parameters
    ----------
    copies : float
        How many times the matrix is held at the peak.

    Raises
    ------
    DataError
        If it needs more than `LIMIT_BYTES`.
    """
    signs, patterns, features = prog.weights_shape
    rows = (1.0 if prog.activation.slope else 0.5) * prog.n
    rows += 0 if prog.activation.gated else prog.n
    needed = copies * BYTES_PER_ENTRY * rows * signs * patterns * features
    if needed > LIMIT_BYTES:
        raise DataError(
            f"The conic form of {prog!r} needs about {needed / 2**30:.1f} GiB, and the limit is "
            f"{LIMIT_BYTES / 2**30:.0f} GiB. Use fewer patterns, or backend='native', which "
            "needs np/8 + 8(nd + pd) bytes.",
            gib=needed / 2**30,
            limit_gib=LIMIT_BYTES / 2**30,
        )


def lower_to_conic(prog: ConvexProgram) -> Lowering:
    """The conic form of a training program.

    Raises
    ------
    DataError
        If the matrix of n·2·p·d entries and more would not fit into memory.
    UnsupportedProgram
        If the loss has no conic form here.
    """
    check_memory(prog)
    units = Units.of(prog)
    loss = _loss_rows(prog, units)
    signs, patterns, d = prog.weights_shape
    blocks, n = signs * patterns, prog.n
    unit_rows = prog.cone_rows.unit[prog.cone_rows.norms > 0]
    cone_rows = 0 if prog.activation.gated else len(unit_rows)

    # Rows: fits, the loss's inequalities, cones, norms, the loss's quadratic and exponential part.
    cones_at = n + loss.nonnegative.b.size
    norms_at = cones_at + blocks * cone_rows
    tail_at = norms_at + blocks * (d + 1)
    rows = tail_at + loss.second_order.b.size + loss.exponential.b.size
    weights = _weight_columns(prog, units, unit_rows[:cone_rows], cones_at, norms_at, rows)

    heads = (np.full(blocks, -1.0), (norms_at + (d + 1) * np.arange(blocks), np.arange(blocks)))
    bounds = csc_array(heads, shape=(rows, blocks))
    middle = csc_array((tail_at - cones_at, n + loss.cost.size))
    fits = hstack([-eye_array(n), csc_array((n, loss.cost.size))])
    rest = vstack([fits, loss.nonnegative.A, middle, loss.second_order.A, loss.exponential.A])
    constant = csc_array(np.r_[np.ones(n), np.zeros(rows - n)][:, None])
    columns = [weights, bounds, rest[:, :n], constant, rest[:, n:]]
    if not prog.intercept:
        del columns[3]

    c = np.r_[
        np.zeros(weights.shape[1]),
        np.ones(blocks),
        units.loss / units.cost * loss.linear,
        np.zeros(int(prog.intercept)),
        units.loss / units.cost * loss.cost,
    ]
    b = np.r_[
        np.zeros(n),
        loss.nonnegative.b,
        np.zeros(tail_at - cones_at),
        loss.second_order.b,
        loss.exponential.b,
    ]
    tail = loss.second_order.b.size
    sizes = (d + 1,) * blocks + ((tail,) if tail else ())
    cones = Cones(n, norms_at - n, sizes, loss.exponential.b.size // 3)
    A = hstack([part.tocsc() for part in columns], format="csc")
    A = csc_array(A)
    frozen(A.data)  # ours alone: no copy is needed
    program = ConicProgram(c, A, b, cones, units.loss / units.cost * loss.constant)
    return Lowering(prog, program, units)


def _weight_columns(
    prog: ConvexProgram,
    units: Units,
    unit_rows: FloatArray,
    cones_at: int,
    norms_at: int,
    rows: int,
) -> csc_array:
    """The columns of all blocks: X_b in the rows of the fits, −S_iX (rows of unit norm), −I."""
    signs, patterns, d = prog.weights_shape
    slope = prog.activation.slope
    active = np.full(patterns, prog.n)
    if not slope:
        masks = np.unpackbits(prog.patterns.packed, axis=1, count=prog.n)
        active = masks.sum(axis=1, dtype=np.int64)
    heights = np.tile(active + len(unit_rows) + 1, signs)
    starts = np.r_[0, np.cumsum(np.repeat(heights, d))]
    kept = prog.cone_rows.norms > 0
    starts = starts.astype(np.int32 if starts[-1] < 2**31 else np.int64)
    data, indices = np.empty(starts[-1]), np.empty(starts[-1], dtype=starts.dtype)
    scaled = units.weight / units.fit * prog.X
    for block in range(signs * patterns):
        sign, pattern = divmod(block, patterns)
        mask = prog.patterns.unpack(slice(pattern, pattern + 1))[0]
        on = np.arange(prog.n) if slope else np.flatnonzero(mask)
        part = slice(starts[block * d], starts[(block + 1) * d])
        values, where = data[part].reshape(d, -1), indices[part].reshape(d, -1)
        values[:, : len(on)] = prog.signs[sign] * scaled[on].T
        if slope:
            values[:, : len(on)] *= np.where(mask, 1.0, slope)
        where[:, : len(on)] = on
        if len(unit_rows):
            values[:, len(on) : -1] = -np.where(mask[kept], unit_rows.T, -unit_rows.T)
            where[:, len(on) : -1] = cones_at + block * len(unit_rows) + np.arange(len(unit_rows))
        values[:, -1] = -1.0
        where[:, -1] = norms_at + block * (d + 1) + 1 + np.arange(d)
    columns = csc_array((data, indices, starts), shape=(rows, signs * patterns * d))
    columns.eliminate_zeros()
    return columns


@dataclass(frozen=True, eq=False)
class _LossRows:
    """The epigraph of the loss over the fits z and its own variables e.

    `linear` is the cost of z and `cost` that of e; `second_order` is one cone (or empty),
    `exponential` any number of them. Rows are s = b − A (z, e); `constant` is to be added.
    """

    linear: FloatArray
    cost: FloatArray
    constant: float
    nonnegative: Rows
    second_order: Rows
    exponential: Rows


def _loss_rows(prog: ConvexProgram, units: Units) -> _LossRows:
    """The sum of the loss's atoms: what each costs, its rows, and one cone for all squares."""
    n, weight = prog.n, prog.sample_scale / units.loss
    atoms = prog.loss.atoms(prog.y)
    if not atoms:
        raise UnsupportedProgram(
            f"The {prog.loss.name} loss has no conic form. Use backend='native', or give it atoms.",
            loss=prog.loss.name,
        )
    parts = [each.epigraph(each.share * weight, units.fit) for each in atoms]
    own = [part.cost.size for part in parts]
    linear, constant = np.zeros(n), 0.0
    rows: tuple[list[Rows], ...] = ([], [], [])
    for k, (atom, part) in enumerate(zip(atoms, parts, strict=True)):
        # Its argument is fit·r, and r is slope·z and this.
        shift = (atom.slope * units.centre + atom.offset) / units.fit
        linear += atom.slope * part.linear
        constant += float(part.linear @ shift)
        square = Rows(part.square, np.zeros(part.square.shape[0]))
        for kept, each in zip(rows, (part.nonnegative, square, part.exponential), strict=True):
            A = each.A.tocsc()
            of_fits, of_own = A[:, :n], A[:, n:]
            before, after = sum(own[:k]), sum(own[k + 1 :])
            blank = [csc_array((A.shape[0], size)) for size in (before, after)]
            wide = hstack([of_fits @ diags_array(atom.slope), blank[0], of_own, blank[1]])
            kept.append(Rows(csc_array(wide), each.b - of_fits @ shift))
    nonnegative, square, exponential = map(_stacked, rows)
    cost = np.concatenate([part.cost for part in parts])
    if square.b.size:
        with_bound = hstack([square.A, csc_array((square.b.size, 1))])
        square = Rows(*half_square_rows(csc_array(with_bound), square.b))
        cost = np.append(cost, 1.0)
        nonnegative, exponential = (
            Rows(csc_array(hstack([each.A, csc_array((each.b.size, 1))])), each.b)
            for each in (nonnegative, exponential)
        )
    return _LossRows(linear, cost, constant, nonnegative, square, exponential)


def _stacked(parts: list[Rows]) -> Rows:
    return Rows(csc_array(vstack([each.A for each in parts])), np.concatenate([p.b for p in parts]))
