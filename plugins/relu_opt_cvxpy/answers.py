"""What single solvers put into their answers, which cvxpy does not pass on in one form."""

from __future__ import annotations

from typing import Any

import numpy as np

# What a solver calls infinite.
INFINITE = 1e20


def raw_status(answer: Any) -> str:
    """The solver's own word, where its answer has one."""
    if isinstance(answer, tuple):  # DAQP
        return f"exitflag {answer[2]}"
    if not isinstance(answer, dict):
        return str(getattr(getattr(answer, "info", answer), "status", ""))
    for key in ("model_status", "scip_status", "message"):
        if key in answer:
            return str(answer[key])
    info = answer.get("info")
    return str(info.get("status", "")) if isinstance(info, dict) else ""


def has_point(answer: Any) -> bool:
    """Whether there is a point: HiGHS that ran out of time gives zeros in place of one."""
    if isinstance(answer, dict) and "model_status" in answer:
        return bool(answer["solution"].value_valid)
    return True


def without_wrong_duals(answer: Any) -> Any:
    """The answer without the multipliers of SCIP: cvxpy mixes up the rows that they belong to."""
    if isinstance(answer, dict) and "scip_status" in answer:
        return {name: value for name, value in answer.items() if not name.endswith("_dual")}
    return answer


def bound(answer: Any, offset: float) -> float | None:
    """The lower bound of branch and bound, where the answer shows one, plus the offset."""
    if not isinstance(answer, dict):
        return None
    value = answer.get("mip_dual_bound", getattr(answer.get("info"), "mip_dual_bound", None))
    if "scip_status" in answer:
        value = answer["model"].getDualbound()
    if value is None or not np.isfinite(value) or abs(value) >= INFINITE:
        return None
    return float(value) + offset


def prepare_highs(threads: int | None, verbose: bool) -> None:
    """Make HiGHS quiet, and let it have another number of threads than in its last run.

    It prints a line as cvxpy makes the first solver of a process, before it can be told not to: a
    solver that prints nowhere takes that line.
    """
    import highspy

    library: Any = highspy
    if not verbose:
        silent = library._Highs()
        silent.setOptionValue("log_to_console", False)
        silent.run()
    if threads is not None:
        library.Highs.resetGlobalScheduler(True)
