"""`relu-opt backends`: who can solve here, and why another cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from relu_opt.cli.arguments import Json

if TYPE_CHECKING:
    from relu_opt.plugins import BackendStatus
    from relu_opt.plugins.types import OptionSpec


def backends(
    name: Annotated[str | None, typer.Argument(help="Show this one's options.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Solve a small problem of each type with each.")
    ] = False,
    as_json: Json = False,
) -> int:
    """List who can solve here, or one's options; with --check, find out whether they do."""
    from relu_opt import backends as registered
    from relu_opt.cli import doctor
    from relu_opt.cli.output import print_json
    from relu_opt.plugins.manager import registry

    statuses = registered()
    if check:
        if name is not None:
            registry().find(name)  # an error that says why it cannot be used, and the fix
        return doctor.check([s for s in statuses if name in (None, s.name)], as_json)
    if name is None:
        if as_json:
            print_json({"command": "backends", "backends": [described(s) for s in statuses]})
        else:
            _show_all(statuses)
        return 0
    status = _find(statuses, name)
    if as_json:
        print_json({"command": "backends", **described(status)})
    else:
        _show_one(status)
    return 0


def _find(statuses: list[BackendStatus], name: str) -> BackendStatus:
    from relu_opt.errors import UnknownBackend, did_you_mean

    for status in statuses:
        if status.name == name:
            return status
    raise UnknownBackend(
        f"There is no backend {name!r}. {did_you_mean(name, [s.name for s in statuses])}",
        backend=name,
    )


def described(status: BackendStatus) -> dict[str, Any]:
    """What is known of a backend, in JSON's types."""
    info, found = status.info, status.availability
    return {
        "name": status.name,
        "distribution": status.distribution,
        "version": found.version,
        "state": found.state.value,
        "reason": found.reason,
        "fix": info.install_hint if info else "",
        "takes": sorted(kind.__name__ for kind in info.takes) if info else [],
        "features": sorted(feature.value for feature in info.features) if info else [],
        "free": info.free if info else None,
        "options": [_described_option(spec) for spec in _options(status)],
    }


def _options(status: BackendStatus) -> list[OptionSpec]:
    from relu_opt.plugins.options import COMMON_OPTIONS

    return [*COMMON_OPTIONS, *status.info.options] if status.info else []


def _described_option(spec: OptionSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "type": spec.type.__name__,
        "default": spec.default,
        "choices": spec.choices,
        "help": spec.help,
    }


def _show_all(statuses: list[BackendStatus]) -> None:
    from rich.table import Table as Grid
    from rich.text import Text

    from relu_opt.cli.output import out

    console = out()
    if not statuses:
        console.print("No backend is registered. Reinstall relu-opt, or see RELU_OPT_PLUGINS.")
        return
    grid = Grid(box=None, pad_edge=False)
    for column in ("backend", "version", "state", "takes", "features"):
        grid.add_column(column, overflow="fold")
    known = [described(status) for status in statuses]
    for about in known:
        style = "green" if about["state"] == "ready" else "yellow"
        grid.add_row(
            about["name"],
            about["version"],
            Text(about["state"], style),
            "\n".join(about["takes"]),
            ", ".join(about["features"]),
        )
    console.print(grid)
    for about in known:
        if about["state"] != "ready":
            fix = f" Fix: {about['fix']}" if about["fix"] else ""
            console.print(f"\n{about['name']}: {about['reason'].rstrip('.')}.{fix}", markup=False)
    console.print("\nOptions of one: relu-opt backends NAME")


def _show_one(status: BackendStatus) -> None:
    from rich.table import Table as Grid

    from relu_opt.cli.output import facts, out

    about = described(status)
    console = out()
    rows = {key: about[key] for key in ("name", "distribution", "version", "state", "reason")}
    rows["takes"] = ", ".join(about["takes"])
    rows["features"] = ", ".join(about["features"])
    rows["fix"] = about["fix"] if about["state"] != "ready" else ""
    console.print(facts({key: value for key, value in rows.items() if value}))
    grid = Grid(box=None, pad_edge=False, title="\noptions", title_justify="left")
    for column in ("name", "type", "default", "help"):
        grid.add_column(column, overflow="fold")
    for spec in about["options"]:
        choices = f"; one of {', '.join(spec['choices'])}" if spec["choices"] else ""
        default = "none" if spec["default"] is None else str(spec["default"])
        grid.add_row(spec["name"], spec["type"], default, spec["help"] + choices)
    console.print(grid)
