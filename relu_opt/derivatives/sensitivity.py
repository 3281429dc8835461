r"""How the optimal network moves when λ, the targets or the data do.

On the faces that carry its neurons the optimum solves Newton's equations, those of
`relu_opt.sets.active_system`, and the implicit function theorem gives its derivatives:

    K dz = −ẑ dλ − Mᵀ ∇²_{zy}F dy,    K = MᵀΦM + λ blockdiag((I − ẑ_jẑ_jᵀ)/‖z_j‖).

Source: Mishkin & Pilanci, ICML 2023, §4 (minimal solutions); the degrees of freedom are those of
the group lasso (Vaiter et al. 2012) on the faces.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse.linalg import LinearOperator

from relu_opt.arrays import FloatArray
from relu_opt.derivatives.data_moves import DataMoves
from relu_opt.derivatives.differentiability import Contact, Margins, contacts, off_margin, verdict
from relu_opt.errors import DataError, NotDifferentiable, UnsupportedProgram
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.network import as_inputs, network_blocks
from relu_opt.program.signs import masks_of
from relu_opt.proof.certified_network import CertifiedNetwork
from relu_opt.sets.active_system import ActiveSystem, active_system
from relu_opt.sets.optimal_set import optimal_set
from relu_opt.solving.training import Solution

# A row this close to a neuron's hyperplane, relative to the norms, lies on it.
ON_PLANE = 1e-9


def sensitivity(sol: Solution, minimal: bool = False) -> Sensitivity:
    """The derivatives of the optimal network in λ, the targets and the data.

    Parameters
    ----------
    sol : Solution
        Certified; solved on to its last digits as `optimal_set` does.
    minimal : bool
        Where several networks are optimal: take a minimal one, of which no neuron can be spared,
        and differentiate it among the networks of its own neurons. The others of the set are kept
        off, and do not count for the verdict.

    Returns
    -------
    Sensitivity
        With a verdict. Where it is negative, asking for a number raises `NotDifferentiable`.

    Raises
    ------
    UnsupportedProgram
        If the loss has kinks, as the hinge loss.
    NotCertified
        As `optimal_set`.
    """
    if isinstance(sol, Solution) and not sol.program.loss.smooth:
        raise UnsupportedProgram(
            f"The {sol.program.loss.name} loss has kinks, and an optimal network sits on them, so "
            "that it has no derivatives. Use a smooth one, such as squared_hinge or huber.",
            loss=sol.program.loss.name,
        )
    found = optimal_set(sol)
    prog = found.program
    alpha, network = found.alpha, found.element(found.polytope.start)
    if minimal and not found.is_unique:
        network = found.vertex()
        alpha = found.alpha_of(network)
    on = alpha > 0
    chosen = np.flatnonzero(on)
    held, face, slack = contacts(found, on)
    system = active_system(
        prog, found.found.places[on], found.signs[on], [each.rows for each in held]
    )
    blocks = alpha[on, None] * found.directions[on]
    z = system.coordinates(blocks, network.intercept)
    sizes = np.linalg.norm(blocks, axis=1)
    fits = system.columns @ z
    margins = Margins(
        independence=_smallest_eigenvalue(system, z),
        size=float((sizes / sizes.sum()).min()) if len(chosen) else np.inf,
        off=off_margin(found, on, spare=not minimal),
        face=face,
        slack=slack,
        kink=float(prog.loss.kink_distance(fits, prog.y).min()),
    )
    return Sensitivity(network, system, z, tuple(held), margins)


def _smallest_eigenvalue(system: ActiveSystem, z: FloatArray) -> float:
    """The smallest eigenvalue of Newton's matrix, relative to the largest; inf for no unknowns."""
    if not system.size:
        return np.inf
    values = np.linalg.eigvalsh(system.derivative(z))
    return max(0.0, float(values[0] / values[-1]))


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """Derivatives of an optimal network. Made by `sensitivity`.

    Its neurons are w_j = u_j|a_j| with output signs s_j, in the order of `network`: k neurons of d
    features. All derivatives raise `NotDifferentiable` where `differentiable` is false.

    Attributes
    ----------
    network : CertifiedNetwork
        The network that is differentiated.
    system : ActiveSystem
        Newton's equations on the faces of its neurons.
    z : array
        Their coordinates, the intercept last if there is one.
    contacts : tuple of Contact
        The hyperplanes that hold each neuron.
    margins : Margins
        How far each condition is from failing.
    """

    network: CertifiedNetwork
    system: ActiveSystem
    z: FloatArray
    contacts: tuple[Contact, ...]
    margins: Margins

    def __repr__(self) -> str:
        number = f"dof={self.dof:.6g}, " if self.differentiable else ""
        return f"Sensitivity({len(self.network)} neurons, {number}{self.reason!r})"

    @property
    def differentiable(self) -> bool:
        """Whether the derivatives exist."""
        return verdict(self.margins)[0]

    @property
    def reason(self) -> str:
        """Why, or why not, in one sentence."""
        return verdict(self.margins)[1]

    # -- in λ --------------------------------------------------------------------

    @cached_property
    def _z_d_lam(self) -> FloatArray:
        return -self._solve(self.system.units(self.z))

    @property
    def d_lam(self) -> FloatArray:
        """dw/dλ, (k, d)."""
        return self.system.blocks(self._z_d_lam)

    @property
    def intercept_d_lam(self) -> float:
        """Derivative of the output constant in λ."""
        return float(self._z_d_lam[-1]) if self._prog.intercept else 0.0

    @property
    def fits_d_lam(self) -> FloatArray:
        """dŷ/dλ, the derivative of the training predictions, (n,)."""
        return self.system.columns @ self._z_d_lam

    @property
    def objective_d_lam(self) -> float:
        """dp*/dλ = Σ_j ‖w_j‖; it exists always."""
        return float(np.linalg.norm(network_blocks(self.network), axis=1).sum())

    def predictions_d_lam(self, X: ArrayLike) -> FloatArray:
        """Derivative in λ of the predictions at the rows of X, (rows,).

        Raises
        ------
        NotDifferentiable
            Also if a row lies on the hyperplane of a neuron that can turn across it.
        """
        return np.asarray(self._slopes_at(X) @ self._z_d_lam)

    # -- in the targets ------------------------------------------------------------

    @cached_property
    def _z_d_y(self) -> FloatArray:
        """dz/dy, (size, n)."""
        prog, columns = self._prog, self.system.columns
        cross = prog.sample_scale * prog.loss.cross(columns @ self.z, prog.y)
        return -self._solve(columns.T * cross)

    @property
    def d_y(self) -> LinearOperator:
        """dw/dy as an operator (k·d, n); `d_y @ np.eye(n)` makes it dense."""
        return _operator(self._spread @ self._z_d_y)

    @property
    def intercept_d_y(self) -> FloatArray:
        """Derivative of the output constant in the targets, (n,)."""
        return self._z_d_y[-1] if self._prog.intercept else np.zeros(self._prog.n)

    @property
    def fits_d_y(self) -> LinearOperator:
        """dŷ/dy as an operator (n, n); its diagonal is the leverage of each sample."""
        columns, z_d_y = self.system.columns, self._z_d_y
        return LinearOperator(
            (self._prog.n, self._prog.n),
            matvec=lambda v: columns @ (z_d_y @ v),
            rmatvec=lambda v: z_d_y.T @ (columns.T @ v),
            matmat=lambda v: columns @ (z_d_y @ v),
            dtype=np.float64,
        )

    def predictions_d_y(self, X: ArrayLike) -> LinearOperator:
        """Derivative in the targets of the predictions at the rows of X, (rows, n).

        Raises
        ------
        NotDifferentiable
            As `predictions_d_lam`.
        """
        return _operator(self._slopes_at(X) @ self._z_d_y)

    @property
    def leverages(self) -> FloatArray:
        """∂ŷ_k/∂y_k of each sample, (n,)."""
        return np.asarray(np.einsum("kc,ck->k", self.system.columns, self._z_d_y))

    @cached_property
    def dof(self) -> float:
        """Degrees of freedom tr(M K⁻¹ Mᵀ Φ), which for the squared loss is tr(dŷ/dy).

        For other losses it is the usual extension of it, with the working response for y. An
        output intercept counts as one of them.
        """
        columns = self.system.columns
        curvature = self._prog.loss_hessian(columns @ self.z)
        return float(np.einsum("kc,ck->", columns, self._solve(columns.T * curvature)))

    # -- in the data -----------------------------------------------------------------

    @property
    def d_X(self) -> LinearOperator:  # noqa: N802 - the papers' letter
        """dw/dX as an operator (k·d, n·d), X row by row; its transpose pulls gradients back.

        Raises
        ------
        NotDifferentiable
            Also if a face is held by more hyperplanes than it needs, such as those of a sample
            that is there twice: they would part.
        """
        self._require()
        spare = sum(each.held for each in self.contacts)
        if spare:
            raise NotDifferentiable(
                f"{spare} samples lie on hyperplanes that hold a neuron together with others. They "
                "part when the data move, so there is no derivative in X. Drop repeated samples.",
                samples=spare,
            )
        moves = DataMoves(self._prog, self.system, self.z, self.contacts)
        (k, d), n = (len(self.network), self._prog.d), self._prog.n

        def forward(v: FloatArray) -> FloatArray:
            own, force = moves.forward(v.reshape(n, d))
            return (own + self.system.blocks(-self._solve(force))).ravel()

        def backward(v: FloatArray) -> FloatArray:
            cotangent = v.reshape(k, d)
            q = self._solve(self.system.coordinates(cotangent, 0.0))
            return moves.backward(cotangent, q).ravel()

        return LinearOperator((k * d, n * d), matvec=forward, rmatvec=backward, dtype=np.float64)

    # -- of networks -------------------------------------------------------------------

    def network_derivative(self, dw: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """The derivatives of hidden and output weights that go with one of the w_j.

        Parameters
        ----------
        dw : (k, d) or (k·d,) array
            Such as `d_lam`, or `d_y @ dy`.

        Returns
        -------
        (k, d) array, (k,) array
            Of u_j = w_j/√‖w_j‖ and a_j = s_j √‖w_j‖, in the order of `network`.
        """
        self._require()
        turns = np.asarray(dw, dtype=np.float64)
        if turns.size != self.network.hidden.size:
            raise DataError(
                f"dw has shape {turns.shape}, and {self.network.hidden.shape} is needed.",
                shape=turns.shape,
            )
        turns = turns.reshape(self.network.hidden.shape)
        root = np.abs(self.network.output)[:, None]
        along = (turns * self.network.hidden).sum(axis=1, keepdims=True) / root
        hidden = (turns - self.network.hidden * along / (2 * root)) / root
        return hidden, np.sign(self.network.output) * (along / (2 * root))[:, 0]

    # -- underneath ----------------------------------------------------------------------

    @property
    def _prog(self) -> ConvexProgram:
        return self.system.prog

    def _require(self) -> None:
        if not self.differentiable:
            raise NotDifferentiable(self.reason, failed=self.margins.fails())

    @cached_property
    def _inverse(self) -> FloatArray:
        self._require()
        return np.asarray(np.linalg.inv(self.system.derivative(self.z)))

    def _solve(self, right: FloatArray) -> FloatArray:
        """K⁻¹ times a vector or the columns of a matrix."""
        return np.asarray(self._inverse @ right)

    @cached_property
    def _spread(self) -> FloatArray:
        """From coordinates to w, (k·d, size)."""
        return self.system.spread()

    def _slopes_at(self, X: ArrayLike) -> FloatArray:
        """The derivative of the predictions at the rows of X in z, (rows, size)."""
        data = as_inputs(X, self._prog.d)
        system, parts = self.system, []
        for j, (basis, sign) in enumerate(zip(system.bases, system.signs, strict=True)):
            turns = data @ basis
            if self.network.gates is not None:
                parts.append(np.where(masks_of(data, self.network.gates[[j]].T), turns, 0.0))
                continue
            unit = self.network.hidden[j] / np.linalg.norm(self.network.hidden[j])
            height, norms = data @ unit, np.linalg.norm(data, axis=1)
            on_plane = np.abs(height) <= ON_PLANE * norms
            can_turn = np.linalg.norm(turns, axis=1) > ON_PLANE * norms
            kink = np.flatnonzero(on_plane & can_turn)
            if len(kink):
                raise NotDifferentiable(
                    f"Row {kink[0]} lies on the hyperplane of neuron {j}, where the prediction "
                    "has a kink. Ask for rows off it.",
                    row=int(kink[0]),
                    neuron=j,
                )
            active = (height > 0) & ~on_plane
            parts.append(self._prog.activation.apply(sign * turns, active[:, None]))
        if self._prog.intercept:
            parts.append(np.ones((len(data), 1)))
        return np.hstack([np.zeros((len(data), 0)), *parts])


def _operator(matrix: FloatArray) -> LinearOperator:
    return LinearOperator(
        matrix.shape,
        matvec=lambda v: matrix @ v,
        rmatvec=lambda v: matrix.T @ v,
        matmat=lambda v: matrix @ v,
        dtype=np.float64,
    )
