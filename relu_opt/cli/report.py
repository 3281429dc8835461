"""`relu-opt report`: a model on one page of HTML."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relu_opt.cli.arguments import Data, Json, KnownTarget, ModelFile, Quiet
from relu_opt.errors import DataError

if TYPE_CHECKING:
    from relu_opt.report import Evidence
    from relu_opt.report.evidence import SetFacts


def report(
    model: ModelFile,
    data: Data,
    target: KnownTarget = None,
    out: Annotated[Path, typer.Option(help="Where to write the page.")] = Path("report.html"),
    path: Annotated[
        bool, typer.Option("--path/--no-path", help="Follow the network over lam.")
    ] = True,
    n_lams: Annotated[int, typer.Option(help="Points of that path.")] = 15,
    time_limit: Annotated[
        float, typer.Option(help="Seconds for that path, which then ends where it is.")
    ] = 60.0,
    eps: Annotated[
        float | None,
        typer.Option(
            help="Also the predictions of all networks within this share of the optimal "
            "objective, such as 0.01; takes two trainings a row."
        ),
    ] = None,
    rows: Annotated[int, typer.Option(help="At how many rows, from the first.")] = 8,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Put all that is known of a MODEL on one page.

    DATA is what it was trained on. The page has the data, the program, the certificate in plain
    words, the network, all optimal networks, pruning, the path over lam, derivatives, and where
    it all comes from. It needs no other file and no network, and runs no script.

    Exit code: 0 when written, whatever the verdict; 2 on an error.
    """
    from relu_opt.cli.output import check_writable, print_json, tol_facts
    from relu_opt.config import load_settings
    from relu_opt.plotting import need_matplotlib
    from relu_opt.progress.bar import progress
    from relu_opt.report import gather, write_report
    from relu_opt.tabular.model import Model
    from relu_opt.tabular.tables import read_table

    check_writable("--out", out, data, model)
    need_matplotlib()
    if n_lams < 2 or rows < 1 or not 0 < time_limit < float("inf"):
        raise DataError("--n-lams must be at least 2, --rows 1, and --time-limit above 0 seconds.")
    if eps is not None and not 0 < eps < float("inf"):
        raise DataError("--eps must be a positive number.")
    settings = load_settings()
    with progress(not (quiet or as_json), settings.tol) as tell:
        tell("reading")
        evidence = gather(
            Model.load(model),
            read_table(data),
            target,
            points=n_lams if path else 0,
            time_limit=time_limit,
            eps=eps,
            rows=rows,
            files={"model": model, "data": data},
            tell=tell,
        )
        tell("drawing")
        write_report(evidence, out)
    result = summary(evidence) | tol_facts(evidence.certificate.tol, settings)
    files = {"model": model, "data": data, "report": out}
    if as_json:
        print_json({"command": "report", **result, "files": files})
    else:
        show(result, out)
    return 0


def summary(evidence: Evidence) -> dict[str, Any]:
    """Everything that `report --json` says."""
    from relu_opt.cli.output import standing_facts
    from relu_opt.cli.path import path_facts
    from relu_opt.cli.prune import summary as pruning_facts
    from relu_opt.cli.sensitivity import summary as derivatives
    from relu_opt.cli.training import data_facts, program_facts

    model, program, proof = evidence.model, evidence.program, evidence.certificate
    known, pruning = evidence.all_optimal, evidence.pruning
    path, moves = evidence.path, evidence.moves
    return {
        "data": data_facts(evidence.table, model.preprocessing),
        "program": {**program_facts(program, model.preprocessing), "lam": program.lam},
        "scope": proof.scope,
        "tol": proof.tol,
        "verdict": proof.verdict,
        "reason": proof.reason,
        "kkt": vars(proof.kkt),
        "verification": {
            "verdict": evidence.verification.verdict,
            "statement": evidence.verification.statement,
        },
        "neurons": len(proof.network),
        "errors": dict(evidence.errors),
        "drift": evidence.drift,
        "model_on_data": standing_facts(evidence.standing),
        "optimal_set": None if known is None else set_facts(evidence, known),
        "pruning": None if pruning is None else pruning_facts(pruning, program.X, program.y),
        "path": None if path is None else path_facts(path),
        "sensitivity": None if moves is None else derivatives(moves, model, program.X[:0]),
        "missing": evidence.missing,
        "fingerprints": {name: digest for name, (_, digest) in evidence.files.items()},
        "seconds": evidence.seconds,
    }


def set_facts(evidence: Evidence, known: SetFacts) -> dict[str, Any]:
    """What `--json` says of all optimal networks."""
    from relu_opt.cli.explore import describe, predictions

    near = None if known.near is None else predictions(evidence.model, known.near)
    return {
        **describe(known.found),
        "objective": known.solution.objective,
        "narrowest": {"neurons": known.narrowest.neurons, "bound": known.narrowest.lower_bound},
        "contains_model": known.membership.contained,
        "eps": evidence.eps,
        "near_predictions": near,
    }


def show(result: dict[str, Any], out_file: Path) -> None:
    """Print what the page says first, and where it is."""
    from relu_opt.cli.output import facts, out, show_note, verdict_text
    from relu_opt.cli.training import data_text

    show_note(result["model_on_data"])

    rows = data_text(result["data"], result["program"])
    rows["verdict"] = verdict_text(
        result["verdict"].value, result["tol"], result["tol_from"], result["reason"]
    )
    rows["neurons"] = str(result["neurons"])
    if result["optimal_set"]:
        rows["networks"] = result["optimal_set"]["reason"]
    rows |= {f"no {name}": reason for name, reason in result["missing"].items()}
    rows["seconds"] = f"{sum(result['seconds'].values()):.1f} in all"
    rows["report"] = str(out_file)
    out().print(facts(rows))
