"""Settings: argument > environment > config file > default, and errors that name the source."""

import os

import numpy as np
import pytest

import relu_opt as ro
from relu_opt.config import Settings, load_settings, settled_seed, settled_tol
from relu_opt.errors import ConfigError, DataError, OptionError


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """A folder of its own, with room for files in the folders above."""
    folder = tmp_path / "outer" / "inner"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


def test_defaults():
    assert load_settings() == Settings("auto", 1e-8, None, None, 0, False, {})


def test_each_source_beats_the_next(elsewhere, monkeypatch):
    (elsewhere / "relu-opt.toml").write_text("tol = 1e-3\nseed = 1\nthreads = 2\n")
    monkeypatch.setenv("RELU_OPT_TOL", "1e-4")
    monkeypatch.setenv("RELU_OPT_SEED", "5")
    settings = load_settings().with_arguments(tol=1e-5, seed=None)
    assert (settings.tol, settings.seed, settings.threads) == (1e-5, 5, 2)
    assert settings.backend == "auto"


def test_the_nearest_file_is_found_in_the_folders_above(elsewhere):
    (elsewhere.parent.parent / "relu-opt.toml").write_text("seed = 1\n")
    assert load_settings().seed == 1
    (elsewhere.parent / "pyproject.toml").write_text("[tool.relu-opt]\nseed = 2\n")
    assert load_settings().seed == 2
    (elsewhere / "pyproject.toml").write_text("[tool.other]\nseed = 9\n")
    assert load_settings().seed == 2
    (elsewhere / "relu-opt.toml").write_text("seed = 3\n")
    assert load_settings().seed == 3


def test_the_file_can_be_named(elsewhere, monkeypatch):
    (elsewhere / "relu-opt.toml").write_text("seed = 1\n")
    (elsewhere / "other.toml").write_text("seed = 2\n")
    (elsewhere / "third.toml").write_text("seed = 3\n")
    monkeypatch.setenv("RELU_OPT_CONFIG", "other.toml")
    assert load_settings().seed == 2
    assert load_settings("third.toml").seed == 3


def test_every_variable_is_read(monkeypatch):
    for name, text in {
        "BACKEND": "native",
        "TOL": "1e-6",
        "TIME_LIMIT": "2.5",
        "THREADS": "3",
        "SEED": "4",
        "VERBOSE": "Yes",
    }.items():
        monkeypatch.setenv(f"RELU_OPT_{name}", text)
    assert load_settings() == Settings("native", 1e-6, 2.5, 3, 4, True)
    monkeypatch.setenv("RELU_OPT_TOL", "")
    assert load_settings().tol == 1e-8


def test_options_belong_to_a_backend(elsewhere):
    (elsewhere / "relu-opt.toml").write_text("tol = 1e-3\n[options.native]\nmax_iter = 7\n")
    settings = load_settings()
    told = settings.options_for("native")
    assert told == {"tol": 1e-3, "seed": 0, "verbose": False, "max_iter": 7}
    told["max_iter"] = 8
    assert settings.options_for("native")["max_iter"] == 7
    assert "max_iter" not in settings.options_for("cvxpy")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("tols = 1\n", ("'tols'", "Did you mean 'tol'")),
        ("tol = 0\n", ("tol is 0",)),
        ("tol = -1e-3\n", ("tol is -0.001",)),
        ("tol = 1\n", ("tol is 1,", "below 1")),
        ("tol = 1e6\n", ("tol is 1000000.0",)),
        ("tol = 5e-400\n", ("tol is 0.0",)),
        ("origins = 3\n", ("unknown setting 'origins'",)),
        ("tol = inf\n", ("tol is inf",)),
        ("tol = nan\n", ("tol is nan",)),
        ('tol = "small"\n', ("tol is 'small'",)),
        ("tol = true\n", ("tol is True",)),
        ("time_limit = 0\n", ("time_limit is 0",)),
        ("threads = 0\n", ("threads is 0",)),
        ("threads = 1.5\n", ("threads is 1.5",)),
        ("seed = -1\n", ("seed is -1",)),
        ("seed = true\n", ("seed is True",)),
        ("verbose = 1\n", ("verbose is 1",)),
        ("backend = 3\n", ("backend is 3",)),
        ('backend = ""\n', ("backend is ''",)),
        ("options = 3\n", ("[options.native]",)),
        ("[options]\nnative = 3\n", ("[options.native]",)),
        ("tol = \n", ("not valid TOML",)),
    ],
)
def test_a_bad_file_is_named(elsewhere, text, parts):
    (elsewhere / "relu-opt.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_settings()
    for part in ("relu-opt.toml", *parts):
        assert part in caught.value.message
    assert caught.value.fields["source"] == str(elsewhere / "relu-opt.toml")


def test_other_bad_files_are_named(elsewhere, monkeypatch):
    (elsewhere / "pyproject.toml").write_text("[tool]\nrelu-opt = 3\n")
    with pytest.raises(ConfigError, match=r"pyproject\.toml: \[tool\.relu-opt\] is not a table"):
        load_settings()
    (elsewhere / "relu-opt.toml").write_bytes(b"backend = '\xff'\n")
    with pytest.raises(ConfigError, match=r"relu-opt\.toml is not valid TOML"):
        load_settings()
    with pytest.raises(ConfigError, match=r"no file gone\.toml"):
        load_settings("gone.toml")
    monkeypatch.setenv("RELU_OPT_CONFIG", "lost.toml")
    with pytest.raises(ConfigError, match=r"\(from RELU_OPT_CONFIG\) will not do.*lost\.toml"):
        load_settings()


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("TOL", "0"),
        ("TOL", "small"),
        ("TOL", "nan"),
        ("TOL", "1"),
        ("TOL", "1e300"),
        ("TOL", "inf"),
        ("TIME_LIMIT", "-1"),
        ("THREADS", "1.5"),
        ("SEED", "x"),
        ("VERBOSE", "maybe"),
    ],
)
def test_a_bad_variable_is_named(monkeypatch, variable, text):
    monkeypatch.setenv(f"RELU_OPT_{variable}", text)
    with pytest.raises(ConfigError) as caught:
        load_settings()
    assert f"RELU_OPT_{variable} is {text!r}" in caught.value.message
    assert caught.value.fields["source"] == f"RELU_OPT_{variable}"


@pytest.mark.parametrize(
    "given", [{"tol": 0}, {"tol": -1.0}, {"tol": 1.0}, {"tol": 1e6}, {"threads": 0}, {"seed": 1.5}]
)
def test_a_bad_argument_is_named(given):
    name = next(iter(given))
    with pytest.raises(OptionError, match=f"{name} is ") as caught:
        Settings().with_arguments(**given)
    assert caught.value.fields["option"] == name


def test_an_unknown_argument_is_named():
    with pytest.raises(OptionError, match="Did you mean 'threads'"):
        Settings().with_arguments(thread=3)


def test_where_a_setting_came_from_is_known(elsewhere, monkeypatch):
    assert load_settings().origins == {}
    file = elsewhere.parent / "relu-opt.toml"
    file.write_text("tol = 1e-3\nseed = 1\n")
    monkeypatch.setenv("RELU_OPT_SEED", "5")
    settings = load_settings().with_arguments(threads=2, time_limit=None)
    assert settings.origins == {"tol": str(file), "seed": "RELU_OPT_SEED", "threads": "argument"}


def test_one_rule_settles_tol_and_seed_everywhere(elsewhere, monkeypatch):
    assert (settled_tol(), settled_tol(None, 1e-6), settled_tol(1e-3)) == (1e-8, 1e-6, 1e-3)
    assert (settled_seed(), settled_seed(3)) == (0, 3)
    (elsewhere / "relu-opt.toml").write_text("tol = 1e-4\nseed = 2\n")
    assert (settled_tol(None, 1e-6), settled_tol(1e-3), settled_seed()) == (1e-4, 1e-3, 2)
    monkeypatch.setenv("RELU_OPT_TOL", "1e-5")
    assert settled_tol(None, 1e-6) == 1e-5
    for wrong in (0, 1, 1.0, -1e-9, 1e300, float("nan"), "small", True):
        with pytest.raises(DataError, match="tol is "):
            settled_tol(wrong)
    with pytest.raises(DataError, match="seed is -1"):
        settled_seed(-1)


def data():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.standard_normal(12), np.ones(12)])
    return X, np.abs(X[:, 0]) + 0.1 * rng.standard_normal(12)


def trained_tols(**given):
    """The tol in each certificate that training or proving makes, by what made it."""
    X, y = data()
    program = ro.ConvexProgram(X, y, 0.01, ro.sample_patterns(X, 5))
    network = ro.solve(program, tol=1e-9).network
    return {
        "solve": ro.solve(program, **given).certificate.tol,
        "certify": ro.certify(program, network, **given).tol,
        "certify_network": ro.certify_network(network, X, y, 0.01, **given).tol,
        "train_globally": ro.train_globally(X, y, 0.01, **given).certificate.tol,
        "train_vector": ro.several_outputs.train_vector(
            X, y[:, None], 0.01, **given
        ).certificate.tol,
        "fit_spline": ro.one_input.fit_spline(X[:, 0], y, 0.01, **given).certificate.tol,
    }


def test_every_trainer_and_prover_obeys_the_settings(elsewhere, monkeypatch):
    tols = trained_tols()
    assert {tols.pop("train_globally"), tols.pop("train_vector")} == {1e-6}
    assert set(tols.values()) == {1e-8}
    (elsewhere / "relu-opt.toml").write_text("tol = 1e-4\n")
    assert set(trained_tols().values()) == {1e-4}
    monkeypatch.setenv("RELU_OPT_TOL", "1e-5")
    assert set(trained_tols().values()) == {1e-5}
    assert set(trained_tols(tol=1e-7).values()) == {1e-7}


@pytest.mark.parametrize("tol", [0, 1, 1.5, 1e300, float("nan")])
def test_a_tol_of_one_or_more_is_refused_by_every_trainer_and_prover(tol):
    X, y = data()
    program = ro.ConvexProgram(X, y, 0.01, ro.sample_patterns(X, 5))
    nothing = ro.ReLUNetwork(np.zeros((0, 2)), np.zeros(0))
    calls = (
        lambda: ro.solve(program, tol=tol),
        lambda: ro.solve(program, options={"tol": tol}),
        lambda: ro.certify(program, nothing, tol=tol),
        lambda: ro.certify_network(nothing, X, y, 0.01, tol=tol),
        lambda: ro.train_globally(X, y, 0.01, tol=tol),
        lambda: ro.several_outputs.train_vector(X, y[:, None], 0.01, tol=tol),
        lambda: ro.one_input.fit_spline(X[:, 0], y, 0.01, tol=tol),
        lambda: ro.prune(nothing, X, y, lam=0.01, tol=tol),
        lambda: ro.all_patterns.separation(X, y, tol=tol),
        lambda: ro.several_outputs.vector_separation(X, y[:, None], tol=tol),
        lambda: ro.solution_path(program, tol=tol),
        lambda: ro.interpolation.minimum_norm_interpolant(X[:2], y[:2], tol=tol),
        lambda: ro.several_outputs.train_stacked(X, y[:, None], 0.01, 5, tol=tol),
        lambda: ro.solve_program(ro.LinearProgram(c=[1.0], lower=0.0), tol=tol),
        lambda: ro.cross_check(program, backends=["native"], tol=tol),
    )
    for call in calls:
        with pytest.raises((DataError, OptionError), match=r"tol.* is "):
            call()


def test_the_seed_of_the_settings_starts_training_over_all_patterns(monkeypatch):
    seen = []
    sample = ro.sample_patterns
    monkeypatch.setattr(
        "relu_opt.train.all_patterns.training.sample_patterns",
        lambda X, count, seed: seen.append(seed) or sample(X, count, seed),
    )
    X, y = data()
    ro.train_globally(X, y, 0.1)
    monkeypatch.setenv("RELU_OPT_SEED", "7")
    ro.train_globally(X, y, 0.1)
    ro.train_globally(X, y, 0.1, seed=3)
    assert seen == [0, 7, 3]


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "[" * 5000 + "]" * 5000,
        "x = " + "{a=" * 5000 + "1" + "}" * 5000,
        "x = " + "[" * 300 + "]" * 300,
        "a" + ".a" * 20_000 + " = 1",
        "[a" + ".a" * 20_000 + "]",
        'x = {"=".' + "a." * 20_000 + "a = 1}",
        "seed = " + "9" * 5000,
        "# " + "x" * 2**20,
        "time_limit = 1" + "0" * 400,
        "tol = " + "[" * 50 + "]" * 50,
        "x" * 100_000 + " = 1",
        "a = 1\na = 2",
        "\0",
    ],
    ids=lambda text: text[:12],
)
@pytest.mark.parametrize("name", ["relu-opt.toml", "pyproject.toml"])
def test_a_hostile_file_is_refused_in_few_words(elsewhere, text, name):
    content = text if name == "relu-opt.toml" else f"[tool.relu-opt]\n{text}"
    (elsewhere / name).write_text(content)
    with pytest.raises(ConfigError) as caught:
        load_settings()
    assert str(elsewhere / name) in caught.value.message
    assert len(caught.value.message) < 1000


def test_texts_with_many_dots_are_no_keys(elsewhere):
    dots = "." * 500
    (elsewhere / "pyproject.toml").write_text(f"[tool.x]\na = \"{dots}\"\nb = '{dots}'\n")
    assert load_settings().origins == {}


def test_a_config_file_is_a_regular_file(elsewhere, monkeypatch):
    for name, make in {
        "pipe": os.mkfifo,
        "folder": os.mkdir,
        "loop": lambda path: path.symlink_to(path),
        "zero": lambda path: path.symlink_to("/dev/zero"),
    }.items():
        make(elsewhere / name)
        with pytest.raises(ConfigError, match="The config file will not do"):
            load_settings(name)
        make(elsewhere / "relu-opt.toml")
        with pytest.raises(ConfigError, match=r"relu-opt\.toml"):
            load_settings()
        (elsewhere / "relu-opt.toml").rename(elsewhere / f"{name} before")
        # A project's file is not ours, and need not be one.
        make(elsewhere / "pyproject.toml")
        assert load_settings().origins == {}
        (elsewhere / "pyproject.toml").rename(elsewhere / f"{name} of a project")


def test_a_folder_that_is_gone(elsewhere):
    elsewhere.rmdir()
    with pytest.raises(ConfigError, match="current folder cannot be searched"):
        load_settings()
