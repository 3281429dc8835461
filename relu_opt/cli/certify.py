"""`relu-opt certify`: prove how far a model is from the optimum on a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from relu_opt.cli.arguments import CertificateFile, Data, Json, KnownTarget, ModelFile, Tolerance

if TYPE_CHECKING:
    from relu_opt.proof import NetworkCertificate


def certify(
    model: ModelFile,
    data: Data,
    target: KnownTarget = None,
    scope: Annotated[
        str,
        typer.Option(
            help="Whose optimality: `own` (the network's patterns), `program` (the patterns "
            "trained over), `all` (every pattern of the data; few features only)."
        ),
    ] = "program",
    tol: Tolerance = None,
    certificate: CertificateFile = None,
    as_json: Json = False,
) -> int:
    """Prove how far a MODEL is from the optimum.

    Works from the weights and DATA afresh, whoever trained.

    Exit code: 0 if certified, 1 if not, 2 on an error.
    """
    from relu_opt import certify as prove
    from relu_opt.cli.output import check_writable, print_json, tol_facts
    from relu_opt.config import load_settings
    from relu_opt.tabular.model import Model
    from relu_opt.tabular.tables import read_table

    check_writable("--certificate", certificate, data, model)
    settings = load_settings().with_arguments(tol=tol)
    loaded = Model.load(model)
    table = read_table(data)
    program = loaded.program(table, target)
    nu = loaded.nu if loaded.nu is not None and len(loaded.nu) == program.n else None
    proof = prove(program, loaded.network, nu=nu, scope=scope, tol=settings.tol)
    if certificate is not None:
        proof.save(certificate, extra={"preprocessing": loaded.preprocessing.to_meta()})
    if as_json:
        print_json(
            {
                "command": "certify",
                "model": model,
                "data": data,
                "lam": proof.lam,
                "neurons": len(proof.network),
                "patterns": len(proof.patterns),
                "scope": proof.scope,
                **tol_facts(proof.tol, settings),
                "verdict": proof.verdict,
                "reason": proof.reason,
                "kkt": vars(proof.kkt),
                "files": {"certificate": certificate},
            }
        )
    else:
        origin = tol_facts(proof.tol, settings)["tol_from"]
        show_certificate(proof, f"{model} on {data}", origin)
        if certificate is not None:
            typer.echo(f"certificate  {certificate}")
    return 0 if proof.verdict == "certified" else 1


def show_certificate(proof: NetworkCertificate, title: str, tol_from: str = "default") -> None:
    """Print the KKT report, a word for each number, and the verdict."""
    from rich.table import Table as Grid

    from relu_opt.cli.output import out, verdict_text

    kkt = proof.kkt
    rows = [
        ("objective", f"{kkt.primal:.12g}", "of this network: an upper bound"),
        ("lower bound", f"{kkt.dual:.12g}", "proved"),
        ("gap", f"{kkt.gap:.2e}", "the first less the second"),
    ]
    gap, *residuals = proof.conditions
    word = "within tol" if gap.fulfilled else f"above tol {gap.limit:.0e}"
    rows.append((gap.name, f"{gap.value:.2e}", word))
    for each in residuals:
        word = "fulfilled" if each.fulfilled else f"above {each.limit:.0e}"
        rows.append((each.name, f"{each.value:.2e}", word))
    grid = Grid(title=title, title_justify="left", box=None, pad_edge=False)
    for name, justify in (("condition", "left"), ("value", "right"), ("", "left")):
        grid.add_column(name, justify=justify)  # type: ignore[arg-type]
    for row in rows:
        grid.add_row(*row)
    console = out()
    console.print(grid)
    about = f"{len(proof.network)} neurons, {len(proof.patterns)} patterns, scope {proof.scope!r}"
    console.print(f"{about}, lam {proof.lam:.6g}")
    console.print(verdict_text(proof.verdict.value, proof.tol, tol_from, proof.reason))
