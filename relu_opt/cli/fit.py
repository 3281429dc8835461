"""`relu-opt fit`: train a network on a table."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from relu_opt.cli.arguments import CertificateFile, Data, Json, Quiet, Target, Tolerance
from relu_opt.errors import OptionError


def fit(
    data: Data,
    target: Target,
    config: Annotated[
        Path | None, typer.Option(help="Config file, in place of the nearest relu-opt.toml.")
    ] = None,
    lam: Annotated[
        float | None,
        typer.Option(
            help="Regularization strength, on the scale of the mean loss.",
            show_default="0.01 of a strength at which the network vanishes",
        ),
    ] = None,
    gates: Annotated[int, typer.Option(help="Activation patterns to sample.")] = 100,
    backend: Annotated[
        str | None, typer.Option(help="Who solves; see `relu-opt backends`.", show_default="auto")
    ] = None,
    loss: Annotated[
        str, typer.Option(help="squared, huber, logistic or squared_hinge.")
    ] = "squared",
    activation: Annotated[str, typer.Option(help="relu or gated.")] = "relu",
    bias: Annotated[
        bool, typer.Option("--bias/--no-bias", help="Give the hidden neurons a bias.")
    ] = True,
    intercept: Annotated[
        bool,
        typer.Option("--intercept/--no-intercept", help="Unpenalised constant at the output."),
    ] = False,
    standardize: Annotated[
        bool,
        typer.Option(
            "--standardize/--no-standardize", help="Standardise features (and numeric targets)."
        ),
    ] = True,
    tol: Tolerance = None,
    time_limit: Annotated[
        float | None, typer.Option(help="Seconds; then the best so far and its gap.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    threads: Annotated[int | None, typer.Option(help="Threads that the backend may use.")] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE", help="An option of the backend's own; may be given again."
        ),
    ] = None,
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
    from relu_opt.cli.progress import progress
    from relu_opt.cli.training import Recipe, Request, summary, train
    from relu_opt.config import load_settings
    from relu_opt.tables import read_table

    check_writable("--out", out, data)
    check_writable("--certificate", certificate, data, out)
    recipe = Recipe(target, lam, gates, loss, activation, bias, standardize, intercept)
    options = {**parse_options(option or []), **_given(seed=seed, threads=threads)}
    if as_json:
        options["verbose"] = False
    with config_file(config):
        settings = load_settings().with_arguments(
            backend=backend, tol=tol, time_limit=time_limit, seed=seed, threads=threads
        )
        with progress(not (quiet or as_json), settings.tol) as report:
            report("reading")
            table = read_table(data)
            trained = train(table, recipe, Request(backend, tol, time_limit, options), report)
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


def parse_options(given: list[str]) -> dict[str, object]:
    """KEY=VALUE pairs as a mapping; a value that is not JSON is text.

    Raises
    ------
    OptionError
        If a pair has no key or no equals sign.
    """
    options: dict[str, object] = {}
    for pair in given:
        key, equals, text = pair.partition("=")
        if not key or not equals:
            raise OptionError(
                f"--option {pair!r} is not KEY=VALUE, such as --option max_iter=100.", option=pair
            )
        try:
            options[key.strip()] = json.loads(text)
        except json.JSONDecodeError:
            options[key.strip()] = text
    return options


def _given(**values: object) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None}


@contextmanager
def config_file(path: Path | None) -> Iterator[None]:
    """Make a file the config file of everything inside, as RELU_OPT_CONFIG does."""
    from relu_opt.config import CONFIG_VARIABLE

    before = os.environ.get(CONFIG_VARIABLE)
    if path is not None:
        os.environ[CONFIG_VARIABLE] = str(path)
    try:
        yield
    finally:
        if path is not None:
            os.environ.pop(CONFIG_VARIABLE)
            os.environ.update({} if before is None else {CONFIG_VARIABLE: before})


def show_training(result: Mapping[str, Any]) -> None:
    """Print what `summary` found."""
    from relu_opt.cli.output import facts, out, verdict_text
    from relu_opt.cli.training import errors_text, time_text

    data, program, seconds = result["data"], result["program"], result["seconds"]
    features = f"{data['features']} features" + (" + bias" if program["bias"] else "")
    chosen = " (default; choose with --lam)" if program["lam_is_default"] else ""
    stop = "" if result["stop"] == "converged" else f". {result['advice']}"
    rows = {
        "data": f"{data['file']}: {data['rows']} rows, {features}, target {data['target']!r}",
        "program": f"{program['activation']}, {program['loss']} loss, "
        f"{program['patterns']} patterns",
        "lam": f"{program['lam']:.6g}{chosen}",
        "backend": f"{result['backend']}: {result['stop']} after {time_text(seconds)}{stop}",
        "objective": f"{result['objective']:.12g}",
        "lower bound": f"{result['dual_objective']:.12g}",
        "relative gap": f"{result['rel_gap']:.1e}",
        "verdict": verdict_text(result["verdict"], result["reason"]),
        "neurons": str(result["neurons"]),
        "training error": errors_text(result["training_errors"], data["rows"]),
        "model": str(result["files"]["model"]),
        "certificate": str(result["files"]["certificate"] or "not written (--certificate FILE)"),
    }
    out().print(facts(rows))
