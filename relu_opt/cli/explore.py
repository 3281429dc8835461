"""`relu-opt explore`: how far equally good networks differ."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relu_opt.cli.arguments import Data, Json, KnownTarget, ModelFile, Quiet, Scheduler, workers
from relu_opt.errors import DataError

if TYPE_CHECKING:
    from relu_opt import OptimalSet
    from relu_opt.sets.answers import PredictionRange
    from relu_opt.tabular.model import Model


def explore(
    model: ModelFile,
    data: Data,
    target: KnownTarget = None,
    eps: Annotated[
        float | None,
        typer.Option(
            help="Also all networks within this share of the optimal objective, such as 0.01."
        ),
    ] = None,
    query: Annotated[
        Path | None,
        typer.Option(help="Table of rows to predict.", show_default="DATA"),
    ] = None,
    rows: Annotated[int, typer.Option(help="How many of its rows, from the first.")] = 10,
    plot: Annotated[
        Path | None, typer.Option(help="Where to draw the predictions: .png, .svg or .pdf.")
    ] = None,
    scheduler: Scheduler = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Describe all optimal networks of the program that a MODEL was trained on.

    DATA are the training data. Says whether the network is unique, how narrow it can be, and
    between which values its predictions lie over all optimal (with --eps: all nearly optimal)
    networks.

    Exit code: 0, or 2 on an error.
    """
    from relu_opt import optimal_set
    from relu_opt.cli.output import check_writable, print_json, standing_facts
    from relu_opt.config import load_settings
    from relu_opt.plotting import check_picture
    from relu_opt.progress.bar import progress
    from relu_opt.tabular.model import Model
    from relu_opt.tabular.standing import standing
    from relu_opt.tabular.tables import read_table

    check_writable("--plot", plot, data, model, query)
    check_picture(plot)
    if rows < 0 or (eps is not None and not 0 < eps < float("inf")):
        raise DataError("--rows must be at least 0, and --eps a positive number.")
    loaded = Model.load(model)
    table = read_table(data)
    queries = table if query is None else read_table(query)
    shown = not (quiet or as_json)
    with workers(scheduler) as executor, progress(shown, load_settings().tol) as report:
        report("solving")
        solution = loaded.optimum(table, target)
        own = standing(loaded, solution.program, solution.lower_bound)
        report("describing")
        found = optimal_set(solution)
        narrowest = found.narrowest()
        X = loaded.preprocessing.transform(queries)[:rows]
        exact = found.prediction_range(X)
        near = None
        if eps is not None:
            near = found.near_optimal(eps * solution.objective).prediction_range(
                X, executor=executor
            )
    result = {
        "command": "explore",
        "model": model,
        "data": data,
        "objective": solution.objective,
        "rel_gap": solution.rel_gap,
        "model_on_data": standing_facts(own),
        **describe(found),
        "narrowest": {"neurons": narrowest.neurons, "bound": narrowest.lower_bound},
        "eps": eps,
        "predictions": predictions(loaded, exact),
        "near_predictions": None if near is None else predictions(loaded, near),
        "interrupted": near is not None and not near.is_complete,
        "files": {"plot": plot},
    }
    if plot is not None:
        draw(plot, loaded, exact, near, eps)
    if as_json:
        print_json(result)
    else:
        show(result)
    return 0


def describe(found: OptimalSet) -> dict[str, Any]:
    """The facts about an optimal set."""
    ranges = found.neuron_ranges()
    return {
        "unique": found.is_unique,
        "reason": found.reason,
        "network_dim": found.network_dim,
        "convex_dim": found.convex_dim,
        "merged_blocks": found.merged_blocks,
        "doubtful_blocks": len(found.doubtful),
        "neurons": [
            {
                "sign": sign,
                "size": size * found.program.lam,
                "lower": low * found.program.lam,
                "upper": high * found.program.lam,
            }
            for sign, size, low, high in zip(
                found.signs, found.alpha, ranges.lower, ranges.upper, strict=True
            )
        ],
    }


def predictions(model: Model, ranges: PredictionRange) -> list[dict[str, Any]]:
    """Ranges by row, in the target's own units for a regression, as outputs for two classes."""
    scale = model.preprocessing.target_scale
    centre = model.preprocessing.target_centre
    classifies = model.preprocessing.classes is not None
    return [
        {
            "row": q,
            "lower": low * scale + centre,
            "upper": high * scale + centre,
            "lower_bound": least * scale + centre,
            "upper_bound": most * scale + centre,
            **({"class_can_flip": flip_verdict(flips, agrees)} if classifies else {}),
        }
        for q, (low, high, least, most, flips, agrees) in enumerate(
            zip(
                ranges.lower,
                ranges.upper,
                ranges.lower_bound,
                ranges.upper_bound,
                ranges.can_flip,
                ranges.cannot_flip,
                strict=True,
            )
        )
    ]


def flip_verdict(found: bool, excluded: bool) -> bool | None:
    """Whether the class can flip; None if that was neither found nor excluded."""
    if found:
        return True
    return False if excluded else None


def draw(
    path: Path,
    model: Model,
    exact: PredictionRange,
    near: PredictionRange | None,
    eps: float | None,
) -> None:
    """Draw the ranges of the predictions into a file."""
    from relu_opt.plotting import plot_prediction_range, save_figure
    from relu_opt.plotting.figures import literal

    scale, centre = model.preprocessing.target_scale, model.preprocessing.target_centre
    layers = [("optimal networks", exact)]
    if near is not None:
        layers.insert(0, (f"within {eps:g} of the objective", near))
    axes = plot_prediction_range(layers, scale=scale, centre=centre)
    axes.set_ylabel(literal(model.preprocessing.target))
    save_figure(axes, path)


def show(result: Mapping[str, Any]) -> None:
    """Print what was found."""
    from rich.table import Table as Grid

    from relu_opt.cli.output import facts, out, show_note

    narrowest = result["narrowest"]
    proved = "proved" if narrowest["bound"] >= narrowest["neurons"] else "not proved"
    on = [each for each in result["neurons"] if each["upper"] > 0]
    console = out()
    show_note(result["model_on_data"])
    console.print(
        facts(
            {
                "objective": f"{result['objective']:.12g} (relative gap {result['rel_gap']:.1e})",
                "networks": result["reason"],
                "dimension": f"{result['network_dim']} of networks, {result['convex_dim']} of the "
                "convex program's weights",
                "neurons": f"{len(on)} can be on, {sum(e['lower'] > 0 for e in on)} must be",
                "narrowest": f"{narrowest['neurons']} neurons ({proved})",
                "same neuron": f"{result['merged_blocks']} blocks hold a neuron of another block",
                "in doubt": f"{result['doubtful_blocks']} blocks",
            }
        )
    )
    if not result["predictions"]:
        return
    near = result["near_predictions"]
    grid = Grid(box=None, pad_edge=False)
    names = ["row", "lowest", "highest"]
    names += [] if near is None else [f"lowest, eps {result['eps']:g}", "highest", "flips"]
    for name in names:
        grid.add_column(name, justify="right")
    for q, each in enumerate(result["predictions"]):
        cells = [str(q), f"{each['lower']:.6g}", f"{each['upper']:.6g}"]
        if near is not None:
            known = all(math.isfinite(near[q][end]) for end in ("lower_bound", "upper_bound"))
            cells += [f"{near[q][end]:.6g}" if known else "?" for end in ("lower", "upper")]
            flips = near[q].get("class_can_flip", "")
            cells.append({True: "can", False: "no", None: "?"}.get(flips, ""))
        grid.add_row(*cells)
    console.print()
    console.print(grid)
    if result["interrupted"]:
        console.print("Interrupted: rows with ? were not finished.")
