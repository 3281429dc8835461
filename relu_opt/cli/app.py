"""The commands, put together. Nothing heavy is imported here: commands do that."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated, Any

import typer

from relu_opt.cli.backends import backends
from relu_opt.cli.certify import certify
from relu_opt.cli.demo import demo
from relu_opt.cli.explore import explore
from relu_opt.cli.export import export
from relu_opt.cli.fit import fit
from relu_opt.cli.output import own_output
from relu_opt.cli.path import path
from relu_opt.cli.prune import prune
from relu_opt.cli.report import report
from relu_opt.cli.sensitivity import sensitivity
from relu_opt.cli.verify import verify

# The class of every wrong use of the command line; typer does not export it by name.
UsageError: Any = typer.BadParameter.__mro__[1]

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"relu-opt {version('relu-opt')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def overview(
    context: typer.Context,
    show_version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Train two-layer ReLU networks to proved global optima of their convex programs."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


COMMANDS = (
    demo, fit, certify, verify, explore, prune, path, sensitivity, report, export, backends,
)  # fmt: skip
for command in COMMANDS:
    app.command()(own_output()(command))
