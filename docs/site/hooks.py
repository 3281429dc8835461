"""What mkdocs needs to know of this repository.

The front page is the README; CONTRIBUTING and CHANGELOG are pages too, and the API page is made
from the public names. A link that leaves docs/ for a file of the repository leads to a copy of it,
so that the pages read the same here and where the repository is browsed.
"""

import re
from collections.abc import Iterator
from os.path import relpath
from pathlib import Path
from posixpath import dirname, join, normpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from reference import sections

ROOT = Path(__file__).resolve().parents[2]
TOP = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
LINK = re.compile(r"(!?)\[([^\[\]]*)\]\(([^)\s#:]+)(#[^)\s]*)?\)")


def api_page() -> str:
    """The API page: the names of the reference, with their docstrings in full."""
    parts = ["# API", "From the docstrings. [All names on one page](reference.md) has a line each."]
    for title, text, module, names in sections():
        parts += [f"## {title}", text, *(f"::: {module.__name__}.{name}" for name in names)]
    return "\n\n".join(parts) + "\n"


def place(uri: str) -> str:
    """Where a page of the site stands, as a path from the root of the repository."""
    return {page: name for name, page in TOP.items()}.get(uri, f"docs/{uri}")


def target_of(uri: str, name: str) -> str:
    """Where a link of a page leads, as a path from the root of the repository."""
    return normpath(join(dirname(place(uri)), name))


def copied(uri: str, text: str) -> Iterator[str]:
    """The files of the repository, outside docs/, to which a page links."""
    for link in LINK.finditer(text):
        target = target_of(uri, link[3])
        if not target.startswith("docs/") and target not in TOP and (ROOT / target).is_file():
            yield target


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in docs/, and copies of the files to which pages link."""
    for name, uri in TOP.items():
        files.append(File.generated(config, uri, content=(ROOT / name).read_text(encoding="utf-8")))
    files.append(File.generated(config, "api.md", content=api_page()))
    pages = list(files.documentation_pages())
    for target in sorted(
        {file for page in pages for file in copied(page.src_uri, page.content_string)}
    ):
        source = str(ROOT / target)
        files.append(File.generated(config, f"repository/{target}", abs_src_path=source))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links as they are in the repository into links of the site."""
    uri = page.file.src_uri

    def of_the_site(link: re.Match[str]) -> str:
        whole, image, text, name, heading = link[0], link[1], link[2], link[3], link[4] or ""
        target = target_of(uri, name)
        if (ROOT / target).is_dir():
            return text  # a site shows no folders
        if not (ROOT / target).exists():
            return whole
        inside = TOP.get(target) or target.removeprefix("docs/")
        if inside == target:
            inside = f"repository/{target}"
        return f"{image}[{text}]({relpath(inside, dirname(uri) or '.')}{heading})"

    return LINK.sub(of_the_site, markdown)
