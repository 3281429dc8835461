"""`fit_spline`: a network of one input, trained to proved global optimality."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.arrays import as_positive
from relu_opt.clock import Clock
from relu_opt.config import load_settings
from relu_opt.errors import DataError, SolveFailed
from relu_opt.plugins.stopping import until_stopped
from relu_opt.plugins.types import StopReason
from relu_opt.program.activations import RELU
from relu_opt.program.arrangement import enumerate_patterns
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.losses import Loss
from relu_opt.program.units import scaled
from relu_opt.solving.certify import certify
from relu_opt.solving.training import solve
from relu_opt.train.one_input.bounds import SplineBound
from relu_opt.train.one_input.certificate import certify_spline
from relu_opt.train.one_input.constraints import Constraint, HardMargin, Interpolation
from relu_opt.train.one_input.interpolation import interpolate
from relu_opt.train.one_input.margins import MarginSearch
from relu_opt.train.one_input.neurons import Neurons, Shape
from relu_opt.train.one_input.problem import SplineProblem, as_inputs, loss_or_constraint
from relu_opt.train.one_input.result import SplineFit
from relu_opt.train.one_input.training import KnotSearch, SmoothSearch, Trained, constant_fit

# Share of the tolerance that is trained to: rounding and its proof take a little of it.
AIM = 0.9
# About the seconds that the proof takes, a row.
PROOF_ROW = 4e-6


def fit_spline(
    x: ArrayLike,
    y: ArrayLike,
    lam: float | None = None,
    *,
    loss: str | Loss = "squared",
    penalize_bias: bool = False,
    sample_weight: ArrayLike | None = None,
    backend: str = "auto",
    tol: float | None = None,
    time_limit: float | None = None,
    options: Mapping[str, object] | None = None,
) -> SplineFit:
    """Train a two-layer ReLU network of one input to a proved global optimum.

    The network is Σ_j (u_j x + b_j)_+ a_j + c, and its optimum over all widths is a linear spline.
    The objective is F + (λ/2) Σ_j (u_j² + a_j²), the hidden biases b_j and the constant c free; or
    F + (λ/2) Σ_j (u_j² + b_j² + a_j²) without c where the biases are penalised.

    Parameters
    ----------
    x, y : (n,) array
        Data in any order; x may repeat, and may be (n, 1). Labels −1 and +1 for classification.
    lam : float, optional
        Strength λ > 0 on the scale of the *mean* loss F (with a sum of losses it is n λ). Leave it
        out where the fit is demanded.
    loss : str or Loss
        A loss of `ConvexProgram`; or a demand, with the least cost Σ|a_j u_j| sought:
        `interpolation` (y exactly) or `hard_margin` (y f ≥ 1).
    penalize_bias : bool
        Whether the biases b_j are penalised too. It takes all 2n patterns, and so up to a few
        thousand points; it takes no demand.
    sample_weight : (n,) array, optional
        Weights > 0; they are rescaled to mean 1.
    backend, options
        As of `solve`: who solves the quadratic and linear programs. `auto` takes clarabel for
        quadratic ones if it is ready.
    tol : float, optional
        Relative gap to certify; 1e−8 unless the settings say otherwise.
    time_limit : float, optional
        Seconds; then the best spline so far comes back with its gap.

    Returns
    -------
    SplineFit
        Also when rounding or a limit left a gap: look at `verdict`.

    Raises
    ------
    DataError
        For data that are no such problem: NaN, lengths that differ, λ ≤ 0, bad labels, a demand
        that two samples at one x contradict.
    SolveFailed, OptionError, UnknownBackend, BackendUnavailable, UnsupportedProgram
        If the backend cannot do its part.
    """
    settings = load_settings().with_arguments(tol=tol, time_limit=time_limit)
    clock = Clock(settings.time_limit)
    demand = loss_or_constraint(loss)
    if penalize_bias:
        return _with_bias(
            x, y, lam, demand, sample_weight, backend, settings.tol, time_limit, options
        )
    problem = SplineProblem(x, y, lam, demand, sample_weight)  # type: ignore[arg-type]
    end = clock.before(PROOF_ROW * problem.n)
    # Numbers beyond doubles, as beside a vanishing λ, prove nothing and are no answer.
    with np.errstate(all="ignore"):
        found, stop, search = _train(problem.canonical, AIM * settings.tol, end, backend, options)
    positions = problem.canonical.positions[found.knots.chosen]
    shape = Shape.through(positions, found.values)
    neurons, bound = _as_given(problem, shape.neurons(), found.bound)
    certificate = certify_spline(problem, neurons, bound, settings.tol)
    seconds = {"solve": search.seconds if search else 0.0, "all": clock.elapsed}
    return SplineFit(
        problem,
        neurons.network(),
        neurons,
        certificate,
        stop.beside(certificate.verdict, certificate.rel_gap),
        (search.used if search else "") or "closed form",
        {"rounds": search.rounds if search else 0, "seconds": seconds},
    )


def _as_given(
    problem: SplineProblem, neurons: Neurons, bound: SplineBound
) -> tuple[Neurons, SplineBound]:
    """Neurons and a bound of the canonical problem, in the units of the problem itself."""
    units = problem.units
    given = Neurons(
        scaled(neurons.kinks, units.x),
        neurons.sides,
        units.weights(neurons.weights),
        units.constant(neurons.constant),
    )
    # A cost alone has the unit of a slope.
    ours, high = (-units.x, units.y - units.x) if problem.constrained else (units.y, 2 * units.y)
    return given, SplineBound(scaled(bound.nu, ours), scaled(bound.value, high))


def _train(
    problem: SplineProblem,
    tol: float,
    clock: Clock,
    backend: str,
    options: Mapping[str, object] | None,
) -> tuple[Trained, StopReason, KnotSearch | None]:
    """The best spline, why it ended, and the search for it, if it needed one."""
    found = _without_search(problem)
    if found is not None:
        return found, StopReason.CONVERGED, None
    kinked = problem.constrained or not problem.loss.smooth
    kind = MarginSearch if kinked else SmoothSearch
    search = kind(problem, tol, clock, backend, options)
    stop = until_stopped(search.run).stop
    if search.best is not None:
        return search.best, stop, search
    if problem.constrained:
        raise SolveFailed(
            f"No spline with all margins was found: {stop.value}. Raise time_limit.", stop=stop
        )
    return constant_fit(problem, problem.best_intercept(np.zeros(problem.n))), stop, search


def _without_search(problem: SplineProblem) -> Trained | None:
    """The optimum where it is known: a demanded fit, one position, one label."""
    kinked = problem.constrained or not problem.loss.smooth
    if isinstance(problem.loss, Interpolation):
        return interpolate(problem)
    if kinked and np.ptp(problem.y) == 0:
        return constant_fit(problem, float(problem.y[0]))
    if len(problem.positions) > 1:
        return None
    if kinked:
        # The mean hinge loss of a constant in [−1, 1] falls towards the heavier class.
        return constant_fit(problem, float(np.sign(problem.sample_scale @ problem.y)))
    return constant_fit(problem, problem.best_intercept(np.zeros(problem.n)))


def _with_bias(
    x: ArrayLike,
    y: ArrayLike,
    lam: float | None,
    loss: Loss | Constraint,
    sample_weight: ArrayLike | None,
    backend: str,
    tol: float,
    time_limit: float | None,
    options: Mapping[str, object] | None,
) -> SplineFit:
    """The standard program on [x, 1], over all patterns of the data."""
    if isinstance(loss, Interpolation | HardMargin):
        raise DataError(
            f"{loss.name} goes with free hidden biases only. Use penalize_bias=False, or a loss "
            "with a small lam."
        )
    inputs = as_inputs(x)
    X = np.column_stack([inputs, np.ones_like(inputs)])
    strength = as_positive(lam, "lam")
    program = ConvexProgram(X, y, strength, enumerate_patterns(X), loss, RELU, sample_weight)  # type: ignore[arg-type]
    solution = solve(program, backend, tol, time_limit, options=options)
    proof = certify(
        program, solution, scope="all", tol=tol, multipliers=solution.certificate.multipliers
    )
    return SplineFit(
        program,
        proof.network,
        Neurons.of_network(proof.network),
        proof,
        solution.stop.beside(proof.verdict, proof.rel_gap),
        solution.backend,
        {"patterns": len(program.patterns), "seconds": solution.stats["seconds"]},
    )
