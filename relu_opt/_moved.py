"""Names and documented modules of 0.1 where they were, with a warning, until 0.3."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {
    "relu_opt.model": "relu_opt.tabular.model",
    "relu_opt.parallel": "relu_opt.solving.shards",
    "relu_opt.preprocessing": "relu_opt.tabular.preprocessing",
    "relu_opt.tables": "relu_opt.tabular.tables",
}
_FAMILIES = {
    "all_patterns": "GlobalSolution Separation separation",
    "deep": (
        "BatchNorm DeepComparison DeepNetwork DeepSolution NeuralCollapse compare_deep "
        "neural_collapse train_deep"
    ),
    "estimators": "ReLUPathCV",
    "formulas": "ClosedForm SpikeFree closed_form is_spike_free",
    "interpolation": "Interpolant Sparsity minimum_norm_interpolant sparsest_interpolant",
    "losses": "Hinge Huber Logistic Squared SquaredHinge",
    "one_input": "SplineCertificate SplineFit fit_spline spline_features",
    "plugins": "Availability BackendStatus Feature State StopReason",
    "program": "Cones count_patterns count_patterns_bound patterns_of_gates stream_patterns",
    "progress": "History record",
    "proof": "CertifiedNetwork KKTReport",
    "several_outputs": (
        "FrankWolfe StackedSolution VectorCertificate VectorNetwork VectorSeparation "
        "VectorSolution frank_wolfe stack_outputs train_stacked train_vector vector_separation"
    ),
}
NAMES = {name: family for family, names in _FAMILIES.items() for name in names.split()}


def answer(name: str) -> object:
    """What a name of the package of 0.1 stands for, from the family that has it now."""
    package, new = __package__, f"{NAMES[name]}.{name}"
    warnings.warn(f"{package}.{name} is now {package}.{new}.", DeprecationWarning, stacklevel=3)
    return getattr(getattr(import_module(package), NAMES[name]), name)


class _Finder(MetaPathFinder, Loader):
    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(name, self) if name in MOVED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        new = MOVED[spec.name]
        # The frames of importlib between here and who imports are skipped by Python.
        warnings.warn(f"{spec.name} is now {new}.", DeprecationWarning, stacklevel=2)
        module = import_module(new)
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """It has run; Python has given it the spec of its old name."""
        if module.__spec__ is not None and module.__spec__.loader_state is not None:
            module.__spec__ = module.__spec__.loader_state


def install() -> None:
    """Answer to the old names."""
    sys.meta_path.append(_Finder())
