"""Train two-layer ReLU networks to proved global optima, with solvers as plugins.

import relu_opt as ro

patterns = ro.sample_patterns(X, n_gates=500, seed=0)
program = ro.ConvexProgram(X, y, lam=0.01, patterns=patterns)
solution = ro.solve(program)
solution.network.predict(X)
solution.certificate            # Certificate(certified, ...)
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relu_opt import errors, export
    from relu_opt.certificate import Certificate, KKTReport
    from relu_opt.certified import CertifiedNetwork
    from relu_opt.closed_form import ClosedForm, closed_form
    from relu_opt.cross_check import CrossCheck, cross_check
    from relu_opt.deep.collapse import NeuralCollapse, neural_collapse
    from relu_opt.deep.comparison import DeepComparison, compare_deep
    from relu_opt.deep.network import BatchNorm, DeepNetwork
    from relu_opt.deep.training import DeepSolution, train_deep
    from relu_opt.elsewhere import certify_network
    from relu_opt.estimators import (
        ReLUClassifier,
        ReLUClassifierCV,
        ReLUPathCV,
        ReLURegressor,
        ReLURegressorCV,
    )
    from relu_opt.files import load
    from relu_opt.globally.answer import GlobalSolution
    from relu_opt.globally.bounds import Separation
    from relu_opt.globally.separation import separation
    from relu_opt.globally.training import train_globally
    from relu_opt.history import History, record
    from relu_opt.interpolation import Interpolant, minimum_norm_interpolant
    from relu_opt.optimal_set import OptimalSet, optimal_set
    from relu_opt.path import SolutionPath, solution_path
    from relu_opt.path_cv import PathCV, cross_validate
    from relu_opt.plugins.manager import BackendStatus, backends
    from relu_opt.plugins.types import Availability, Feature, State, StopReason
    from relu_opt.program import (
        Cones,
        ConicProgram,
        ConvexProgram,
        Hinge,
        Huber,
        LinearProgram,
        Logistic,
        Patterns,
        QuadraticProgram,
        ReLUNetwork,
        Squared,
        SquaredHinge,
        count_patterns,
        count_patterns_bound,
        enumerate_patterns,
        patterns_of_gates,
        sample_patterns,
        stream_patterns,
    )
    from relu_opt.program.spike_free import SpikeFree, is_spike_free
    from relu_opt.program_solution import ProgramSolution, solve_program
    from relu_opt.progress import show_progress
    from relu_opt.proving import certify
    from relu_opt.pruning import prune
    from relu_opt.pruning_path import PruningPath
    from relu_opt.sensitivity import Sensitivity, sensitivity
    from relu_opt.solution import Solution, solve
    from relu_opt.sparsity import Sparsity, sparsest_interpolant
    from relu_opt.splines.certificate import SplineCertificate
    from relu_opt.splines.fit import fit_spline
    from relu_opt.splines.problem import spline_features
    from relu_opt.splines.result import SplineFit
    from relu_opt.vector.bounds import VectorSeparation
    from relu_opt.vector.certificate import VectorCertificate
    from relu_opt.vector.frank_wolfe import FrankWolfe, frank_wolfe
    from relu_opt.vector.network import VectorNetwork
    from relu_opt.vector.solution import VectorSolution
    from relu_opt.vector.stacked import StackedSolution, stack_outputs, train_stacked
    from relu_opt.vector.train import train_vector, vector_separation
    from relu_opt.verdicts import Verdict
    from relu_opt.verify import verify
    from relu_opt.verify.outcome import Verification

__version__ = "0.1.0"

__all__ = [
    "Availability",
    "BackendStatus",
    "BatchNorm",
    "Certificate",
    "CertifiedNetwork",
    "ClosedForm",
    "Cones",
    "ConicProgram",
    "ConvexProgram",
    "CrossCheck",
    "DeepComparison",
    "DeepNetwork",
    "DeepSolution",
    "Feature",
    "FrankWolfe",
    "GlobalSolution",
    "Hinge",
    "History",
    "Huber",
    "Interpolant",
    "KKTReport",
    "LinearProgram",
    "Logistic",
    "NeuralCollapse",
    "OptimalSet",
    "PathCV",
    "Patterns",
    "ProgramSolution",
    "PruningPath",
    "QuadraticProgram",
    "ReLUClassifier",
    "ReLUClassifierCV",
    "ReLUNetwork",
    "ReLUPathCV",
    "ReLURegressor",
    "ReLURegressorCV",
    "Sensitivity",
    "Separation",
    "Solution",
    "SolutionPath",
    "Sparsity",
    "SpikeFree",
    "SplineCertificate",
    "SplineFit",
    "Squared",
    "SquaredHinge",
    "StackedSolution",
    "State",
    "StopReason",
    "VectorCertificate",
    "VectorNetwork",
    "VectorSeparation",
    "VectorSolution",
    "Verdict",
    "Verification",
    "backends",
    "certify",
    "certify_network",
    "closed_form",
    "compare_deep",
    "count_patterns",
    "count_patterns_bound",
    "cross_check",
    "cross_validate",
    "enumerate_patterns",
    "errors",
    "export",
    "fit_spline",
    "frank_wolfe",
    "is_spike_free",
    "load",
    "minimum_norm_interpolant",
    "neural_collapse",
    "optimal_set",
    "patterns_of_gates",
    "prune",
    "record",
    "sample_patterns",
    "sensitivity",
    "separation",
    "show_progress",
    "solution_path",
    "solve",
    "solve_program",
    "sparsest_interpolant",
    "spline_features",
    "stack_outputs",
    "stream_patterns",
    "train_deep",
    "train_globally",
    "train_stacked",
    "train_vector",
    "vector_separation",
    "verify",
]

# Where each public name is at home: it is imported when it is asked for.
_NAMES = {
    "certificate": "Certificate KKTReport",
    "certified": "CertifiedNetwork",
    "closed_form": "ClosedForm closed_form",
    "cross_check": "CrossCheck cross_check",
    "deep.collapse": "NeuralCollapse neural_collapse",
    "deep.comparison": "DeepComparison compare_deep",
    "deep.network": "BatchNorm DeepNetwork",
    "deep.training": "DeepSolution train_deep",
    "elsewhere": "certify_network",
    "files": "load",
    "globally.answer": "GlobalSolution",
    "globally.bounds": "Separation",
    "globally.separation": "separation",
    "globally.training": "train_globally",
    "history": "History record",
    "interpolation": "Interpolant minimum_norm_interpolant",
    "optimal_set": "OptimalSet optimal_set",
    "path": "SolutionPath solution_path",
    "path_cv": "PathCV cross_validate",
    "plugins.manager": "BackendStatus backends",
    "plugins.types": "Availability Feature State StopReason",
    "program": (
        "Cones ConicProgram ConvexProgram Hinge Huber LinearProgram Logistic Patterns "
        "QuadraticProgram ReLUNetwork Squared SquaredHinge count_patterns "
        "count_patterns_bound enumerate_patterns patterns_of_gates sample_patterns "
        "stream_patterns"
    ),
    "program.spike_free": "SpikeFree is_spike_free",
    "program_solution": "ProgramSolution solve_program",
    "progress": "show_progress",
    "proving": "certify",
    "pruning": "prune",
    "pruning_path": "PruningPath",
    "sensitivity": "Sensitivity sensitivity",
    "solution": "Solution solve",
    "sparsity": "Sparsity sparsest_interpolant",
    "splines.certificate": "SplineCertificate",
    "splines.fit": "fit_spline",
    "splines.problem": "spline_features",
    "splines.result": "SplineFit",
    "vector.bounds": "VectorSeparation",
    "vector.certificate": "VectorCertificate",
    "vector.frank_wolfe": "FrankWolfe frank_wolfe",
    "vector.network": "VectorNetwork",
    "vector.solution": "VectorSolution",
    "vector.stacked": "StackedSolution stack_outputs train_stacked",
    "vector.train": "train_vector vector_separation",
    "verdicts": "Verdict",
    "verify": "verify",
    "verify.outcome": "Verification",
    "estimators": "ReLUClassifier ReLUClassifierCV ReLUPathCV ReLURegressor ReLURegressorCV",
}
_HOMES = {name: home for home, names in _NAMES.items() for name in names.split()}
_MODULES = frozenset({"errors", "export"})


class _Package(ModuleType):
    """Python sets a package's modules as attributes: a public name stays what it is."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
