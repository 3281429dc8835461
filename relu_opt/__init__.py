"""Train two-layer ReLU networks to proved global optima, with solvers as plugins.

import relu_opt as ro

patterns = ro.sample_patterns(X, n_gates=500, seed=0)
program = ro.ConvexProgram(X, y, lam=0.01, patterns=patterns)
solution = ro.solve(program)
solution.network.predict(X)
solution.certificate            # NetworkCertificate(certified, ...)
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from relu_opt._moved import install

if TYPE_CHECKING:
    from relu_opt import errors, export
    from relu_opt.derivatives.sensitivity import Sensitivity, sensitivity
    from relu_opt.estimators import (
        ReLUClassifier,
        ReLUClassifierCV,
        ReLUPathCV,
        ReLURegressor,
        ReLURegressorCV,
    )
    from relu_opt.files import load
    from relu_opt.path.cross_validation import PathCV, cross_validate
    from relu_opt.path.solution_path import SolutionPath, solution_path
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
    from relu_opt.progress.bar import show_progress
    from relu_opt.progress.history import History, record
    from relu_opt.proof.certificate import KKTReport, NetworkCertificate
    from relu_opt.proof.certified_network import CertifiedNetwork
    from relu_opt.proof.record import Certificate
    from relu_opt.proof.verdict import Verdict
    from relu_opt.pruning.prune import prune
    from relu_opt.pruning.pruning_path import PruningPath
    from relu_opt.sets.optimal_set import OptimalSet, optimal_set
    from relu_opt.solving.certify import certify
    from relu_opt.solving.cross_check import CrossCheck, cross_check
    from relu_opt.solving.foreign_networks import certify_network
    from relu_opt.solving.standard import ProgramSolution, solve_program
    from relu_opt.solving.training import Solution, solve
    from relu_opt.train.all_patterns.separation import separation
    from relu_opt.train.all_patterns.separation_bounds import Separation
    from relu_opt.train.all_patterns.solution import GlobalSolution
    from relu_opt.train.all_patterns.training import train_globally
    from relu_opt.train.deep.collapse import NeuralCollapse, neural_collapse
    from relu_opt.train.deep.comparison import DeepComparison, compare_deep
    from relu_opt.train.deep.network import BatchNorm, DeepNetwork
    from relu_opt.train.deep.training import DeepSolution, train_deep
    from relu_opt.train.formulas.closed_form import ClosedForm, closed_form
    from relu_opt.train.interpolation.fewest_neurons import Sparsity, sparsest_interpolant
    from relu_opt.train.interpolation.least_cost_network import (
        Interpolant,
        minimum_norm_interpolant,
    )
    from relu_opt.train.one_input.certificate import SplineCertificate
    from relu_opt.train.one_input.fit import fit_spline
    from relu_opt.train.one_input.problem import spline_features
    from relu_opt.train.one_input.result import SplineFit
    from relu_opt.train.several_outputs.bounds import VectorSeparation
    from relu_opt.train.several_outputs.certificate import VectorCertificate
    from relu_opt.train.several_outputs.frank_wolfe import FrankWolfe, frank_wolfe
    from relu_opt.train.several_outputs.network import VectorNetwork
    from relu_opt.train.several_outputs.public import train_vector, vector_separation
    from relu_opt.train.several_outputs.solution import VectorSolution
    from relu_opt.train.several_outputs.stacked import StackedSolution, stack_outputs, train_stacked
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
    "NetworkCertificate",
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
    "proof.certificate": "KKTReport NetworkCertificate",
    "proof.record": "Certificate",
    "proof.certified_network": "CertifiedNetwork",
    "train.formulas.closed_form": "ClosedForm closed_form",
    "solving.cross_check": "CrossCheck cross_check",
    "train.deep.collapse": "NeuralCollapse neural_collapse",
    "train.deep.comparison": "DeepComparison compare_deep",
    "train.deep.network": "BatchNorm DeepNetwork",
    "train.deep.training": "DeepSolution train_deep",
    "solving.foreign_networks": "certify_network",
    "files": "load",
    "train.all_patterns.solution": "GlobalSolution",
    "train.all_patterns.separation_bounds": "Separation",
    "train.all_patterns.separation": "separation",
    "train.all_patterns.training": "train_globally",
    "progress.history": "History record",
    "train.interpolation.least_cost_network": "Interpolant minimum_norm_interpolant",
    "sets.optimal_set": "OptimalSet optimal_set",
    "path.solution_path": "SolutionPath solution_path",
    "path.cross_validation": "PathCV cross_validate",
    "plugins.manager": "BackendStatus backends",
    "plugins.types": "Availability Feature State StopReason",
    "program": (
        "Cones ConicProgram ConvexProgram Hinge Huber LinearProgram Logistic Patterns "
        "QuadraticProgram ReLUNetwork Squared SquaredHinge count_patterns "
        "count_patterns_bound enumerate_patterns patterns_of_gates sample_patterns "
        "stream_patterns"
    ),
    "program.spike_free": "SpikeFree is_spike_free",
    "solving.standard": "ProgramSolution solve_program",
    "progress.bar": "show_progress",
    "solving.certify": "certify",
    "pruning.prune": "prune",
    "pruning.pruning_path": "PruningPath",
    "derivatives.sensitivity": "Sensitivity sensitivity",
    "solving.training": "Solution solve",
    "train.interpolation.fewest_neurons": "Sparsity sparsest_interpolant",
    "train.one_input.certificate": "SplineCertificate",
    "train.one_input.fit": "fit_spline",
    "train.one_input.problem": "spline_features",
    "train.one_input.result": "SplineFit",
    "train.several_outputs.bounds": "VectorSeparation",
    "train.several_outputs.certificate": "VectorCertificate",
    "train.several_outputs.frank_wolfe": "FrankWolfe frank_wolfe",
    "train.several_outputs.network": "VectorNetwork",
    "train.several_outputs.solution": "VectorSolution",
    "train.several_outputs.stacked": "StackedSolution stack_outputs train_stacked",
    "train.several_outputs.public": "train_vector vector_separation",
    "proof.verdict": "Verdict",
    "verify": "verify",
    "verify.outcome": "Verification",
    "estimators": "ReLUClassifier ReLUClassifierCV ReLUPathCV ReLURegressor ReLURegressorCV",
}
_HOMES = {name: home for home, names in _NAMES.items() for name in names.split()}


class _Package(ModuleType):
    """Python sets a package's modules as attributes: a public name stays what it is."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
install()


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    module = f"{__name__}.{name}"
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
