"""Settings: argument > environment > config file > default, and errors that name the source."""

import pytest

from relu_opt.config import Settings, load_settings
from relu_opt.errors import ConfigError, OptionError


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
    with pytest.raises(ConfigError, match=r"no config file gone\.toml"):
        load_settings("gone.toml")
    monkeypatch.setenv("RELU_OPT_CONFIG", "lost.toml")
    with pytest.raises(ConfigError, match=r"lost\.toml \(from RELU_OPT_CONFIG\)"):
        load_settings()


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("TOL", "0"),
        ("TOL", "small"),
        ("TOL", "nan"),
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


@pytest.mark.parametrize("given", [{"tol": 0}, {"tol": -1.0}, {"threads": 0}, {"seed": 1.5}])
def test_a_bad_argument_is_named(given):
    name = next(iter(given))
    with pytest.raises(OptionError, match=f"{name} is ") as caught:
        Settings().with_arguments(**given)
    assert caught.value.fields["option"] == name


def test_an_unknown_argument_is_named():
    with pytest.raises(OptionError, match="Did you mean 'threads'"):
        Settings().with_arguments(thread=3)
