"""The parts of a report about the problem: data, program, certificate, and where it comes from."""

from __future__ import annotations

import datetime
import json
import math
import shlex
from collections.abc import Mapping

from relu_opt.report import pictures
from relu_opt.report.evidence import Evidence
from relu_opt.report.markup import facts, figure, fold, table, tag

# Columns that are listed at once; the rest are folded away.
COLUMNS, MOST = 12, 1000


def data_part(evidence: Evidence) -> list[object]:
    """Rows, columns and their values."""
    data, prepared = evidence.table, evidence.model.preprocessing
    content: list[object] = [
        facts(
            [
                ("file", data.source),
                ("rows", f"{len(data):,}"),
                ("features", f"{len(prepared.features):,}"),
                ("target", evidence.target),
                *([("classes", class_counts(evidence))] if prepared.classes else []),
            ]
        ),
        tag("p", prepared_words(evidence)),
        *([tag("p", evidence.standing.note)] if evidence.standing.note else []),
    ]
    head = ("column", "mean", "deviation", "smallest", "largest")
    rows = [
        (name, *(f"{value:.5g}" for value in spread(evidence, name)))
        for name in (evidence.target, *prepared.features[:MOST])
    ]
    content.append(table(head, rows[:COLUMNS]))
    rest = rows[COLUMNS:]
    if rest:
        left = len(prepared.features) - MOST
        more = f", without the last {left:,}" if left > 0 else ""
        content.append(fold(f"{len(rest)} more columns{more}", table(head, rest)))
    return content


def class_counts(evidence: Evidence) -> str:
    """How many rows each class has."""
    values = evidence.table.numbers(evidence.target)
    classes = evidence.model.preprocessing.classes or ()
    return ", ".join(f"{each:g} ({int((values == each).sum()):,} rows)" for each in classes)


def spread(evidence: Evidence, name: str) -> tuple[float, float, float, float]:
    """Mean, population standard deviation, smallest and largest value of a column."""
    values = evidence.table.numbers(name)
    return float(values.mean()), float(values.std()), float(values.min()), float(values.max())


def prepared_words(evidence: Evidence) -> str:
    """How the network sees the columns."""
    prepared, drift = evidence.model.preprocessing, evidence.drift
    bias = " A column of ones gives the hidden neurons a bias." if prepared.bias else ""
    if not prepared.standardize:
        return f"The network takes the columns as they are.{bias}"
    if not drift:
        return (
            "The network takes the features standardised, to mean 0 and deviation 1, with the "
            f"means and deviations of these very data.{bias}"
        )
    named = ", ".join(drift[:3]) + (", …" if len(drift) > 3 else "")
    return (
        "The network takes the features standardised with the means and deviations of other "
        f"data: {len(drift)} columns differ ({named}). What this page says holds for the program "
        f"on the data of the page.{bias}"
    )


def program_part(evidence: Evidence) -> list[object]:
    """The training problem."""
    program = evidence.program
    kind = program.activation.kind
    constant = ", and a free constant at the output" if program.intercept else ""
    kept = "listed: they are all that the data have" if program.patterns.complete else "sampled"
    return [
        tag(
            "p",
            f"Minimise the mean {program.loss.name.replace('_', ' ')} loss plus lam/2 times the "
            f"sum of squares of all weights, over {kind} networks with one hidden layer{constant}. "
            "For fixed activation patterns that is a convex program.",
        ),
        facts(
            [
                ("loss", program.loss.name),
                ("activation", program.activation.name),
                ("lam", f"{program.lam:.6g}"),
                ("patterns", f"{len(program.patterns):,}, {kept}"),
                ("rows × columns", f"{program.n:,} × {program.d:,}"),
                ("output constant", "free" if program.intercept else "none"),
            ]
        ),
    ]


def certificate_part(evidence: Evidence) -> list[object]:
    """The bounds, the conditions, and how to check them."""
    proof, checked = evidence.certificate, evidence.verification
    rows = [
        (each.name, small(each.value), f"{each.limit:.0e}", word, each.meaning)
        for each in proof.conditions
        for word in ["yes" if each.fulfilled else "no"]
    ]
    again = f"The independent check says: {checked.verdict.replace('_', ' ')}."
    return [
        facts(
            [
                ("objective", f"{proof.objective:.12g}"),
                ("lower bound", number(proof.lower_bound)),
                ("relative gap", f"{proof.rel_gap:.2e}"),
                ("asked for", f"{proof.tol:.0e}"),
                ("speaks of", scope_words(evidence)),
            ]
        ),
        table(("condition", "value", "limit", "within", "what it measures"), rows, (0, 3, 4)),
        figure(
            pictures.embedded(pictures.certificate(evidence)),
            "Each number of the proof beside its limit, on a logarithmic scale.",
        ),
        tag(
            "p",
            "The gap alone decides the verdict; the other numbers say where it comes from. "
            f"{again}",
        ),
        *check_commands(evidence),
    ]


def small(value: float) -> str:
    """A residual; 0 where there is none."""
    return f"{value:.2e}" if value else "0"


def number(value: float) -> str:
    """A bound, or a word where there is none."""
    return f"{value:.12g}" if math.isfinite(value) else "unknown"


def scope_words(evidence: Evidence) -> str:
    """The networks that the lower bound speaks of."""
    kinds = {
        "own": "networks with this one's own patterns",
        "program": f"networks with the program's {len(evidence.certificate.patterns):,} patterns",
        "all": "all networks, of any width",
    }
    return kinds[evidence.certificate.scope]


def check_commands(evidence: Evidence) -> list[object]:
    """The commands that prove the same again."""
    if not {"model", "data"} <= set(evidence.files):
        return []
    model, data = (evidence.files[name][0] for name in ("model", "data"))
    words = ["relu-opt", "certify", model, data, "--target", evidence.target]
    return [
        tag("p", "To prove it again:"),
        tag("pre", tag("code", shlex.join(words))),
    ]


def origin_part(evidence: Evidence) -> list[object]:
    """Who trained it, how, with which versions and options; and the files."""
    origin = evidence.model.provenance
    versions = origin.get("versions")
    known = [
        (word, origin[key])
        for word, key in (
            ("backend", "backend"),
            ("stopped", "stop"),
            ("seed", "seed"),
            ("tolerance", "tol"),
            ("trained on", "data"),
            ("route", "route"),
        )
        if key in origin
    ]
    if isinstance(versions, Mapping):
        known.append(("versions", ", ".join(f"{k} {v}" for k, v in versions.items())))
    seconds = origin.get("seconds")
    if isinstance(seconds, Mapping):
        known.append(("seconds", timing(seconds)))
    options = origin.get("options")
    known.append(("options", json.dumps(options) if options else "none"))
    now = datetime.datetime.now(datetime.UTC)
    files = [(f"{kind} file", name, digest) for kind, (name, digest) in evidence.files.items()]
    files.append(("prepared data", "X and y as numbers", evidence.certificate.fingerprint))
    rows = [(kind, name, tag("code", digest)) for kind, name, digest in files]
    return [
        tag("h3", "The model"),
        facts(known),
        *pruned_words(origin.get("pruned")),
        tag("h3", "Fingerprints"),
        table(("what", "name", "SHA-256"), rows, (0, 1, 2)),
        tag("h3", "This report"),
        facts(
            [("made", now.strftime("%Y-%m-%d %H:%M UTC")), ("seconds", timing(evidence.seconds))]
        ),
    ]


def pruned_words(pruned: object) -> list[object]:
    """What `relu-opt prune` did to the model."""
    if not isinstance(pruned, Mapping):
        return []
    widths = pruned.get("neurons")
    counts = " to ".join(map(str, widths)) if isinstance(widths, list) else "some"
    return [tag("p", f"Pruned after training, by {pruned.get('method')}: {counts} neurons.")]


def timing(seconds: Mapping[str, object]) -> str:
    """Names with their seconds."""
    return ", ".join(
        f"{name} {value:.2f}" for name, value in seconds.items() if isinstance(value, int | float)
    )
