"""Options and arguments that several commands share."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relu_opt.config import CONFIG_VARIABLE
from relu_opt.errors import OptionError

if TYPE_CHECKING:
    from relu_opt.solving.shards import Executor

# What a training is made of when nothing is chosen.
GATES, LOSS, ACTIVATION = 100, "squared", "relu"

Data = Annotated[
    Path, typer.Argument(help="CSV (header optional), Parquet or npz.", metavar="DATA")
]
ModelFile = Annotated[
    Path, typer.Argument(help="A model that `relu-opt fit` wrote.", metavar="MODEL")
]
Target = Annotated[
    str,
    typer.Option(help="Column to predict: its name, or its position (0 the first, -1 the last)."),
]
KnownTarget = Annotated[
    str | None,
    typer.Option(help="Column of the targets; the one of the training by default."),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")]
Tolerance = Annotated[
    float | None, typer.Option(help="Relative duality gap to reach.", show_default="1e-8")
]
CertificateFile = Annotated[
    Path | None,
    typer.Option("--certificate", help="Where to write the certificate, an npz file."),
]

# -- of what trains ------------------------------------------------------------------------

ConfigFile = Annotated[
    Path | None, typer.Option(help="Config file, in place of the nearest relu-opt.toml.")
]
Gates = Annotated[int, typer.Option(help="Activation patterns to sample.")]
BackendName = Annotated[
    str | None, typer.Option(help="Who solves; see `relu-opt backends`.", show_default="auto")
]
LossName = Annotated[
    str, typer.Option(help="squared, huber, quantile, poisson, logistic, hinge or squared_hinge.")
]
Activation = Annotated[str, typer.Option(help="relu, gated, leaky or absolute.")]
Bias = Annotated[bool, typer.Option("--bias/--no-bias", help="Give the hidden neurons a bias.")]
Intercept = Annotated[
    bool, typer.Option("--intercept/--no-intercept", help="Unpenalised constant at the output.")
]
Standardize = Annotated[
    bool,
    typer.Option(
        "--standardize/--no-standardize", help="Standardise features (and numeric targets)."
    ),
]
TimeLimit = Annotated[float | None, typer.Option(help="Seconds; then the best so far and its gap.")]
Seed = Annotated[int | None, typer.Option(help="Seed of everything random.")]
Threads = Annotated[int | None, typer.Option(help="Threads that the backend may use.")]
Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Dask scheduler whose workers share the work, such as tcp://host:8786.",
        show_default="this machine",
    ),
]
Options = Annotated[
    list[str] | None,
    typer.Option(metavar="KEY=VALUE", help="An option of the backend's own; may be given again."),
]


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


def backend_options(
    given: list[str] | None, seed: int | None, threads: int | None, as_json: bool
) -> dict[str, object]:
    """What is handed to the backend; with --json it prints nothing of its own."""
    options = parse_options(given or [])
    options |= {k: v for k, v in (("seed", seed), ("threads", threads)) if v is not None}
    return {**options, "verbose": False} if as_json else options


@contextmanager
def config_file(path: Path | None) -> Iterator[None]:
    """Make a file the config file of everything inside, as RELU_OPT_CONFIG does."""
    before = os.environ.get(CONFIG_VARIABLE)
    if path is not None:
        os.environ[CONFIG_VARIABLE] = str(path)
    try:
        yield
    finally:
        if path is not None:
            os.environ.pop(CONFIG_VARIABLE)
            os.environ.update({} if before is None else {CONFIG_VARIABLE: before})


@contextmanager
def workers(scheduler: str | None) -> Iterator[Executor | None]:
    """The workers of a scheduler, or None without one."""
    if scheduler is None:
        yield None
        return
    from relu_opt.solving.shards.executors import opened

    with opened(scheduler) as executor:
        yield executor
