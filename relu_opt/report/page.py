"""The report as one HTML page that needs no other file."""

from __future__ import annotations

import os
from importlib.metadata import version

from relu_opt.io import write_text
from relu_opt.report import pictures
from relu_opt.report.evidence import Evidence
from relu_opt.report.markup import Markup, anchor, figure, fold, section, sentence, table, tag
from relu_opt.report.network_parts import network_part, pruning_part, sensitivity_part, set_part
from relu_opt.report.problem_parts import certificate_part, data_part, origin_part, program_part
from relu_opt.report.style import STYLE

# The browser itself refuses scripts and whatever is not in the page.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
VERDICTS = {
    "certified": "Certified",
    "not_certified": "Not certified",
    "inconclusive": "Inconclusive",
    "invalid": "Not proved",
}


def write_report(evidence: Evidence, path: str | os.PathLike[str]) -> None:
    """Write the page, whole or not at all; an earlier file survives a failure."""
    write_text(path, render(evidence))


def render(evidence: Evidence) -> str:
    """The page: data, program, certificate, network, optimal set, pruning, path, provenance.

    It has no script and refers to no other file; whatever comes from the data is escaped.
    """
    title = f"A network for {evidence.target}"
    parts = [
        ("Summary", summary_part(evidence)),
        ("Data", data_part(evidence)),
        ("Program", program_part(evidence)),
        ("Certificate", certificate_part(evidence)),
        ("Network", network_part(evidence)),
        ("Optimal set", set_part(evidence)),
        ("Pruning", pruning_part(evidence)),
        ("Path", path_part(evidence)),
        ("Sensitivity", sensitivity_part(evidence)),
        ("Provenance", origin_part(evidence)),
    ]
    links = [tag("a", name, href=f"#{anchor(name)}") for name, _ in parts]
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("title", title),
        tag("style", Markup(STYLE)),
    )
    body = tag(
        "body",
        tag("header", tag("h1", title), tag("nav", links, aria_label="Parts")),
        tag("main", [section(name, *content) for name, content in parts]),
        tag("footer", f"Made by relu-opt {version('relu-opt')}."),
    )
    return "<!DOCTYPE html>\n" + tag("html", head, body, lang="en") + "\n"


def summary_part(evidence: Evidence) -> list[object]:
    """The verdict in plain words, and what it leaves open."""
    checked, certificate = evidence.verification, evidence.certificate
    # A claim that does not survive the second check is none.
    held = checked.valid or certificate.verdict != "certified"
    verdict = certificate.verdict.value if held else "invalid"
    box = tag(
        "div",
        tag("strong", VERDICTS[verdict]),
        tag("p", sentence(certificate.reason)),
        tag("p", sentence(checked.statement)),
        *(tag("p", problem) for problem in checked.problems),
        class_=f"verdict {verdict}",
    )
    return [
        box,
        tag("h3", "What this says"),
        tag("p", says(evidence)),
        tag("h3", "What it does not say"),
        tag("ul", [tag("li", each) for each in leaves_open(evidence)]),
    ]


def says(evidence: Evidence) -> str:
    """The certificate for somebody who has not read about it."""
    certificate = evidence.certificate
    if certificate.verdict == "inconclusive" or not evidence.verification.valid:
        gap = certificate.rel_gap
        if certificate.verdict == "not_certified":
            return (
                f"A better network may exist: this network's objective is {100 * gap:.3g}% above "
                f"the lower bound. {set_word(evidence)}"
            )
        return f"Nothing is proved about how good this network is. {set_word(evidence)}"
    return (
        "The objective weighs how well the network fits these data against how large its weights "
        f"are. This one's objective is at most the gap (relative) above that of every network with "
        f"the {len(certificate.patterns)} activation patterns of this program. That follows from "
        "the numbers in the certificate alone, whoever trained the network. "
        f"{set_word(evidence)}"
    )


def set_word(evidence: Evidence) -> str:
    """Whether there are others as good."""
    facts = evidence.all_optimal
    if facts is None:
        return "Whether others are as good is not known (see Optimal set)."
    if facts.found.is_unique:
        return "The optimal network of the program is unique."
    return "The program has many optimal networks."


def leaves_open(evidence: Evidence) -> list[str]:
    """What a certificate does not say."""
    points = []
    if not evidence.certificate.patterns.complete:
        points.append(
            "That these activation patterns are the best ones. They were sampled; networks with "
            "others may have a lower objective."
        )
    points += [
        "That the network predicts well on new data. The errors on this page are those on the "
        "data of the report.",
        "That the arithmetic is exact. It is floating-point, with an allowance for rounding.",
    ]
    return points


def path_part(evidence: Evidence) -> list[object]:
    """Networks at other λ."""
    followed = evidence.path
    if followed is None:
        return [tag("p", evidence.missing["path"])]
    words = (
        f"The optimal network at {len(followed)} values of lam from {followed.lams[0]:.4g} to "
        f"{followed.lams[-1]:.4g}. Between them the relative gap of the mixed networks is at most "
        f"{followed.largest_gap:.1e}."
    )
    if not followed.stop.converged:
        words += f" It ended early: {followed.stop.value}. {followed.stop.advice}"
    caption = "Over lam, which falls to the right; the dashed line is the lam of the model."
    drawn = pictures.embedded(pictures.path(followed, evidence.program.lam))
    rows = [
        (f"{lam:.4g}", f"{value:.6g}", f"{loss:.6g}", count, f"{max(gap, 0.0):.0e}")
        for lam, value, loss, count, gap in zip(
            followed.lams, followed.objectives, followed.losses, followed.neurons,
            followed.rel_gaps, strict=True,
        )
    ]  # fmt: skip
    head = ("lam", "objective", "mean loss", "neurons", "relative gap")
    return [
        tag("p", sentence(words)),
        figure(drawn, caption, large=True),
        fold("The points as a table", table(head, rows, ())),
    ]
