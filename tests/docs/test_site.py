"""The documentation as a site: it builds without a warning, and all that it needs is in it."""

from __future__ import annotations

import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from public import public_names

ROOT = Path(__file__).resolve().parents[2]
for library in ("mkdocs", "material", "mkdocstrings_handlers.python"):
    pytest.importorskip(library, reason="the extra `docs` is not installed")
# Building takes about ten seconds.
pytestmark = pytest.mark.slow
# What a browser fetches by itself.
FETCHED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}


class Looked(HTMLParser):
    """The anchors of a page, where its links lead, what it fetches, and its paragraphs."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.text = ""
        self._code = 0
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        self._code += tag in ("code", "script")
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        source = values.get(FETCHED.get(tag, ""))
        if source and values.get("rel") not in ("canonical", "prev", "next", "alternate"):
            self.fetched.append(source)

    def handle_endtag(self, tag: str) -> None:
        self._code -= tag in ("code", "script")

    def handle_data(self, data: str) -> None:
        if not self._code:
            self.text += data


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built as CONTRIBUTING.md says, elsewhere; and what mkdocs said."""
    folder = tmp_path_factory.mktemp("site")
    build = ["build", "--strict", "-f", "docs/site/mkdocs.yml", "-d", str(folder)]
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", *build],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder, done.stderr


@pytest.fixture(scope="module")
def pages(site):
    return {page: Looked(page) for page in sorted(site[0].rglob("*.html"))}


def test_it_builds_without_a_warning(site):
    assert "Documentation built" in site[1]
    assert "WARNING" not in site[1]
    assert "ERROR" not in site[1]


def test_every_page_is_there(pages, site):
    made = {str(page.relative_to(site[0]).with_suffix("")) for page in pages}
    docs = ROOT / "docs"
    written = {str(page.relative_to(docs).with_suffix("")) for page in docs.rglob("*.md")}
    assert made >= written | {"index", "api", "contributing", "changelog"}


def test_every_link_leads_somewhere(pages):
    lost = []
    for page, looked in pages.items():
        for link in looked.links:
            name, _, anchor = unquote(link).partition("#")
            if name.startswith(("http://", "https://")) or page.name == "404.html":
                continue
            other = (page.parent / name).resolve() if name else page
            if not other.exists() or (anchor and anchor not in pages[other].anchors):
                lost.append((page.name, link))
    assert lost == []


def test_a_browser_asks_nobody_else(pages):
    assert sum(len(looked.fetched) for looked in pages.values()) > len(pages)
    fetched = {source for looked in pages.values() for source in looked.fetched}
    assert [source for source in fetched if source.startswith(("http:", "https:", "//"))] == []


def test_no_table_and_no_list_is_left_as_text(pages):
    lines = {(page.name, line) for page in pages for line in pages[page].text.splitlines()}
    assert [line for line in lines if line[1].startswith(("|", "* ", "```", ":::"))] == []


def test_the_api_page_has_every_public_name(pages, site):
    anchors = pages[site[0] / "api.html"].anchors
    shown = {anchor.rpartition(".")[2] for anchor in anchors}
    names = {name.rpartition(".")[2] for name in public_names()}
    assert names - shown == set()
    assert "relu_opt.errors.NotCertified" in anchors
