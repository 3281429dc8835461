"""HTML from nested calls; whatever is not markup already is escaped."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

VOID = ("meta", "img", "br")
SMALL = re.compile(r"([\d.]+e-\d+)")


class Markup(str):
    """Text that is HTML already. Made by `tag` alone."""

    __slots__ = ()


def tag(name: str, /, *children: object, **attributes: object) -> Markup:
    """An element; its children and the values of its attributes are escaped.

    Parameters
    ----------
    name : str
        Such as "p".
    *children : object
        `Markup` goes in as it is, lists are joined, and anything else as escaped text.
    **attributes : object
        A trailing underscore is dropped (`class_`), other underscores become hyphens.
    """
    named = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
    )
    if name in VOID:
        return Markup(f"<{name}{named}>")
    return Markup(f"<{name}{named}>{join(children)}</{name}>")


def join(children: Iterable[object]) -> Markup:
    """Children one after another, escaped where they are not markup."""
    return Markup("".join(_child(child) for child in children))


def _child(child: object) -> str:
    if isinstance(child, Markup):
        return child
    if isinstance(child, list | tuple):
        return join(child)
    return html.escape(str(child))


def table(
    head: Sequence[object], rows: Iterable[Sequence[object]], words: Sequence[int] = (0,)
) -> Markup:
    """A table that scrolls sideways where the page is narrow; numbers to the right.

    Parameters
    ----------
    head : sequence
        The names of the columns.
    rows : iterable of sequences
    words : sequence of int
        The columns that hold words.
    """

    def cell(name: str, k: int, content: object) -> Markup:
        if k in words:
            return tag(name, content)
        text = str(content)
        return tag(name, f"−{text[1:]}" if text.startswith("-") else text, class_="number")

    top = tag("tr", [cell("th", k, each) for k, each in enumerate(head)])
    body = [tag("tr", [cell("td", k, each) for k, each in enumerate(row)]) for row in rows]
    inner = tag("table", tag("thead", top), tag("tbody", body))
    return tag("div", inner, class_="wide", tabindex="0", role="region", aria_label="table")


def facts(pairs: Iterable[tuple[object, object]]) -> Markup:
    """Names with their values."""
    return tag("dl", [tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs])


def sentence(text: str) -> Markup:
    """Text whose small numbers, such as 7.0e-13, are not broken at the end of a line."""
    parts = SMALL.split(text)
    return join(
        tag("span", part, class_="whole") if k % 2 else part for k, part in enumerate(parts)
    )


def figure(source: str, words: str, large: bool = False) -> Markup:
    """A picture with its words, which are also read out in its place.

    A large one scrolls sideways on a narrow page, where it would be too small to read.
    """
    image = tag("img", src=source, alt=words)
    frame = tag("div", image, class_="wide large" if large else "wide")
    return tag("figure", frame, tag("figcaption", words))


def section(title: str, *content: object) -> Markup:
    """A part of the page with its heading, which can be linked to."""
    return tag("section", tag("h2", title), *content, id=anchor(title))


def anchor(title: str) -> str:
    """The name by which a heading is linked to."""
    return title.lower().replace(" ", "-")


def fold(summary: str, *content: object) -> Markup:
    """Content that is shown on demand."""
    return tag("details", tag("summary", summary), *content)
