"""`relu-opt path`: networks for every lam of an interval, and which lam predicts best."""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relu_opt.cli.arguments import (
    ACTIVATION,
    GATES,
    LOSS,
    Activation,
    BackendName,
    Bias,
    ConfigFile,
    Data,
    Gates,
    Intercept,
    Json,
    LossName,
    Options,
    Quiet,
    Scheduler,
    Seed,
    Standardize,
    Target,
    Threads,
    TimeLimit,
    Tolerance,
    backend_options,
    config_file,
    workers,
)
from relu_opt.errors import DataError

if TYPE_CHECKING:
    from relu_opt import PathCV, SolutionPath

# Rows of a table; JSON has every point and event.
ROWS = 20


def path(
    data: Data,
    target: Target,
    config: ConfigFile = None,
    eps: Annotated[
        float | None,
        typer.Option(
            help="Largest relative gap at every lam, between the points too.",
            show_default="1e-3; with --n-lams no promise between the points",
        ),
    ] = None,
    n_lams: Annotated[
        int | None,
        typer.Option(help="So many points, evenly in log lam, and those that --eps needs."),
    ] = None,
    lam_min_ratio: Annotated[
        float, typer.Option(help="Where the path ends, as a share of its beginning.")
    ] = 1e-3,
    folds: Annotated[int, typer.Option(help="Folds of a cross-validation; 0 for none.")] = 0,
    metric: Annotated[
        str | None,
        typer.Option(help="Its error: loss, mse or error_rate.", show_default="loss"),
    ] = None,
    jobs: Annotated[int, typer.Option(help="Processes for the folds; -1 for all cores.")] = 1,
    gates: Gates = GATES,
    backend: BackendName = None,
    loss: LossName = LOSS,
    activation: Activation = ACTIVATION,
    bias: Bias = True,
    intercept: Intercept = False,
    standardize: Standardize = True,
    tol: Tolerance = None,
    time_limit: TimeLimit = None,
    seed: Seed = None,
    threads: Threads = None,
    option: Options = None,
    scheduler: Scheduler = None,
    events: Annotated[
        bool, typer.Option("--events", help="List where neurons enter, leave or change.")
    ] = False,
    event_tol: Annotated[
        float | None,
        typer.Option(
            help="With --events, how closely to locate each, as a share of lam.",
            show_default="between two points",
        ),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Where to draw the path: .png, .svg or .pdf.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where to write the path, an npz file.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Follow the optimal network over lam, from where it vanishes to where it is wide.

    Between the points the networks are mixed, and every lam has its certified gap. With --folds,
    a cross-validation says which lam predicts best.

    Exit code: 0 when there is a path, 2 on an error.
    """
    from relu_opt import solution_path
    from relu_opt.cli.output import check_writable, print_json, tol_facts
    from relu_opt.cli.training import Recipe, build_program, data_facts, program_facts
    from relu_opt.config import load_settings
    from relu_opt.path.cross_validation import validate
    from relu_opt.path.folds import plan_validation
    from relu_opt.plotting import check_picture, plot_overview, save_figure
    from relu_opt.progress.bar import progress
    from relu_opt.tabular.preprocessing import Preprocessing
    from relu_opt.tabular.tables import read_table

    check_writable("--plot", plot, data)
    check_writable("--out", out, data, plot)
    check_picture(plot)
    if metric is not None and folds == 0:
        raise DataError("--metric is of a cross-validation. Give --folds, such as --folds 5.")
    if event_tol is not None and not events:
        raise DataError("--event-tol says how closely to locate events. Give --events, too.")
    # The program's own lam plays no part.
    recipe = Recipe(target, 1.0, gates, loss, activation, bias, standardize, intercept)
    options = backend_options(option, seed, threads, as_json)
    with config_file(config):
        settings = load_settings().with_arguments(
            backend=backend, tol=tol, time_limit=time_limit, seed=seed, threads=threads
        )
        shown = not (quiet or as_json)
        with workers(scheduler) as executor, progress(shown, settings.tol) as report:
            report("reading")
            table = read_table(data)
            report("building")
            started = time.perf_counter()
            preparation = Preprocessing.fit(table, target, loss, bias, standardize)
            program = build_program(table, preparation, recipe, settings.seed)
            plan = None
            if folds != 0:
                plan = plan_validation(program, folds, metric, settings.seed, jobs)
            report("following the path")
            followed = solution_path(
                program, None, n_lams, eps, lam_min_ratio, backend or "auto", tol, time_limit,
                options, executor,
            )  # fmt: skip
            found = None if plan is None else validate(followed, plan, executor)
            closer = followed
            if event_tol is not None:
                report("locating events")
                closer = followed.located(event_tol)
            if out is not None:
                closer.save(out)
            if plot is not None:
                save_figure(plot_overview(followed, found), plot)
            happened = [asdict(event) for event in closer.events] if events else None
    result: dict[str, Any] = {
        "data": data_facts(table, preparation),
        "program": program_facts(program, preparation),
        **path_facts(followed),
        **tol_facts(followed.tol, settings),
        "validation": None if found is None else validation_facts(found),
        "events": happened,
        "events_stop": closer.stop,
        "seconds": time.perf_counter() - started,
        "files": {"out": out, "plot": plot},
    }
    chosen = {
        "config": (config, None),
        "gates": (gates, GATES),
        "backend": (backend, None),
        "loss": (loss, LOSS),
        "activation": (activation, ACTIVATION),
        "tol": (tol, None),
        "seed": (seed, None),
        "threads": (threads, None),
        "no-bias": (not bias, False),
        "intercept": (intercept, False),
        "no-standardize": (not standardize, False),
    }
    result["next"] = fit_command(data, target, best_lam(result), chosen, option)
    if as_json:
        print_json({"command": "path", **result})
    else:
        show(result)
    return 0


# -- what is found -------------------------------------------------------------------------


def path_facts(path: SolutionPath) -> dict[str, Any]:
    """What `--json` says of the path."""
    return {
        "backend": path.points[-1].backend,
        "stop": path.stop,
        "advice": path.stop.advice,
        "verdict": path.verdict,
        "reason": path.reason,
        "eps": path.eps,
        "tol": path.tol,
        "largest_gap": path.largest_gap,
        "lams": path.lams,
        "objectives": path.objectives,
        "bounds": path.lower_bounds,
        "rel_gaps": path.rel_gaps,
        "segment_gaps": path.segment_gaps,
        "slopes": path.slopes,
        "losses": path.losses,
        "neurons": path.neurons,
    }


def validation_facts(found: PathCV) -> dict[str, Any]:
    """What `--json` says of a cross-validation; no best lam where no lam was reached by all."""
    import numpy as np

    chosen: dict[str, Any] = dict.fromkeys(("best", "lam_best", "one_se", "lam_one_se"))
    if np.isfinite(found.mean).any():
        chosen = {name: getattr(found, name) for name in chosen}
    return {
        "folds": len(found.folds),
        "metric": found.metric,
        "seed": found.seed,
        "complete": found.complete,
        "certified": found.is_certified,
        **chosen,
        "mean": found.mean,
        "standard_error": found.standard_error,
        "errors": found.errors,
        "train_errors": found.train_errors,
    }


def best_lam(result: Mapping[str, Any]) -> str:
    """The lam of the best mean error, or a word in its place."""
    lam = (result["validation"] or {}).get("lam_best")
    return "LAM" if lam is None else f"{lam:.6g}"


def fit_command(
    data: Path,
    target: str,
    lam: str,
    chosen: Mapping[str, tuple[object, object]],
    option: list[str] | None,
) -> str:
    """The `relu-opt fit` of the same program at one lam; options at their defaults are left out."""
    words = ["relu-opt", "fit", str(data), "--target", target, "--lam", lam]
    for name, (value, default) in chosen.items():
        if value is True:
            words.append(f"--{name}")
        elif value != default:
            words += [f"--{name}", str(value)]
    for pair in option or []:
        words += ["--option", pair]
    return shlex.join(words)


# -- for people ----------------------------------------------------------------------------


def show(result: Mapping[str, Any]) -> None:
    """Print a table of the points, and what came of them."""
    from relu_opt.cli.output import facts, out, verdict_text
    from relu_opt.cli.training import data_text

    console, validation = out(), result["validation"]
    console.print(points_table(result))
    if result["events"] is not None:
        console.print()
        console.print(events_table(result["events"]))
    rows = data_text(result["data"], result["program"])
    rows["path"] = f"{len(result['lams'])} points by {result['backend']}"
    rows["verdict"] = verdict_text(
        result["verdict"], result["tol"], result["tol_from"], result["reason"]
    )
    if result["events"] is not None:
        rows["events"] = _events_text(result)
    if validation is not None:
        rows["folds"] = _folds_text(validation)
    if validation is not None and validation["best"] is not None:
        rows["best lam"] = f"{validation['lam_best']:.6g}"
        rows["largest within 1 SE"] = f"{validation['lam_one_se']:.6g}"
    rows["seconds"] = f"{result['seconds']:.1f} in all"
    rows |= {name: file for name, file in result["files"].items() if file is not None}
    console.print()
    console.print(facts(rows))
    console.print("\nNext:", style="bold")
    console.print(f"  {result['next']}", soft_wrap=True, markup=False)


def points_table(result: Mapping[str, Any]) -> Any:
    """The points, at most about `ROWS` of them, with the chosen ones."""
    from rich.table import Table as Grid

    validation, last = result["validation"], len(result["lams"]) - 1
    grid = Grid(box=None, pad_edge=False)
    names = ["lam", "objective", "gap", "to next", "neurons", "loss"]
    for name in names + ([f"CV {validation['metric']}"] if validation else []):
        grid.add_column(name, justify="right")
    grid.add_column("")
    marks: dict[int, list[str]] = {}
    if validation and validation["best"] is not None:
        marks.setdefault(validation["best"], []).append("best")
        marks.setdefault(validation["one_se"], []).append("1 SE")
    for k in sorted({*range(0, last + 1, max(1, -(-last // ROWS))), *marks, last}):
        to_next = f"{result['segment_gaps'][k]:.0e}" if k < last else ""
        cells = [
            f"{result['lams'][k]:.4g}",
            f"{result['objectives'][k]:.6g}",
            f"{max(result['rel_gaps'][k], 0.0):.0e}",
            to_next,
            str(result["neurons"][k]),
            f"{result['losses'][k]:.4g}",
        ]
        if validation:
            mean, spread = validation["mean"][k], validation["standard_error"][k]
            cells.append("missing" if math.isnan(mean) else f"{mean:.4g} ± {spread:.2g}")
        grid.add_row(*cells, ", ".join(marks.get(k, [])))
    return grid


def events_table(happened: list[dict[str, Any]]) -> Any:
    """The first `ROWS` events."""
    from rich.table import Table as Grid

    grid = Grid(box=None, pad_edge=False)
    for name in ("event", "above lam", "below lam", "sign", "pattern"):
        grid.add_column(name, justify="left" if name == "event" else "right")
    grid.add_column("rows of X")
    for event in happened[:ROWS]:
        rows = [f"+{k}" for k in event["gained"]] + [f"−{k}" for k in event["lost"]]
        grid.add_row(
            event["kind"],
            f"{event['lam_low']:.6g}",
            f"{event['lam_high']:.6g}",
            f"{event['sign']:+.0f}",
            str(event["pattern"]),
            " ".join(rows[:4]) + (" …" if len(rows) > 4 else ""),
        )
    return grid


def _events_text(result: Mapping[str, Any]) -> str:
    count = len(result["events"])
    more = f", the first {ROWS} shown; --json has all" if count > ROWS else ""
    ended = "" if result["events_stop"].value == "converged" else " until it ended early"
    return f"{count}{ended}{more}"


def _folds_text(validation: Mapping[str, Any]) -> str:
    words = f"{validation['folds']} folds, seed {validation['seed']}"
    if validation["best"] is None:
        return f"{words}: stopped before all of them reached a lam"
    return words if validation["complete"] else f"{words}: stopped early; lam of all folds count"
