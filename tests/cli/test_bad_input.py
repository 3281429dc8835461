"""Bad input: exit code 2, a message that names the fault, and earlier files left alone."""

import io
import json
import os
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from relu_opt.cli import main


def change_cell(file, line, column, text):
    rows = [row.split(",") for row in file.read_text().splitlines()]
    rows[line - 1][column] = text
    file.write_text("\n".join(",".join(row) for row in rows) + "\n")


@pytest.fixture
def refused(run, folder):
    """Run a command that must be refused; returns its JSON error. Earlier files must survive."""

    def refused(*arguments):
        earlier = {}
        for name in ("model.npz", "certificate.npz"):
            if not (folder / name).exists():
                (folder / name).write_bytes(b"precious")
        earlier = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
        before = sorted(folder.iterdir())
        worded = run(*arguments)
        assert worded.code == 2
        assert worded.out == ""
        result = run(*arguments, "--json")
        assert result.code == 2
        assert result.err == ""
        assert list(result.json) == ["error"]
        error = result.json["error"]
        assert " ".join(error["message"].split()) in " ".join(worded.err.split())
        assert sorted(folder.iterdir()) == before
        assert {path: path.read_bytes() for path in earlier} == earlier
        return error

    return refused


def fit(data, *arguments, target="y"):
    return ("fit", data, "--target", target, "--gates", "10", *arguments)


# -- data ----------------------------------------------------------------------------------


def test_a_missing_target_suggests_the_near_match(refused, data):
    error = refused(*fit(data, target="lable"))
    assert error["type"] == "DataError"
    assert error["column"] == "lable"
    assert "Did you mean 'label'" in error["message"]


def test_a_target_position_beyond_the_table_is_named(refused, data):
    assert "numbered 0 to 4" in refused(*fit(data, target="9"))["message"]


@pytest.mark.parametrize("column", [1, 3], ids=["feature", "target"])
@pytest.mark.parametrize(
    ("cell", "said"), [("oops", "'oops'"), ("", "empty"), ("nan", "NaN"), ("-inf", "infinite")]
)
def test_a_bad_cell_is_named(refused, data, column, cell, said):
    change_cell(data, 17, column, cell)
    error = refused(*fit(data))
    assert error["column"] == "abcy"[column]
    assert error["place"] == "line 17"
    assert said in error["message"]


def test_ragged_rows_are_named(refused, data):
    change_cell(data, 9, 2, "1,2")
    assert refused(*fit(data))["line"] == 9


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "is empty"),
        ("a,y\n", "no data rows"),
        ("a,y,a\n1,2,3\n", "two columns named 'a'"),
        ("y\n1\n2\n", "single column 'y'"),
    ],
)
def test_a_file_without_a_usable_table_is_named(refused, folder, text, part):
    (folder / "t.csv").write_text(text)
    assert part in refused(*fit("t.csv"))["message"]


def test_a_missing_file_and_a_directory_as_data_are_named(refused, folder):
    assert "gone.csv" in refused(*fit("gone.csv"))["message"]
    assert "is a directory" in refused(*fit("."))["message"]


@pytest.mark.parametrize("loss", ["logistic", "squared_hinge"])
def test_other_than_two_classes_are_named(refused, data, loss):
    error = refused(*fit(data, "--loss", loss))
    assert error["column"] == "y"
    assert "40 different values" in error["message"]
    rows = data.read_text().splitlines()
    data.write_text("\n".join([rows[0], *(row for row in rows if row.endswith(",1"))]) + "\n")
    error = refused(*fit(data, "--loss", loss, target="label"))
    assert "one class (1)" in error["message"]


# -- options -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("--lam", "0"), ("lam is 0",)),
        (("--lam", "-1"), ("lam is -1",)),
        (("--lam", "nan"), ("lam is nan",)),
        (("--lam", "much"), ("--lam", "valid number")),
        (("--tol", "0"), ("tol is 0",)),
        (("--tol", "-1e-8"), ("tol is -1e-08",)),
        (("--time-limit", "0"), ("time_limit is 0",)),
        (("--threads", "0"), ("threads is 0",)),
        (("--seed", "-1"), ("seed is -1",)),
        (("--gates", "0"), ("n_gates is 0",)),
        (("--loss", "squarred"), ("'squarred'", "Did you mean 'squared'")),
        (("--activation", "relo"), ("'relo'", "Did you mean 'relu'")),
        (("--backend", "natve"), ("'natve'", "Did you mean 'native'")),
        (("--option", "max_itr=3"), ("'max_itr'", "Did you mean 'max_iter'")),
        (("--option", "max_iter=many"), ("'max_iter'", "'many'")),
        (("--option", "max_iter"), ("'max_iter' is not KEY=VALUE",)),
        (("--gates", "100000000000"), ("GiB", "100000000000 gates")),
        (("--gats", "3"), ("--gats", "--gates")),
        (("--config", "gone.toml"), ("gone.toml",)),
        (("--out", "."), ("--out .", "is a directory")),
        (("--out", "gone/m.npz"), ("--out gone/m.npz", "no folder gone")),
        (("--out", "data.csv"), ("--out data.csv", "same file")),
        (("--certificate", "."), ("--certificate .", "is a directory")),
        (("--certificate", "model.npz"), ("--certificate model.npz", "same file")),
    ],
)
def test_a_bad_option_is_named(refused, data, arguments, parts):
    message = refused(*fit(data, *arguments))["message"]
    for part in parts:
        assert part in message


def test_a_bad_setting_names_its_source(refused, data, folder, monkeypatch):
    (folder / "relu-opt.toml").write_text("tol = -1\n")
    error = refused(*fit(data))
    assert error["type"] == "ConfigError"
    assert error["source"].endswith("relu-opt.toml")
    (folder / "relu-opt.toml").unlink()
    monkeypatch.setenv("RELU_OPT_SEED", "x")
    assert "RELU_OPT_SEED" in refused(*fit(data))["message"]


def test_wrong_use_is_an_error_with_the_near_match(refused):
    assert "fit" in refused("fitt")["message"]
    assert "DATA" in refused("fit")["message"]


# -- models and certificates ---------------------------------------------------------------


def pickled(file):
    file.write_bytes(pickle.dumps({"hidden": [1.0]}))


def npz_with_a_pickle(file):
    np.savez(file, hidden=np.array([{}], dtype=object), meta=np.array("{}"))


def truncated(file):
    file.write_bytes(file.read_bytes()[:-100])


def bit_flipped(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(bytes(content))


def someone_elses(file):
    np.savez(file, X=np.eye(3))


def emptied(file):
    file.write_bytes(b"")


def with_a_lying_header(file):
    """An array that says it needs far more bytes than there are."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": "<f8", "fortran_order": False, "shape": (10**12,)}
    )
    import zipfile

    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("hidden.npy", stream.getvalue())
        meta = io.BytesIO()
        np.save(meta, np.array(json.dumps({"kind": "model", "version": 1})))
        archive.writestr("meta.npy", meta.getvalue())


DAMAGES = [
    pickled,
    npz_with_a_pickle,
    truncated,
    bit_flipped,
    someone_elses,
    emptied,
    with_a_lying_header,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_model_is_named(refused, trained, damage):
    damage(trained.model)
    assert str(trained.model) in refused("certify", trained.model, trained.data)["message"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_certificate_is_named(refused, trained, damage):
    damage(trained.certificate)
    message = refused("verify", trained.certificate, trained.data)["message"]
    assert str(trained.certificate) in message


def test_a_model_is_no_certificate_and_the_other_way_round(refused, trained):
    assert "'model'" in refused("verify", trained.model, trained.data)["message"]
    assert "'certificate'" in refused("certify", trained.certificate, trained.data)["message"]


def test_data_without_a_feature_of_the_model_are_named(refused, trained):
    text = trained.data.read_text()
    trained.data.write_text(text.replace("a,b,c,", "a,bb,c,", 1))
    for command in (("certify", trained.model), ("verify", trained.certificate)):
        error = refused(*command, trained.data)
        assert error["column"] == "b"
        assert "Did you mean 'bb'" in error["message"]


def test_an_unknown_scope_and_an_impossible_output_are_named(refused, trained):
    certify = ("certify", trained.model, trained.data)
    assert "'everything'" in refused(*certify, "--scope", "everything")["message"]
    message = refused(*certify, "--certificate", trained.model)["message"]
    assert "same file" in message


# -- an output that fails late -------------------------------------------------------------


def test_a_full_disk_leaves_the_earlier_model(run, data, folder, monkeypatch):
    (folder / "model.npz").write_bytes(b"precious")

    def full(*arguments, **keywords):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    result = run(*fit(data))
    assert result.code == 2
    assert "No space left on device" in result.err
    assert (folder / "model.npz").read_bytes() == b"precious"
    assert sorted(path.name for path in folder.iterdir()) == ["data.csv", "model.npz"]


def test_out_of_memory_is_an_error_message(data, monkeypatch, capsys):
    def greedy(*arguments, **keywords):
        raise MemoryError("Unable to allocate 9 TiB")

    monkeypatch.setattr("relu_opt.cli.training.sample_patterns", greedy)
    assert main([str(argument) for argument in fit(data)]) == 2
    assert "9 TiB" in capsys.readouterr().err


# -- exit code 1 says "not certified", and nothing else does -------------------------------


def commands_on(model, certificate, table):
    """Every command that reads files."""
    return [
        ("fit", table, "--target", "y"),
        ("path", table, "--target", "y"),
        ("verify", certificate, table),
        *(
            (name, model, table)
            for name in ("certify", "explore", "prune", "sensitivity", "report")
        ),
        ("export", model, "--to", "json", "--out", "out.json"),
    ]


def hostile(folder):
    """Files that no reader may trust, by what they are."""
    numbers = io.BytesIO()
    np.save(numbers, np.zeros(10_000))
    os.mkfifo(folder / "pipe.npz")
    (folder / "loop.npz").symlink_to("loop.npz")
    (folder / "zero.npz").symlink_to("/dev/zero")
    (folder / "folder.npz").mkdir()
    (folder / "empty.npz").write_bytes(b"")
    (folder / "junk.npz").write_bytes(b"PK\x03\x04" * 100)
    for name, method in (("bzip2.npz", zipfile.ZIP_BZIP2), ("lzma.npz", zipfile.ZIP_LZMA)):
        with zipfile.ZipFile(folder / name, "w", method) as target:
            target.writestr("meta.npy", numbers.getvalue())
    with zipfile.ZipFile(folder / "text.npz", "w") as target:
        target.writestr("notes.txt", "text")
    return sorted(folder.glob("*.npz"))


def test_hostile_files_are_an_error_of_every_command(run, trained, folder):
    (folder / "hostile").mkdir()
    for file in hostile(folder / "hostile"):
        for command in commands_on(file, file, trained.data)[2:]:
            result = run(*command, "--json")
            assert (command[0], result.code) == (command[0], 2)
            assert file.name in result.json["error"]["message"]
        for command in commands_on(trained.model, trained.certificate, file)[:-1]:
            result = run(*command, "--json")
            assert (command[0], result.code) == (command[0], 2)
            assert file.name in result.json["error"]["message"]


def test_a_fault_of_the_program_is_an_error_and_no_verdict(run, trained, monkeypatch):
    def faulty(*arguments, **keywords):
        raise ZeroDivisionError("something unforeseen")

    monkeypatch.setattr("relu_opt.tabular.tables.read_table", faulty)
    for command in commands_on(trained.model, trained.certificate, trained.data)[:-1]:
        result = run(*command)
        assert result.code == 2
        said = " ".join(result.err.split())
        assert "ZeroDivisionError: something unforeseen" in said
        assert "Please report it" in said
        assert "Traceback" not in result.err
    error = run("verify", trained.certificate, trained.data, "--json").json["error"]
    assert error["type"] == "ZeroDivisionError"


def test_an_interrupt_is_no_verdict(run, trained, monkeypatch):
    def interrupted(*arguments, **keywords):
        raise KeyboardInterrupt

    monkeypatch.setattr("relu_opt.tabular.tables.read_table", interrupted)
    for command in commands_on(trained.model, trained.certificate, trained.data)[:-1]:
        assert run(*command).code == 130


PROGRAM = "import sys; from relu_opt.cli import main; sys.exit(main())"


def test_a_reader_that_goes_away_is_no_verdict(trained):
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "verify", trained.certificate, trained.data],
        stdout=write, stderr=subprocess.PIPE, check=False,
    )  # fmt: skip
    os.close(write)
    assert (done.returncode, done.stderr) == (2, b"")


def test_a_terminal_without_the_letters_gets_question_marks(trained):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "backends", "Grüße\udcff"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert b"Error: There is no backend" in done.stderr
    assert b"Traceback" not in done.stderr
