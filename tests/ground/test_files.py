"""Files of every kind: each is read as what it is, and what is no proof is not taken for one."""

from __future__ import annotations

import numpy as np
import pytest

import relu_opt as ro
from relu_opt.errors import DataError
from relu_opt.io import read_result, write_npz
from relu_opt.tabular.model import Model
from relu_opt.tabular.preprocessing import Preprocessing
from relu_opt.tabular.tables import Table


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = np.sort(rng.standard_normal(12))
    return np.column_stack([x, np.ones(12)]), np.abs(x) + 0.1 * rng.standard_normal(12)


@pytest.fixture(scope="module")
def results(data):
    """What trains, and so carries a certificate, with the data to check it on."""
    X, y = data
    program = ro.ConvexProgram(X, y, 0.01, ro.sample_patterns(X, 5))
    Y = np.column_stack([y, -y])
    return {
        "solution": (ro.solve(program), X, y),
        "global": (ro.train_globally(X, y, 0.01), X, y),
        "vector": (ro.several_outputs.train_vector(X, Y, 0.05), X, Y),
        "spline": (ro.one_input.fit_spline(X[:, 0], y, 0.01), X[:, 0], y),
        "interpolating spline": (
            ro.one_input.fit_spline(X[:, 0], y, loss="interpolation"),
            X[:, 0],
            y,
        ),
        "spline with a bias": (ro.one_input.fit_spline(X[:, 0], y, 0.01, penalize_bias=True), X, y),
    }


def test_a_result_is_checked_by_the_certificate_that_it_carries(results):
    for name, (result, X, y) in results.items():
        found = ro.verify(result, X, y)
        assert found == ro.verify(result.certificate, X, y), name
        assert found.tol == result.certificate.tol, name


def test_what_carries_no_proof_is_named(results, data):
    X, y = data
    solution = results["solution"][0]
    deep = ro.deep.train_deep(X[:, :1], y, 0.1, 3)
    nothings = (
        solution.network, None, deep, X, 3, [solution], {}, object(), ro.Certificate, ro.Solution,
        solution.program, b"c.npz", results["vector"][0].network,
    )  # fmt: skip
    for nothing in nothings:
        with pytest.raises(DataError, match=r"carries no proof\. Pass a certificate"):
            ro.verify(nothing, X, y)


def test_whatever_carries_a_certificate_is_checked(results, data, tmp_path):
    X, y = data
    solution = results["solution"][0]
    path = ro.solution_path(solution.program, [0.1, 0.05])
    S = ro.optimal_set(ro.solve(solution.program, tol=1e-12))
    few, targets = X[:3], y[:3]
    carriers = (
        (path.points[1], X, y), (path.solution_at(0.07, refine=True), X, y), (S.min_norm(), X, y),
        (S.near_optimal(1e-3), X, y),
        (S.near_optimal(1e-3).network, X, y),
        (ro.interpolation.minimum_norm_interpolant(few, targets), few, targets),
        (ro.formulas.closed_form(np.eye(3), targets, 0.1), np.eye(3), targets),
        (ro.formulas.closed_form(np.eye(3), targets, loss="interpolation"), np.eye(3), targets),
    )  # fmt: skip
    for carrier, rows, values in carriers:
        assert ro.verify(carrier, rows, values).valid, carrier
    model = ro.ReLURegressor(0.01, n_gates=5).fit(X[:, :1], y)
    program = model.solution_.program
    assert ro.verify(model, program.X, program.y).valid
    solution.save(tmp_path / "s.npz")
    assert ro.verify(tmp_path / "s.npz", X, y) == ro.verify(solution, X, y)


def test_what_carries_several_or_none_says_what_to_pass(results, data, tmp_path):
    X, y = data
    solution = results["solution"][0]
    labels = np.array(["a", "b", "c"] * 4)
    several = ro.ReLUClassifier(0.1, n_gates=3).fit(X[:, :1], labels)
    deep = ro.deep.train_deep(X[:, :1], y, 0.1, 3)
    for subject, advice in ((several, "one of its certificates_"), (deep, "rests on its `reason`")):
        with pytest.raises(DataError, match=f"carries no proof.*{advice}"):
            ro.verify(subject, X, y)
    saved = {
        "certify_network makes the certificate": solution.network,
        r"SolutionPath\.load\(file, program\)": ro.solution_path(solution.program, [0.1, 0.05]),
        r"PruningPath\.load\(file\)\.certify": ro.prune(solution),
    }
    for advice, thing in saved.items():
        thing.save(tmp_path / "a.npz")
        with pytest.raises(DataError, match=f"and a 'certificate' is needed.*{advice}"):
            ro.verify(tmp_path / "a.npz", X, y)


def test_every_kind_of_certificate_is_read_as_what_it_is(results, tmp_path):
    for name, (result, X, y) in results.items():
        file = tmp_path / f"{name}.npz"
        result.certificate.save(file)
        for read in (ro.load, ro.Certificate.load):
            found = read(file)
            assert type(found) is type(result.certificate)
            assert found.meta() == result.certificate.meta()
            assert ro.verify(found, X, y) == ro.verify(file, X, y)
    with pytest.raises(DataError, match=r"another kind\. relu_opt\.load reads it"):
        ro.one_input.SplineCertificate.load(tmp_path / "solution.npz")
    with pytest.raises(DataError, match=r"another kind\. relu_opt\.load reads it"):
        ro.several_outputs.VectorCertificate.load(tmp_path / "spline.npz")


def test_every_other_file_is_read_as_what_it_is(results, data, tmp_path):
    X, y = data
    solution = results["solution"][0]
    pruned = ro.prune(solution)
    frame = {"x": X[:, 0], "y": y}
    table = Table(("x", "y"), frame, "data", lambda row: f"row {row}")
    deep = ro.deep.DeepNetwork((np.ones((2, 2)), np.ones((1, 2))), "relu", None, np.zeros(1))
    saved = {
        "network": solution.network,
        "vector": results["vector"][0].network,
        "deep": deep,
        "pruning": pruned,
        "model": Model.of(solution, Preprocessing.fit(table, "y"), "data"),
    }
    for name, result in saved.items():
        result.save(tmp_path / name)
        assert type(ro.load(tmp_path / name)) is type(result)
        with pytest.raises(DataError, match=r"a 'certificate' is needed\. relu_opt\.load reads"):
            ro.Certificate.load(tmp_path / name)


def test_what_needs_its_program_says_so(results, data, tmp_path):
    solution = results["solution"][0]
    solution.save(tmp_path / "s.npz")
    path = ro.solution_path(solution.program, [0.1, 0.05])
    path.save(tmp_path / "p.npz")
    found = ro.load(tmp_path / "s.npz", solution.program)
    assert (type(found), found.objective) == (ro.Solution, solution.objective)
    assert len(ro.load(tmp_path / "p.npz", solution.program)) == 2
    with pytest.raises(DataError, match=r"Call Solution\.load\(path, program\)"):
        ro.load(tmp_path / "s.npz")
    with pytest.raises(DataError, match=r"Call SolutionPath\.load\(path, program\)"):
        ro.load(tmp_path / "p.npz")


def test_networks_as_json_are_read(results, data, tmp_path):
    X, y = data
    network = results["solution"][0].network
    ro.export.to_json(network, tmp_path / "n.json")
    np.testing.assert_array_equal(ro.load(tmp_path / "n.json").predict(X), network.predict(X))
    made = Preprocessing.fit(Table(("x", "y"), {"x": X[:, 0], "y": y}, "data", str), "y")
    ro.export.to_json(network, tmp_path / "m.json", made)
    found, preparation = ro.load(tmp_path / "m.json")
    assert len(found) == len(network)
    assert preparation.to_meta() == made.to_meta()


def test_files_of_others_are_named(tmp_path):
    import pickle

    files = {
        "a pickle, which is never loaded": pickle.dumps({"kind": "network"}),
        "one array of numpy": b"\x93NUMPY\x01\x00v\x00",
        "a page, such as a report": b"<!doctype html>",
        "no npz": b"a,b\n1,2\n",
        "is no npz. What may be loaded": b"",
    }
    for said, content in files.items():
        (tmp_path / "a.npz").write_bytes(content)
        with pytest.raises(DataError, match=f"not a relu-opt file.*{said}"):
            ro.load(tmp_path / "a.npz")


def test_files_of_the_future_are_named(tmp_path):
    write_npz(tmp_path / "a.npz", "hologram", {}, {})
    with pytest.raises(DataError, match="holds a 'hologram', which this relu_opt does not know"):
        ro.load(tmp_path / "a.npz")
    for problem in ("hologram", 3, ["spline"]):
        write_npz(tmp_path / "b.npz", "certificate", {}, {"problem": problem})
        for read in (ro.load, ro.Certificate.load):
            with pytest.raises(DataError, match="which this relu_opt does not know"):
                read(tmp_path / "b.npz")


def test_demands_that_are_none_are_refused(results):
    result, X, y = results["solution"]
    for demand in (
        {"tol": 1}, {"tol": 5.0}, {"tol": 0}, {"tol": np.nan}, {"tol": "x"}, {"tol": True},
        {"lam": "x"}, {"lam": 0}, {"lam": -1.0}, {"lam": np.nan}, {"lam": np.inf},
    ):  # fmt: skip
        with pytest.raises(DataError, match="and a number above 0 and below"):
            ro.verify(result, X, y, **demand)
    assert ro.verify(result, X, y, tol=np.float64(1e-6), lam=result.program.lam).valid


# -- what a file may say of itself -----------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["kind", "version", "problem", "coverage", "oracle", "oracle_bound", "tol", "verdict", "lam"],
)
def test_extra_entries_cannot_stand_in_for_claims(results, tmp_path, name):
    for which, (result, _, _) in results.items():
        with pytest.raises(DataError, match=f"extra has '{name}'|extra has"):
            result.certificate.save(tmp_path / "a.npz", extra={name: "forged", "mine": 1})
        assert not (tmp_path / "a.npz").exists(), which
        result.certificate.save(tmp_path / which, extra={"mine": [1, 2]})
        assert read_result(tmp_path / which)[1]["mine"] == [1, 2]


def rewritten(file, **changes):
    """The file with entries of its description changed."""
    arrays, meta = read_result(file)
    kind = meta["kind"]
    write_npz(file, kind, arrays, {**meta, **changes})
    return file


@pytest.mark.parametrize("tol", [0, 1, 1.0, 1e300, -1.0, np.inf, np.nan, "1e-8", None, True])
def test_a_tol_that_is_none_is_refused_in_every_file(results, tmp_path, tol):
    for name, (result, X, y) in results.items():
        file = tmp_path / f"{name}.npz"
        result.certificate.save(file)
        rewritten(file, tol=tol)
        with pytest.raises(DataError, match=f"{name}.npz is not a complete certificate.*tol is"):
            ro.load(file)
        assert ro.verify(file, X, y).verdict == "invalid"
    solution = results["solution"][0]
    solution.save(tmp_path / "s.npz")
    with pytest.raises(DataError, match=r"s\.npz is not a complete solution: tol is"):
        ro.Solution.load(rewritten(tmp_path / "s.npz", tol=tol), solution.program)


def test_a_solution_is_proved_to_the_tol_of_who_reads_it(results, tmp_path):
    solution = results["solution"][0]
    solution.save(tmp_path / "s.npz")
    rewritten(tmp_path / "s.npz", tol=0.9)
    read = ro.Solution.load
    assert read(tmp_path / "s.npz", solution.program).certificate.tol == 0.9
    found = read(tmp_path / "s.npz", solution.program, tol=1e-15).certificate
    assert (found.tol, found.verdict) == (1e-15, "not_certified")
    with pytest.raises(DataError, match="tol is 2"):
        read(tmp_path / "s.npz", solution.program, tol=2)


def test_a_path_is_proved_to_the_tol_of_who_reads_it(results, tmp_path):
    program = results["solution"][0].program
    ro.solution_path(program, [0.1, 0.05]).save(tmp_path / "p.npz")
    read = ro.SolutionPath.load
    assert read(tmp_path / "p.npz", program).is_certified
    assert not read(tmp_path / "p.npz", program, tol=1e-300).is_certified
    for changes in ({"tol": 1.0}, {"tol": 1e300}, {"eps": 7.0}, {"eps": "x"}, {"tol": None}):
        ro.solution_path(program, [0.1, 0.05]).save(tmp_path / "p.npz")
        with pytest.raises(DataError, match=r"p\.npz is not a usable path: (tol|eps) is"):
            read(rewritten(tmp_path / "p.npz", **changes), program)
    with pytest.raises(DataError, match=r"tol is 1\.5"):
        read(tmp_path / "p.npz", program, tol=1.5)


# -- a loss of one's own -----------------------------------------------------------------


class Own(ro.losses.Squared):
    """Squared in all but its type."""

    name = "own"


class Disguised(ro.losses.Squared):
    """Says that it is the squared loss, and is half as large."""

    def value(self, z, y):
        return super().value(z, y) / 2


def test_a_certificate_that_no_file_can_say_is_not_written(data, tmp_path):
    X, y = data
    patterns = ro.sample_patterns(X, 5)
    for loss in (Own(), Disguised()):
        program = ro.ConvexProgram(X, y, 0.01, patterns, loss)
        network = ro.solve(ro.ConvexProgram(X, y, 0.01, patterns)).network
        proof = ro.certify(program, network)
        file = tmp_path / "a.npz"
        for save in (proof.save, ro.prune(network, X, y, lam=0.01, loss=loss).save):
            with pytest.raises(DataError, match=f"The loss {type(loss).__name__} is your own"):
                save(file)
        assert not file.exists()
    own = ro.certify(ro.ConvexProgram(X, y, 0.01, patterns, Own()), network)
    found = ro.verify(own, X, y)
    assert found.verdict == "invalid"
    assert "loss is 'own'" in found.problems[0]
    assert ro.verify(proof, X, y).verdict == "invalid"


def test_a_solution_of_a_loss_of_one_s_own_is_read_with_its_program(data, tmp_path):
    X, y = data
    program = ro.ConvexProgram(X, y, 0.01, ro.sample_patterns(X, 5), Own())
    solution = ro.solve(program)
    solution.save(tmp_path / "s.npz")
    assert ro.Solution.load(tmp_path / "s.npz", program).objective == solution.objective
