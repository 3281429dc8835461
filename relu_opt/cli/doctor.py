"""`relu-opt backends --check`: every backend that is ready solves a small problem of each type."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from relu_opt.cli import ERROR

if TYPE_CHECKING:
    from rich.text import Text

    from relu_opt.plugins import BackendStatus
    from relu_opt.testing.trial import Trial

# One program of each sort, and what the column is called.
SMOKE = {
    "net_squared": "training",
    "lp_unique": "LP",
    "milp_knapsack": "MILP",
    "qp_unique": "QP",
    "socp_projection": "SOCP",
    "exp_euler": "exponential",
    "sdp_eigenvalue": "SDP",
}
TOL = 1e-6
TIME_LIMIT = 10.0


def check(statuses: list[BackendStatus], as_json: bool) -> int:
    """Check the backends that are ready; 0 if all answers are right, else 2."""
    from relu_opt.cli.output import print_json
    from relu_opt.plugins.types import State

    trials = [
        trial
        for status in statuses
        if status.availability.state is State.READY
        for trial in _trials(status)
    ]
    wrong = [trial for trial in trials if trial.outcome not in ("right", "unsupported")]
    if as_json:
        print_json({"command": "backends", "checks": [asdict(trial) for trial in trials]})
    else:
        _show(statuses, trials, wrong)
    return ERROR if wrong else 0


def _trials(status: BackendStatus) -> list[Trial]:
    from relu_opt.plugins.types import Feature
    from relu_opt.testing import PROGRAMS
    from relu_opt.testing.trial import try_program

    assert status.info is not None  # noqa: S101 - a backend that is ready is registered
    limit = TIME_LIMIT if Feature.TIME_LIMIT in status.info.features else None
    return [try_program(status.name, PROGRAMS[name], TOL, limit) for name in SMOKE]


def _show(statuses: list[BackendStatus], trials: list[Trial], wrong: list[Trial]) -> None:
    from rich.table import Table as Grid
    from rich.text import Text

    from relu_opt.cli.output import out

    console = out()
    grid = Grid(box=None, pad_edge=False)
    for column in ("backend", *SMOKE.values()):
        grid.add_column(column)
    for status in statuses:
        mine = {trial.program: trial for trial in trials if trial.backend == status.name}
        if mine:
            cells = [_cell(mine[name]) for name in SMOKE]
            grid.add_row(status.name, *cells)
        else:
            grid.add_row(status.name, Text(status.availability.state.value, "yellow"))
    console.print(grid)
    for trial in wrong:
        console.print(
            f"\n{trial.backend}, {SMOKE[trial.program]}: {trial.outcome}. {trial.detail}",
            markup=False,
        )
    console.print(f"\nTo a relative gap of {TOL:.0e}, in seconds; – is not supported.")


def _cell(trial: Trial) -> Text:
    from rich.text import Text

    if trial.outcome == "unsupported":
        return Text("–", "dim")
    if trial.outcome == "right":
        return Text(f"{trial.seconds:.3f}", "green")
    return Text(trial.outcome, "bold red")
