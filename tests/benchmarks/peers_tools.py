"""The tools that `peers.py` compares, one function each.

A function makes ready (imports, the matrices that its tool wants) and returns what solves. All
minimise  (1/2n) ‖Σ_b X_b w_b − y‖² + lam Σ_b ‖w_b‖  over the same blocks, but for torch, which
trains a network. This runs in the peers' environment and in ours, so relu_opt and the peers are
imported inside the functions.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Problem:
    """The arrays of a training program."""

    X: np.ndarray
    y: np.ndarray
    lam: float
    masks: np.ndarray
    gates: np.ndarray
    activation: str

    @property
    def shape(self) -> tuple[int, int, int]:
        """(signs, patterns, features)."""
        return (2 if self.activation == "relu" else 1, self.masks.shape[1], self.X.shape[1])

    @property
    def lam_start(self) -> float:
        """max_i ‖XᵀD_iy‖/n: no smaller than lam_max."""
        correlations = (self.masks * (self.y / len(self.y))[:, None]).T @ self.X
        return float(np.linalg.norm(correlations, axis=1).max())

    def tiny(self) -> Problem:
        """60 × 10 random numbers with 3 patterns, of the same types, whose answer is not zero."""
        rng = np.random.default_rng(0)
        X, gates = rng.standard_normal((60, 10)), rng.standard_normal((10, 3))
        small = replace(self, X=X, y=X[:, 0].copy(), masks=X @ gates >= 0, gates=gates)
        return replace(small, lam=0.1 * small.lam_start)


@dataclass(frozen=True)
class Answer:
    """Weights by name, and the tool's own word on them."""

    arrays: dict[str, np.ndarray]
    objective: float
    status: str = ""
    extra: dict[str, Any] = field(default_factory=dict)


Solve = Callable[[], Answer]


def our_program(problem: Problem) -> Any:
    import relu_opt as ro

    patterns = ro.Patterns(problem.masks, problem.gates)
    return ro.ConvexProgram(
        problem.X, problem.y, problem.lam, patterns, activation=problem.activation
    )


def seconds_a_pass(prog: Any) -> float:
    """XᵀD_iν of every pattern, 2ndp flops: a product of the same shape, the fastest of three."""
    left, seconds = np.ones((len(prog.patterns), prog.n)), []
    for _ in range(3):
        start = time.perf_counter()
        left @ prog.X
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def relu_opt(problem: Problem, settings: dict[str, Any]) -> Solve:
    """Ours. Settings: tol, time_limit; with `curve`, the bounds along the way are kept."""
    import relu_opt as ro
    from relu_opt.plugins.manager import observe

    prog = our_program(problem)

    def solve() -> Answer:
        curve: list[tuple[float, float | None, float | None]] = []
        start = time.perf_counter()
        with observe(
            lambda event: curve.append((time.perf_counter() - start, event.objective, event.bound))
        ):
            found = ro.solve(
                prog,
                tol=settings["tol"],
                time_limit=settings.get("time_limit"),
                options={"threads": settings["threads"]},
            )
        rho = found.certificate.multipliers
        arrays = {
            "weights": found.weights,
            "nu": found.nu,
            "rho_blocks": rho.blocks,
            "rho_starts": rho.starts,
            "rho_rows": rho.rows,
            "rho_values": rho.values,
        }
        extra = {"curve": curve if settings.get("curve") else [], "pass": seconds_a_pass(prog)}
        return Answer(arrays, found.objective, found.stop.value, extra)

    return solve


def relu_opt_path(problem: Problem, settings: dict[str, Any]) -> Solve:
    """Ours down a path from lam/ratio to lam, each from the one before.

    Settings: tol, points, ratio.
    """
    import relu_opt as ro

    prog = our_program(problem)

    def solve() -> Answer:
        found, gaps = None, []
        for lam in np.geomspace(problem.lam / settings["ratio"], problem.lam, settings["points"]):
            found = ro.solve(
                prog.with_lam(float(lam)),
                tol=settings["tol"],
                warm_start=found,
                options={"threads": settings["threads"]},
            )
            gaps.append(found.rel_gap)
        return Answer({"weights": found.weights}, found.objective, extra={"worst": max(gaps)})

    return solve


def pyscnn(problem: Problem, settings: dict[str, Any]) -> Solve:
    """Augmented Lagrangian (relu) or R-FISTA (gated), in double precision.

    Settings: iterations; tol, which bounds *squared* norms: of the gradient and the violation.
    """
    import logging

    from scnn.metrics import Metrics
    from scnn.models import ConvexGatedReLU, ConvexReLU
    from scnn.optimize import optimize_model
    from scnn.regularizers import NeuronGL1
    from scnn.solvers import AL, RFISTA

    tol, limit = settings["tol"], settings["iterations"]
    # What it says of its end, it says as a warning.
    warnings: list[str] = []
    listener = logging.Handler()
    listener.emit = lambda record: warnings.append(record.getMessage().split(".")[0])
    logging.getLogger("scnn").addHandler(listener)

    def solve() -> Answer:
        if problem.activation == "relu":
            model = ConvexReLU(problem.gates)
            solver = AL(model, max_primal_iters=limit, tol=tol, constraint_tol=tol)
        else:
            model = ConvexGatedReLU(problem.gates)
            solver = RFISTA(model, max_iters=limit, tol=tol)
        warnings.clear()
        metrics = Metrics(metric_freq=10**9, grad_norm=False, model_loss=True)
        model, metrics = optimize_model(
            model,
            solver,
            metrics,
            problem.X,
            problem.y,
            regularizer=NeuronGL1(problem.lam),
            return_convex=True,
            unitize_data=False,
            dtype="float64",
        )
        # Its patterns are ours without the empty one, in another order; gates name them.
        place = {gate.tobytes(): i for i, gate in enumerate(problem.gates.T.copy())}
        order = [place[gate.tobytes()] for gate in np.asarray(model.G).T.copy()]
        weights = np.zeros(problem.shape)
        weights[:, order] = np.concatenate(model.parameters)
        status = warnings[-1] if warnings else "its own criterion met"
        return Answer({"weights": weights}, float(metrics.model_loss[-1]), status)

    return solve


def adelie(problem: Problem, settings: dict[str, Any]) -> Solve:
    """Coordinate descent over groups, down a path of 10 lam.

    Settings: tol (of the descent) and pinball_tol (of the solver that decides how well a cone is
    kept; its other tolerances stay as they are, since it breaks down when they are lowered).
    """
    import adelie as ad

    n, threads = len(problem.y), settings["threads"]
    signs, p, d = problem.shape
    masks = np.asfortranarray(problem.masks)
    matrix = ad.matrix.convex_relu(
        np.asfortranarray(problem.X), masks, gated=signs == 1, n_threads=threads
    )
    groups, penalty = d * np.arange(signs * p), np.ones(signs * p)
    path = np.geomspace(problem.lam_start, problem.lam, 10)
    constraints = None
    if signs == 2:
        cones = [np.where(mask, 1.0, -1.0)[:, None] * problem.X for mask in masks.T]
        configs = {
            "pinball_tol": settings["pinball_tol"],
            "pinball_max_iters": 10**7,
            "nnls_max_iters": 10**7,
            "max_iters": 10_000,
        }
        constraints = [
            ad.constraint.linear(cone, np.zeros(n), np.full(n, np.inf), configs=configs)
            for _ in range(2)
            for cone in cones
        ]

    def solve() -> Answer:
        glm = ad.glm.gaussian(problem.y)
        state = ad.grpnet(
            matrix,
            glm,
            constraints=constraints,
            groups=groups,
            penalty=penalty,
            lmda_path=path,
            tol=settings["tol"],
            max_iters=10**6,
            intercept=False,
            early_exit=False,
            n_threads=threads,
            progress_bar=False,
        )
        objective = ad.diagnostic.objective(
            matrix,
            glm,
            state.betas[-1:],
            state.intercepts[-1:],
            state.lmdas[-1:],
            groups=groups,
            penalty=penalty,
        )
        if not math.isclose(float(state.lmdas[-1]), problem.lam, rel_tol=1e-9):
            raise RuntimeError(f"the path ended at lam {state.lmdas[-1]:g}: {state.error}")
        weights = state.betas[-1].toarray().reshape(problem.shape)
        return Answer({"weights": weights}, float(objective[0]))

    return solve


def skglm(problem: Problem, settings: dict[str, Any]) -> Solve:
    """Block coordinate descent with working sets on the dense n × pd matrix. Setting: tol."""
    from skglm.datafits import QuadraticGroup
    from skglm.penalties import WeightedGroupL2
    from skglm.solvers import GroupBCD

    _, p, d = problem.shape
    matrix = np.asfortranarray(
        (problem.masks[:, :, None] * problem.X[:, None, :]).reshape(len(problem.y), p * d)
    )
    starts = np.arange(0, p * d + 1, d, dtype=np.int32)
    columns = np.arange(p * d, dtype=np.int32)
    penalty = WeightedGroupL2(problem.lam, np.ones(p), starts, columns)
    solver = GroupBCD(max_iter=1000, max_epochs=50_000, tol=settings["tol"])

    def solve() -> Answer:
        datafit = QuadraticGroup(starts, columns)
        flat, objectives, reached = solver.solve(matrix, problem.y, datafit, penalty)
        done = objectives[objectives > 0]
        status = f"criterion {reached:.1e}"
        return Answer({"weights": flat.reshape(problem.shape)}, float(done[-1]), status)

    return solve


def conic(problem: Problem, settings: dict[str, Any]) -> Solve:
    """The whole second-order cone program through cvxpy. Settings: solver, tol."""
    import cvxpy as cp

    signs, p, d = problem.shape
    sides = np.where(problem.masks, 1.0, -1.0)
    blocks = [[cp.Variable(d) for _ in range(p)] for _ in range(signs)]
    joined = [cp.hstack(row) for row in blocks]
    matrix = (problem.masks[:, :, None] * problem.X[:, None, :]).reshape(len(problem.y), p * d)
    fits = matrix @ (joined[0] - joined[1] if signs == 2 else joined[0])
    norms = sum(cp.norm(block, 2) for row in blocks for block in row)
    loss = cp.sum_squares(fits - problem.y) / (2 * len(problem.y))
    limits = []
    if signs == 2:
        cones = [sides[:, i, None] * problem.X for i in range(p)]
        limits = [cones[i] @ block >= 0 for row in blocks for i, block in enumerate(row)]
    whole = cp.Problem(cp.Minimize(loss + problem.lam * norms), limits)
    tol = settings["tol"]
    options = {
        "ECOS": {"abstol": tol, "reltol": tol, "feastol": tol, "max_iters": 1000},
        "CLARABEL": {
            "tol_gap_abs": tol,
            "tol_gap_rel": tol,
            "tol_feas": tol,
            "max_iter": 1000,
            "max_threads": settings["threads"],
        },
    }[settings["solver"]]
    data, chain, inverse = whole.get_problem_data(settings["solver"], solver_opts=options)

    def solve() -> Answer:
        raw = chain.solve_via_data(whole, data, solver_opts=options)
        whole.unpack_results(raw, chain, inverse)
        weights = np.array([[block.value for block in row] for row in blocks])
        return Answer({"weights": weights}, float(whole.value), whole.status)

    return solve


def torch(problem: Problem, settings: dict[str, Any]) -> Solve:
    """Adam on the network itself, which is not convex and has patterns of its own.

    Full batch, double precision, the step size falling linearly to zero over the time of a
    run. Settings: neurons, seconds (of all runs together), rates, seeds; the best run counts.
    """
    import torch as th

    th.set_num_threads(settings["threads"])
    X, y = th.tensor(problem.X), th.tensor(problem.y)
    neurons, lam = settings["neurons"], problem.lam
    runs = [(rate, seed) for rate in settings["rates"] for seed in range(settings["seeds"])]

    def objective(hidden: Any, output: Any) -> Any:
        error = th.relu(X @ hidden.T) @ output - y
        return 0.5 * (error**2).mean() + 0.5 * lam * ((hidden**2).sum() + (output**2).sum())

    def one(rate: float, seed: int) -> tuple[float, int, np.ndarray, np.ndarray]:
        th.manual_seed(seed)
        hidden = th.randn(neurons, X.shape[1], dtype=th.float64) / math.sqrt(X.shape[1])
        output = th.randn(neurons, dtype=th.float64) / math.sqrt(neurons)
        hidden.requires_grad_()
        output.requires_grad_()
        adam = th.optim.Adam([hidden, output], lr=rate)
        seconds, start, steps = settings["seconds"] / len(runs), time.perf_counter(), 0
        while (left := 1 - (time.perf_counter() - start) / seconds) > 0:
            adam.param_groups[0]["lr"] = rate * left
            adam.zero_grad()
            objective(hidden, output).backward()
            adam.step()
            steps += 1
        value = float(objective(hidden, output))
        return value, steps, hidden.detach().numpy(), output.detach().numpy()

    def solve() -> Answer:
        results = [(*one(rate, seed), rate) for rate, seed in runs]
        value, steps, hidden, output, rate = min(results, key=lambda result: result[0])
        spread = ", ".join(f"{result[0]:.8f}" for result in results)
        status = f"best of {len(runs)} runs: rate {rate:g}, {steps} steps"
        return Answer({"hidden": hidden, "output": output}, value, status, {"all": spread})

    return solve


# Each with the packages whose versions are told.
TOOLS: dict[str, tuple[Callable[[Problem, dict[str, Any]], Solve], tuple[str, ...]]] = {
    "relu_opt": (relu_opt, ("relu-opt", "numpy", "scipy")),
    "relu_opt_path": (relu_opt_path, ("relu-opt", "numpy", "scipy")),
    "pyscnn": (pyscnn, ("pyscnn", "torch", "numpy")),
    "adelie": (adelie, ("adelie", "numpy")),
    "skglm": (skglm, ("skglm", "numba", "numpy")),
    "conic": (conic, ("cvxpy", "clarabel", "ecos", "numpy")),
    "torch": (torch, ("torch", "numpy")),
}
