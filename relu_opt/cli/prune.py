"""`relu-opt prune`: a narrower model from a model, first without any change of its fits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relu_opt.cli.arguments import Data, Json, KnownTarget, ModelFile, Quiet

if TYPE_CHECKING:
    from relu_opt import PruningPath
    from relu_opt.arrays import FloatArray
    from relu_opt.tabular.model import Model

# Rows of the table; JSON has every step.
ROWS = 20


def prune(
    model: ModelFile,
    data: Data,
    target: KnownTarget = None,
    method: Annotated[
        str,
        typer.Option(
            help="optimal (fits unchanged as long as possible), or a baseline: magnitude, "
            "activation, gradient, residual, random."
        ),
    ] = "optimal",
    to: Annotated[
        int | None,
        typer.Option(
            help="Neurons to stop at.",
            show_default="optimal: where the fits would change; baselines: 0",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where to write the narrowest network, as a model.")
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Where to draw score against neurons; .png, .svg or .pdf."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of the method random.", show_default="0")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Switch neurons of a MODEL off.

    DATA is what it was trained on. The exact steps of `optimal` change no prediction there and
    do not raise the objective; the gap says how far each network is from the optimum over the
    patterns trained over.

    Exit code: 0 when pruned, 2 on an error.
    """
    from relu_opt.cli.output import (
        check_writable,
        print_json,
        show_note,
        standing_facts,
        tol_facts,
    )
    from relu_opt.config import load_settings
    from relu_opt.plotting import check_picture, save_figure
    from relu_opt.progress.bar import progress
    from relu_opt.pruning.prune import check_method, prune_certified
    from relu_opt.solving.certify import certify
    from relu_opt.tabular.model import Model
    from relu_opt.tabular.standing import standing
    from relu_opt.tabular.tables import read_table

    check_writable("--out", out, data, model)
    check_writable("--plot", plot, data, model, out)
    check_picture(plot)
    settings = load_settings().with_arguments(seed=seed)
    check_method(method, to, settings.seed)
    with progress(not (quiet or as_json), settings.tol) as report:
        report("reading")
        loaded = Model.load(model)
        program = loaded.program(read_table(data), target)
        report("certifying")
        nu = loaded.nu if loaded.nu is not None and len(loaded.nu) == program.n else None
        start = certify(program, loaded.network, nu=nu, tol=settings.tol)
        own = standing(loaded, program, start.lower_bound)
        report("pruning")
        path = prune_certified(program, start, method, to, settings.seed)
        if out is not None:
            pruned_model(loaded, path, model).save(out)
        if plot is not None:
            save_figure(path.plot(None, program.X, program.y), plot)
    result = summary(path, program.X, program.y) | tol_facts(start.tol, settings)
    result["model_on_data"] = standing_facts(own)
    files = {"model": model, "data": data, "out": out, "plot": plot}
    if as_json:
        print_json({"command": "prune", **result, "files": files})
    else:
        show_note(result["model_on_data"])
        show_path(result, files)
    return 0


def pruned_model(before: Model, path: PruningPath, source: Path) -> Model:
    """The model with the last network of the path; its program and dual point stay."""
    proof = path.certify(-1)
    provenance = {
        **before.provenance,
        "objective": proof.objective,
        "rel_gap": proof.rel_gap,
        "verdict": proof.verdict.value,
        "pruned": {
            "from": str(source),
            "method": path.method,
            "neurons": [int(path.widths[0]), int(path.widths[-1])],
        },
    }
    return replace(before, network=path.network(-1), provenance=provenance)


def summary(path: PruningPath, X: FloatArray, y: FloatArray) -> dict[str, Any]:
    """Everything that `prune --json` says of a path."""
    return {
        "method": path.method,
        "lam": path.start.lam,
        "scope": path.scope,
        "bound": path.lower_bound,
        "verdict": path.start.verdict,
        "reason": path.start.reason,
        "neurons_before": len(path.start.network),
        "exact_steps": path.exact_steps,
        "minimal": path.minimal,
        "vertex_neurons": int(path.widths[path.exact_steps]) if path.minimal else None,
        "widths": path.widths,
        "objectives": path.objectives,
        "losses": path.losses,
        "rel_gaps": path.rel_gaps,
        "metric": path.metric(y),
        "scores": path.scores(X, y),
    }


def show_path(result: dict[str, Any], files: dict[str, Path | None]) -> None:
    """Print a table of the steps and what came of them."""
    from rich.table import Table as Grid

    from relu_opt.cli.output import facts, out, verdict_text

    console, widths = out(), result["widths"]
    last, exact = len(widths) - 1, result["exact_steps"]
    grid = Grid(
        title=f"{files['model']} on {files['data']}", title_justify="left", box=None, pad_edge=False
    )
    for name in ("neurons", "objective", "loss", "relative gap", result["metric"]):
        grid.add_column(name, justify="right")
    grid.add_column("")
    stride = max(1, -(-last // ROWS))
    for step in sorted({*range(0, last + 1, stride), exact, last}):
        numbers = [f"{result[name][step]:.8g}" for name in ("objectives", "losses")]
        words = ["same fits"] if 0 < step <= exact else []
        words += ["minimal"] if step == exact and result["minimal"] else []
        grid.add_row(
            str(widths[step]),
            *numbers,
            f"{result['rel_gaps'][step]:.1e}",
            f"{result['scores'][step]:.4f}",
            ", ".join(words),
        )
    console.print(grid)
    steps = f"{widths[0]} to {widths[-1]} neurons in {last} steps, {exact} without a change"
    rows: dict[str, object] = {"pruned": f"{result['method']}: {steps} of the fits"}
    rows["start"] = verdict_text(
        result["verdict"].value, result["tol"], result["tol_from"], result["reason"]
    )
    rows |= {name: files[name] for name in ("out", "plot") if files[name] is not None}
    console.print(facts(rows))
