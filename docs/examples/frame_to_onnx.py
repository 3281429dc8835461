"""From a pandas frame to an ONNX file, with a proof on the way.

scikit-learn's diabetes data come as a frame in their own units: age in years, blood pressure in
mm Hg. The network is trained on the first 342 patients, certified, pruned and written as ONNX;
onnxruntime then predicts the other 100 from the frame as it is, without this library.

Usage: python docs/examples/frame_to_onnx.py
Writes diabetes.onnx and certificate.npz into the current folder.
"""

import numpy as np
import onnxruntime
import pandas as pd
from sklearn.datasets import load_diabetes

import relu_opt as ro
from relu_opt.export import to_onnx
from relu_opt.tabular import Preprocessing, Table


def table_of(frame: pd.DataFrame) -> Table:
    """The columns of a frame, for `Preprocessing`."""
    columns = {name: frame[name].to_numpy() for name in frame.columns}
    return Table(tuple(columns), columns, "frame", lambda row: f"row {frame.index[row]}")


def main() -> None:
    frame = load_diabetes(as_frame=True, scaled=False).frame
    # Text becomes numbers: one column says who is of the second sex.
    frame["sex"] = frame["sex"].map({1.0: "one", 2.0: "two"})
    frame = pd.get_dummies(frame, columns=["sex"], drop_first=True, dtype=float)
    frame = frame.sample(frac=1, random_state=0)
    train, test = frame[:342], frame[342:]

    preprocessing = Preprocessing.fit(table_of(train), "target")
    X, y = preprocessing.transform(table_of(train)), preprocessing.targets(table_of(train))
    program = ro.ConvexProgram(X, y, 0.02, ro.sample_patterns(X, n_gates=200, seed=0))
    solution = ro.solve(program)
    solution.certificate.require()
    solution.certificate.save("certificate.npz", extra={"preprocessing": preprocessing.to_meta()})
    print(f"{len(solution.network)} neurons, certified to a gap of {solution.rel_gap:.0e}")

    narrow = ro.prune(solution, to=6).network(-1)
    features = test[list(preprocessing.features)]
    for name, network in [("all.onnx", solution.network), ("diabetes.onnx", narrow)]:
        report = to_onnx(network, name, preprocessing, X=features.to_numpy())
        print(f"{name}: {report}")

    session = onnxruntime.InferenceSession("diabetes.onnx", providers=["CPUExecutionProvider"])
    (predicted,) = session.run(["prediction"], {"X": features.to_numpy(dtype=np.float32)})
    error = np.sqrt(np.mean((predicted - test["target"]) ** 2))
    print(f"root mean square error on {len(test)} patients kept back: {error:.1f}")
    print(f"that of predicting the mean: {np.std(test['target']):.1f}")


if __name__ == "__main__":
    main()
