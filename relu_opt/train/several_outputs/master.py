r"""The group lasso over known neurons: min (1/2n)‖FW − Y‖² + λ Σ_j ‖W_j‖, by Newton's method in η.

F holds one column (or one for each patch) a neuron, W_j the neuron's rows of W. As
‖W_j‖ = min over η_j ≥ 0 of ½(‖W_j‖²/η_j + η_j), it is a convex problem in the sizes η alone,

    Φ(η) = min_W (1/2n)‖FW − Y‖² + (λ/2) Σ_j (‖W_j‖²/η_j + η_j),

with W_j = η_j P_j/λ, P = Fᵀ(Y − FW)/n, ∂Φ/∂η_j = (λ/2)(1 − ‖P_j‖²/λ²), and the Hessian
⟨P_i P_jᵀ, N_ij⟩/λ², N = (I + G diag(η)/λ)⁻¹G with G = FᵀF/n. The number of outputs enters P alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.program.line_search import by_halves

MOST_STEPS, MOST_HALVINGS, FEW_HALVINGS = 200, 30, 4
# Sizes below this share of the largest may be on their way to zero.
NEAR_ZERO = 1e-3
# Shares of the Hessian's trace that its diagonal grows by, one after another.
RIDGES = (1e-13, 1e-9, 1e-6, 1e-4, 1e-2, 1.0)


@dataclass(frozen=True, eq=False)
class Master:
    """The solution: W (m · blocks, c), objective, gap between it and its own dual, Newton steps."""

    weights: FloatArray
    objective: float
    gap: float
    steps: int


def group_lasso(
    F: FloatArray, Y: FloatArray, lam: float, blocks: int, start: FloatArray, tol: float
) -> Master:
    """Solve to a relative gap.

    Parameters
    ----------
    F : (n, m · blocks) array
        Columns of one neuron side by side.
    Y : (n, c) array
    lam : float
    blocks : int
        Columns a neuron.
    start : (m,) array
        Sizes η ≥ 0 to start from.
    tol : float
    """
    model = _Sizes(F, Y, lam, blocks)
    eta = start.copy()
    here = model.at(eta)
    best = Master(here.W, here.objective, here.gap, 0)
    for step in range(MOST_STEPS):
        if here.objective < best.objective or here.gap < best.gap:
            best = Master(here.W, here.objective, here.gap, step)
        if here.gap <= tol * here.objective:
            break
        eta, following = model.descend(eta, here)
        if following is None:
            break
        here = following
    return best


@dataclass(frozen=True, eq=False)
class _Point:
    """Φ at η: W, P, ‖P_j‖, the lasso's objective and gap at W, and (I + G diag(η)/λ)⁻¹G."""

    value: float
    W: FloatArray
    P: FloatArray
    norms: FloatArray
    objective: float
    gap: float
    N: FloatArray


class _Sizes:
    """Φ and its derivatives."""

    def __init__(self, F: FloatArray, Y: FloatArray, lam: float, blocks: int) -> None:
        n = len(F)
        self.G, self.C = F.T @ F / n, F.T @ Y / n
        self.half = 0.5 * float((Y * Y).sum()) / n
        self.lam, self.blocks = lam, blocks

    def _norms(self, rows: FloatArray) -> FloatArray:
        return np.asarray(np.linalg.norm(rows.reshape(-1, self.blocks * rows.shape[1]), axis=1))

    def at(self, eta: FloatArray) -> _Point:
        """Φ(η) and what goes with it."""
        wide = np.repeat(eta, self.blocks) / self.lam
        both = np.hstack([self.C, self.G])
        # (I + G E)⁻¹ for E ≥ 0: by columns where η > 0, since the others are unit columns.
        on = np.flatnonzero(wide)
        solved = both.copy()
        if len(on):
            root = np.sqrt(wide[on])
            core = np.eye(len(on)) + root[:, None] * self.G[np.ix_(on, on)] * root
            inner = _solved(core, root[:, None] * both[on])
            solved -= (self.G[:, on] * root) @ inner
        c = self.C.shape[1]
        P, N = solved[:, :c], solved[:, c:]
        W = wide[:, None] * P
        norms, sizes = self._norms(P), self._norms(W)
        fit = float((self.C * W).sum())
        square = float((W * (self.G @ W)).sum())
        objective = self.half - fit + 0.5 * square + self.lam * float(sizes.sum())
        # The dual point t(Y − FW)/n: ⟨·, Y⟩ = 2 half − fit, n‖·‖² = 2 half − 2 fit + square.
        along, size = 2 * self.half - fit, max(2 * self.half - 2 * fit + square, 1e-300)
        t = min(self.lam / max(float(norms.max(initial=0.0)), 1e-300), max(0.0, along / size))
        dual = t * along - 0.5 * t * t * size
        value = self.half - 0.5 * fit + 0.5 * self.lam * float(eta.sum())
        return _Point(value, W, P, norms, objective, objective - dual, N)

    def descend(self, eta: FloatArray, here: _Point) -> tuple[FloatArray, _Point | None]:
        """A projected Newton step; None if rounding leaves no descent."""
        slope = 0.5 * self.lam * (1 - (here.norms / self.lam) ** 2)
        # Sizes that are on their way to zero take no part in Newton's step (Bertsekas, 1982).
        step = np.maximum(eta - _scale(eta, slope) * slope, 0.0) - eta
        near = min(NEAR_ZERO * float(eta.max(initial=0.0)), float(np.linalg.norm(step)))
        free = (eta > near) | (slope < 0)
        products = here.N * (here.P @ here.P.T) / self.lam**2
        m = len(eta)
        H = products.reshape(m, self.blocks, m, self.blocks).sum(axis=(1, 3))[np.ix_(free, free)]
        size = max(1e-300, float(np.trace(H)))
        # H is singular where there are more neurons than rows and outputs tell apart.
        for ridge in RIDGES:
            damped = H + ridge * size * np.eye(len(H))
            step = -eta
            step[free] = _solved(damped, -slope[free])
            found = self._along(step, eta, slope, here, FEW_HALVINGS)
            if found is not None:
                return found
        step = -slope * _scale(eta, slope)
        return self._along(step, eta, slope, here, MOST_HALVINGS) or (eta, None)

    def _along(
        self, step: FloatArray, eta: FloatArray, slope: FloatArray, here: _Point, halvings: int
    ) -> tuple[FloatArray, _Point] | None:
        """A point of descent on the projected arc of a step, if there is one."""

        def attempt(share: float) -> tuple[FloatArray, _Point] | None:
            trial = np.maximum(eta + share * step, 0.0)
            fall = float(slope @ (trial - eta))
            # A fall that is rounding is none.
            if not fall < 0 or fall > -1e-17 * abs(here.value):
                return None
            there = self.at(trial)
            return (trial, there) if there.value <= here.value + 1e-4 * fall else None

        return by_halves(attempt, halvings)


def _solved(core: FloatArray, right: FloatArray) -> FloatArray:
    """core⁻¹ right; the least such where a tiny λ left core singular up to rounding."""
    if not (np.isfinite(core).all() and np.isfinite(right).all()):
        return np.full_like(right, np.nan)
    try:
        return np.asarray(np.linalg.solve(core, right))
    except np.linalg.LinAlgError:
        return np.asarray(np.linalg.lstsq(core, right, rcond=None)[0])


def _scale(eta: FloatArray, slope: FloatArray) -> float:
    """A length of a gradient step: of the size of η."""
    steepest = float(np.abs(slope).max(initial=0.0))
    return float(max(eta.max(initial=0.0), 1e-6)) / max(steepest, 1e-300)
