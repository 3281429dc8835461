"""Backend `clarabel`: quadratic and conic programs by interior points."""

from __future__ import annotations

from relu_opt.plugins import Backend, BackendInfo, Feature, OptionSpec, hookimpl, installed
from relu_opt.program import ConicProgram, QuadraticProgram


def load() -> Backend:
    """The backend."""
    from relu_opt_clarabel.backend import ClarabelBackend

    return ClarabelBackend()


@hookimpl
def relu_opt_backends() -> list[BackendInfo]:
    """Register the backend."""
    return [
        BackendInfo(
            name="clarabel",
            load=load,
            probe=installed("clarabel"),
            takes=frozenset({QuadraticProgram, ConicProgram}),
            features=frozenset(
                {Feature.SOC, Feature.EXP, Feature.PSD, Feature.DUALS, Feature.TIME_LIMIT}
            ),
            options=(
                OptionSpec("max_iter", int, 200, "interior-point steps", least=1),
                OptionSpec("equilibrate", bool, True, "scale rows and columns first"),
            ),
            install_hint="pip install clarabel",
        )
    ]
