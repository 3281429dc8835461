"""`relu-opt sensitivity`: how the network moves when the strength or the targets do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relu_opt.cli.arguments import Data, Json, KnownTarget, ModelFile, Quiet
from relu_opt.errors import DataError

if TYPE_CHECKING:
    from relu_opt import Sensitivity
    from relu_opt.arrays import FloatArray
    from relu_opt.tabular.model import Model

# Samples of the table of leverages; JSON has all.
LEADING = 5


def sensitivity(
    model: ModelFile,
    data: Data,
    target: KnownTarget = None,
    minimal: Annotated[
        bool,
        typer.Option(
            "--minimal",
            help="Where several networks are optimal, take one of which no neuron can be spared.",
        ),
    ] = False,
    query: Annotated[
        Path | None, typer.Option(help="Table of rows to predict.", show_default="DATA")
    ] = None,
    rows: Annotated[int, typer.Option(help="How many of its rows, from the first.")] = 10,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Differentiate the optimal network of the program that a MODEL was trained on.

    DATA are the training data. Says whether the network moves smoothly with lam and the targets,
    and how near that is to failing; its degrees of freedom; the leverage of each sample; and how
    predictions change with lam. Where there is no derivative it says why, and gives no number.

    Exit code: 0, or 2 on an error.
    """
    from relu_opt import sensitivity as differentiate
    from relu_opt.cli.output import print_json, standing_facts
    from relu_opt.config import load_settings
    from relu_opt.progress.bar import progress
    from relu_opt.tabular.model import Model
    from relu_opt.tabular.standing import standing
    from relu_opt.tabular.tables import read_table

    if rows < 0:
        raise DataError("--rows must be at least 0.")
    loaded = Model.load(model)
    table = read_table(data)
    queries = table if query is None else read_table(query)
    X = loaded.preprocessing.transform(queries)[:rows]
    with progress(not (quiet or as_json), load_settings().tol) as report:
        report("solving")
        solution = loaded.optimum(table, target)
        own = standing(loaded, solution.program, solution.lower_bound)
        report("differentiating")
        result = differentiate(solution, minimal)
    content = {
        "command": "sensitivity",
        "model": model,
        "data": data,
        "lam": solution.program.lam,
        "objective": solution.objective,
        "rel_gap": solution.rel_gap,
        "model_on_data": standing_facts(own),
        **summary(result, loaded, X),
    }
    if as_json:
        print_json(content)
    else:
        show(content)
    return 0


def summary(result: Sensitivity, model: Model, X: FloatArray) -> dict[str, Any]:
    """Everything that `sensitivity --json` says of the derivatives; None where there are none."""
    from relu_opt.program.network import network_blocks

    scale, centre = model.preprocessing.target_scale, model.preprocessing.target_centre
    known = result.differentiable
    blocks = network_blocks(result.network)
    sizes = result.network.output**2
    turns = (result.d_lam * blocks).sum(axis=1) / sizes if known else [None] * len(sizes)
    return {
        "differentiable": known,
        "reason": result.reason,
        "margins": asdict(result.margins),
        "dof": result.dof if known else None,
        "objective_d_lam": result.objective_d_lam,
        "leverages": result.leverages if known else None,
        "neurons": [
            {"sign": sign, "size": size, "size_d_lam": turn}
            for sign, size, turn in zip(result.system.signs, sizes, turns, strict=True)
        ],
        "predictions": [
            {
                "row": q,
                "prediction": float(result.network.predict(row[None, :])[0]) * scale + centre,
                **slope_at(result, row, scale),
            }
            for q, row in enumerate(X)
        ],
    }


def slope_at(result: Sensitivity, row: FloatArray, scale: float) -> dict[str, Any]:
    """The derivative of a prediction in λ, or why there is none."""
    from relu_opt.errors import NotDifferentiable

    try:
        return {"d_lam": scale * float(result.predictions_d_lam(row[None, :])[0]), "kink": False}
    except NotDifferentiable:
        return {"d_lam": None, "kink": result.differentiable}


def show(content: Mapping[str, Any]) -> None:
    """Print what was found."""
    from rich.table import Table as Grid
    from rich.text import Text

    from relu_opt.cli.output import facts, out, show_note

    console, known = out(), content["differentiable"]
    # A condition that nothing can break has no margin to speak of.
    finite = {name: m for name, m in content["margins"].items() if m != math.inf}
    margins = ", ".join(f"{name} {value:.1e}" for name, value in finite.items())
    style = "bold green" if known else "bold yellow"
    rows: dict[str, object] = {
        "objective": f"{content['objective']:.12g} (relative gap {content['rel_gap']:.1e})",
        "lam": f"{content['lam']:.6g}; the objective grows by {content['objective_d_lam']:.6g} "
        "for each unit of it",
        "verdict": Text(content["reason"], style=style),
        "margins": margins,
    }
    if known:
        rows["degrees of freedom"] = f"{content['dof']:.6g} ({len(content['neurons'])} neurons)"
        leverages = content["leverages"]
        order = sorted(range(len(leverages)), key=lambda k: -leverages[k])[:LEADING]
        rows["largest leverages"] = ", ".join(f"{leverages[k]:.4f} (row {k})" for k in order)
    show_note(content["model_on_data"])
    console.print(facts(rows))
    if not content["predictions"]:
        return
    grid = Grid(box=None, pad_edge=False)
    for name in ("row", "prediction", "change for 1% more lam"):
        grid.add_column(name, justify="right")
    for each in content["predictions"]:
        slope = each["d_lam"]
        change = "kink" if each["kink"] else "none"
        if slope is not None:
            change = f"{0.01 * content['lam'] * slope:.4g}"
        grid.add_row(str(each["row"]), f"{each['prediction']:.6g}", change)
    console.print()
    console.print(grid)
