"""`relu-opt report`: what the page says, that it is safe and complete, and that it opens."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest

import relu_opt as ro
from relu_opt.report import gather, render
from relu_opt.report.markup import Markup, sentence, table, tag
from relu_opt.report.pictures import in_units
from relu_opt.tabular.model import Model
from relu_opt.tabular.preprocessing import Preprocessing
from relu_opt.tabular.tables import read_table

pytest.importorskip("matplotlib")

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "$\\frac{a$ & 年齢 ' </title>",
)
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """A page read by a parser that shares nothing with ours: elements, text, and their nesting."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.open, self.text = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())

    def values(self, attribute):
        return [found[attribute] for _, found in self.elements if attribute in found]


def check_safe(shown):
    """Neither scripts nor anything that is loaded from elsewhere."""
    names = {name for name, _ in shown.elements}
    assert not names & {"script", "link", "iframe", "object", "embed", "base", "form"}
    assert all(value.startswith("data:image/svg+xml;base64,") for value in shown.values("src"))
    assert all(value.startswith("#") for value in shown.values("href"))
    assert set(shown.values("href")) <= {f"#{name}" for name in shown.values("id")}
    attributes = {name for _, found in shown.elements for name in found}
    assert not [name for name in attributes if name.startswith("on")]
    for source in shown.values("src"):
        picture = base64.b64decode(source.partition(",")[2]).decode()
        assert picture.startswith("<svg")
        assert "<script" not in picture
        links = re.findall(r'(?:href|src)="([^"]*)"', picture)
        assert all(link.startswith(("#", "data:")) for link in links)


@pytest.fixture
def hostile(folder):
    """A table whose names are attacks, and a model trained on it."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal((40, 2))
    target = np.abs(values[:, 0]) + 0.1 * values[:, 1]
    arrays = dict(zip(HOSTILE, (*values.T, target), strict=True))
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table(arrays), folder / "hostile.parquet")
    data = read_table(folder / "hostile.parquet")
    prepared = Preprocessing.fit(data, HOSTILE[2])
    X = prepared.transform(data)
    patterns = ro.sample_patterns(X, 15, seed=0)
    program = ro.ConvexProgram(X, prepared.targets(data), 0.02, patterns)
    solution = ro.solve(program)
    origin = {"backend": "<b>native</b>", "options": {"</dl>": "<i>"}, "versions": {"<u>": "<u>"}}
    model = Model(solution.network, prepared, patterns.gates, 0.02, program.loss, provenance=origin)
    return model, data


def test_the_page_says_what_is_proved(run, trained, folder):
    answer = run("report", trained.model, trained.data, "--n-lams", "4", "--json")
    assert answer.code == 0
    found = answer.json
    shown = Page((folder / "report.html").read_text(encoding="utf-8"))
    check_safe(shown)
    words = shown.words
    proof = run("certify", trained.model, trained.data, "--json").json
    assert found["verdict"] == proof["verdict"] == "certified"
    assert found["kkt"]["primal"] == pytest.approx(proof["kkt"]["primal"], rel=1e-12)
    statement = ro.verify(trained.certificate, *_arrays(trained)).statement
    assert statement.split(":")[0].split(", lam")[0] in words
    for each in (
        "Certified",
        "What it does not say",
        "data.csv",
        f"relu-opt certify {trained.model}",
    ):
        assert each in words
    model = Model.load(trained.model)
    for name in (*model.preprocessing.features, "y"):
        assert name in words
    for file in (trained.model, trained.data):
        assert hashlib.sha256(file.read_bytes()).hexdigest() in words
    assert found["optimal_set"]["reason"] in words
    assert f"{found['sensitivity']['dof']:.5g}" in words
    assert f"RMSE on these data {found['errors']['rmse']:.5g}" in words
    assert len(found["path"]["lams"]) == 4
    assert model.lam in found["path"]["lams"]
    assert found["missing"] == {}
    assert len(shown.values("src")) >= 4
    assert all(shown.values("alt"))


def _arrays(trained):
    model, table_ = Model.load(trained.model), read_table(trained.data)
    program = model.program(table_)
    return program.X, program.y


def test_the_neurons_are_those_of_the_model_with_their_features(trained):
    model, data = Model.load(trained.model), read_table(trained.data)
    evidence = gather(model, data, points=0)
    shown = Page(render(evidence))
    network = evidence.certificate.network
    j = int(np.argmax(np.linalg.norm(network.hidden, axis=1) * np.abs(network.output)))
    unit = network.hidden[j] / np.linalg.norm(network.hidden[j])
    k = int(np.abs(unit).argmax())
    name = [*model.preprocessing.features, "the bias"][k]
    assert f"{unit[k]:+.2f} {name}".replace("-", "−") in shown.words


def test_hostile_names_are_text_and_nothing_else(hostile):
    model, data = hostile
    shown = Page(render(gather(model, data, points=3, eps=0.01, rows=1)))
    check_safe(shown)
    for name in HOSTILE:
        assert " ".join(name.split()) in shown.words
    assert not [name for name, _ in shown.elements if name in ("b", "i", "u")]
    policy = dict(shown.elements)["meta"]["content"]
    assert policy.startswith("default-src 'none'")


def test_markup_escapes_whatever_is_not_markup():
    assert tag("p", "<&>", tag("b", '"')) == "<p>&lt;&amp;&gt;<b>&quot;</b></p>"
    assert tag("a", ["x", 1], href='"') == '<a href="&quot;">x1</a>'
    assert tag("img", alt="'<'") == '<img alt="&#x27;&lt;&#x27;">'
    assert isinstance(tag("p"), Markup)
    assert "<td>&lt;i&gt;</td>" in table(("a", "b"), [("<i>", "-1")])
    assert '<td class="number">−1</td>' in table(("a", "b"), [("<i>", "-1")])
    assert sentence("<at 7.0e-13>") == '&lt;at <span class="whole">7.0e-13</span>&gt;'


def test_a_network_that_is_not_optimal_is_called_so(trained):
    model, data = Model.load(trained.model), read_table(trained.data)
    network = ro.ReLUNetwork(1.2 * model.network.hidden, model.network.output)
    evidence = gather(replace(model, network=network), data, points=0)
    shown = Page(render(evidence)).words
    assert evidence.certificate.verdict == "not_certified"
    assert "Not certified" in shown
    assert "A better network may exist" in shown
    assert not evidence.all_optimal.membership
    assert "It was not asked for." in shown


def test_many_optimal_networks_have_ranges_and_a_picture(monkeypatch, trained):
    from symmetric import crosspolytope

    program = crosspolytope([1.0, 2.0, 1.5], lam=0.02)
    solution = ro.solve(program, tol=1e-12)
    model, data = Model.load(trained.model), read_table(trained.data)
    evidence = gather(model, data, points=0)
    from relu_opt.report.evidence import describe
    from relu_opt.report.network_parts import set_part

    inside = SimpleNamespace(network=solution.network)
    evidence.all_optimal = describe(solution, inside, None, program.X[:0])
    monkeypatch.setattr("relu_opt.report.network_parts.column_names", lambda _: ["p", "q", "r"])
    shown = Page(tag("div", set_part(evidence)))
    assert len(shown.values("src")) == 1
    assert "Not unique" in shown.words
    assert "yes, to 0.0001" in shown.words
    assert "fewest neurons 2 (proved)" in shown.words
    ranges = evidence.all_optimal.ranges
    for high in ranges.upper:
        assert f"{0.02 * high:.4g}" in shown.words


def test_a_part_that_fails_says_why(monkeypatch, trained):
    def refuse(*_, **__):
        raise ro.errors.NotCertified("No <luck> today.")

    monkeypatch.setattr("relu_opt.report.evidence.optimal_set", refuse)
    monkeypatch.setattr("relu_opt.report.evidence.solution_path", refuse)
    evidence = gather(Model.load(trained.model), read_table(trained.data), points=3)
    assert set(evidence.missing) == {"all optimal networks", "path"}
    shown = Page(render(evidence))
    assert shown.words.count("No <luck> today.") == 2
    assert "Whether others are as good is not known" in shown.words
    assert "Certified" in shown.words


def test_a_network_without_neurons_has_a_page(run, folder, data):
    fit = ("fit", data, "--target", "y", "--gates", "5", "--lam", "50", "--out", "z.npz")
    assert run(*fit).code == 0
    assert run("report", "z.npz", data, "--n-lams", "2").code == 0
    shown = Page((folder / "report.html").read_text(encoding="utf-8"))
    assert "The network has no neurons" in shown.words


@pytest.mark.parametrize("activation", ["relu", "gated"])
@pytest.mark.parametrize("standardize", ["--standardize", "--no-standardize"])
def test_the_network_in_the_users_units(run, folder, data, activation, standardize):
    fit = ("fit", data, "--target", "y", "--gates", "8", "--lam", "0.01", "--out", "u.npz")
    assert run(*fit, "--activation", activation, standardize, "--intercept").code == 0
    model, table_ = Model.load(folder / "u.npz"), read_table(data)
    raw = np.c_[table_.matrix(model.preprocessing.features), np.ones(len(table_))]
    np.testing.assert_allclose(in_units(model).predict(raw), model.predict(table_), rtol=1e-9)


@pytest.mark.parametrize(
    ("columns", "loss", "words"),
    [("a,y", "squared", "its pieces"), ("a,b,label", "logistic", "with its neurons"),
     ("a,b,c,label", "logistic", "by true class")],
)  # fmt: skip
def test_one_and_two_features_are_drawn_as_functions(run, folder, data, columns, loss, words):
    names = data.read_text().splitlines()[0].split(",")
    rows = [line.split(",") for line in data.read_text().splitlines()]
    kept = [names.index(name) for name in columns.split(",")]
    text = "\n".join(",".join(row[k] for k in kept) for row in rows)
    (folder / "few.csv").write_text(text + "\n")
    fit = ("fit", "few.csv", "--target", "-1", "--loss", loss, "--gates", "8", "--out", "f.npz")
    assert run(*fit).code == 0
    answer = run("report", "f.npz", "few.csv", "--no-path", "--out", "few.html")
    assert answer.code == 0
    assert "verdict" in answer.out
    assert words in Page((folder / "few.html").read_text(encoding="utf-8")).words


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--n-lams", "1"], "--n-lams"),
        (["--rows", "0"], "--rows"),
        (["--time-limit", "0"], "--time-limit"),
        (["--eps", "-1"], "--eps"),
        (["--out", "nowhere/r.html"], "no folder"),
        (["--out", "m.npz"], "same file"),
        (["--target", "none"], "none"),
    ],
)
def test_bad_input_writes_nothing(run, trained, folder, arguments, says):
    before = trained.model.read_bytes()
    answer = run("report", trained.model, trained.data, *arguments)
    assert answer.code == 2
    assert says in answer.err
    assert not (folder / "report.html").exists()
    assert trained.model.read_bytes() == before


def test_an_earlier_report_survives_a_failure(run, trained, folder, monkeypatch):
    (folder / "report.html").write_text("mine")

    def fail(*_):
        raise ro.errors.DataError("No.")

    monkeypatch.setattr("relu_opt.report.page.render", fail)
    assert run("report", trained.model, trained.data, "--no-path").code == 2
    assert (folder / "report.html").read_text() == "mine"


@pytest.mark.slow
def test_the_page_opens_in_a_browser(hostile, folder):
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("chromium is not installed (Debian: apt-get install chromium)")
    from matplotlib.image import imread

    model, data = hostile
    file = folder / "r.html"
    file.write_text(render(gather(model, data, points=0)), encoding="utf-8")
    shots = {}
    for width in (500, 1000):
        shot = folder / f"{width}.png"
        command = [
            browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            f"--user-data-dir={folder / 'profile'}", f"--window-size={width},4000",
            f"--screenshot={shot}", file.as_uri(),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, timeout=600, check=False)
        assert shot.exists(), done.stderr[-2000:]
        shots[width] = (255 * imread(shot)[..., :3]).round().astype(int)
    for width, pixels in shots.items():
        assert pixels.shape == (4000, width, 3)
        # The verdict's green, and the bars of a picture, which the policy must let through.
        for colour in ((29, 107, 58), (31, 95, 139)):
            assert (pixels == colour).all(axis=2).sum() > 300, (width, colour)
