"""`relu-opt fit`: train a network on a table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from relu_opt.cli.arguments import (
    ACTIVATION,
    GATES,
    LOSS,
    Activation,
    BackendName,
    Bias,
    CertificateFile,
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


def fit(
    data: Data,
    target: Target,
    config: ConfigFile = None,
    lam: Annotated[
        float | None,
        typer.Option(
            help="Regularization strength, on the scale of the mean loss.",
            show_default="0.01 of a strength at which the network vanishes",
        ),
    ] = None,
    gates: Gates = GATES,
    oracle: Annotated[
        str | None,
        typer.Option(
            help="Search all patterns, for a proof over all networks: auto, sphere, cells or mip. "
            "For a few features.",
            show_default="the sampled patterns only",
        ),
    ] = None,
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
    out: Annotated[Path, typer.Option(help="Where to write the model.")] = Path("model.npz"),
    certificate: CertificateFile = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Train a network on DATA to a proved optimum.

    Solves the convex program of the network, writes the model, and says how far from the
    optimum it can be at most.

    Exit code: 0 when a model was written, 2 on an error.
    """
    from relu_opt.cli.output import check_writable, print_json
    from relu_opt.cli.training import Recipe, Request, summary, train
    from relu_opt.config import load_settings
    from relu_opt.progress.bar import progress
    from relu_opt.tabular.tables import read_table

    check_writable("--out", out, data)
    check_writable("--certificate", certificate, data, out)
    recipe = Recipe(target, lam, gates, loss, activation, bias, standardize, intercept, oracle)
    options = backend_options(option, seed, threads, as_json)
    with config_file(config):
        settings = load_settings().with_arguments(
            backend=backend, tol=tol, time_limit=time_limit, seed=seed, threads=threads
        )
        shown = not (quiet or as_json)
        with workers(scheduler) as executor, progress(shown, settings.tol) as report:
            report("reading")
            table = read_table(data)
            request = Request(backend, tol, time_limit, options, executor)
            trained = train(table, recipe, request, report)
    trained.model.save(out)
    if certificate is not None:
        trained.save_certificate(certificate)
    result = summary(trained, table)
    result["files"] = {"model": out, "certificate": certificate}
    if as_json:
        print_json({"command": "fit", **result})
    else:
        show_training(result)
    return 0


def show_training(result: Mapping[str, Any]) -> None:
    """Print what `summary` found."""
    from relu_opt.cli.output import facts, out, verdict_text
    from relu_opt.cli.training import data_text, errors_text, time_text

    data, program, seconds = result["data"], result["program"], result["seconds"]
    chosen = " (default; choose with --lam)" if program["lam_is_default"] else ""
    stop = "" if result["stop"] == "converged" else f". {result['advice']}"
    rows = {
        **data_text(data, program),
        "lam": f"{program['lam']:.6g}{chosen}",
        "backend": f"{result['backend']}: {result['stop']} after {time_text(seconds)}{stop}",
        "objective": f"{result['objective']:.12g}",
        "lower bound": f"{result['dual_objective']:.12g}",
        "relative gap": f"{result['rel_gap']:.1e}",
        "verdict": verdict_text(
            result["verdict"], result["tol"], result["tol_from"], result["reason"]
        ),
        "neurons": str(result["neurons"]),
        "training error": errors_text(result["training_errors"], data["rows"]),
        "model": str(result["files"]["model"]),
        "certificate": str(result["files"]["certificate"] or "not written (--certificate FILE)"),
    }
    out().print(facts(rows))
