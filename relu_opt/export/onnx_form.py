"""Networks as ONNX files.

The graph has one input, `X`, (N, d₀), and the outputs `prediction`, (N,), and for two classes
`label`, (N,), the class values as doubles. A row with a missing or infinite feature is nothing
to predict from, and gets NaN: Σ X·0 is added, since runtimes may turn a NaN into 0 on the way
through a neuron.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.arrays import FloatArray
from relu_opt.errors import BackendUnavailable, DataError
from relu_opt.export.comparison import Comparison, ExportReport, comparison, path_text
from relu_opt.export.folded import Folded, fold
from relu_opt.io import write_atomically
from relu_opt.program.network import ReLUNetwork
from relu_opt.tabular.preprocessing import Preprocessing

# The oldest that have all operators for float32 and float64; every runtime since 2022 reads them.
OPSET, IR_VERSION = 17, 8
DTYPES = ("float32", "float64")


def to_onnx(
    network: ReLUNetwork,
    path: str | os.PathLike[str] | None = None,
    preprocessing: Preprocessing | None = None,
    dtype: str = "float32",
    *,
    bias: bool = False,
    X: ArrayLike | None = None,
) -> ExportReport:
    """Write a network as an ONNX model, and compare the two.

    Parameters
    ----------
    network : ReLUNetwork
    path : path, optional
        The file to write; an earlier one survives a failure. Without it, the model is only in
        the report's `content`.
    preprocessing : Preprocessing, optional
        What made the rows that the network takes, such as a model's. The file then takes raw
        features in the order of `preprocessing.features`, and predicts in the target's units.
    dtype : {"float32", "float64"}
        Of the weights, of the input and of `prediction`.
    bias : bool
        Without preprocessing: whether the network's last column is ones. The file then takes
        the others.
    X : (n, d₀) array, optional
        Rows to compare on, as the file takes them; 64 are drawn if there are none.

    Returns
    -------
    ExportReport
        With the largest difference between what onnxruntime gets from the file and the
        network's predictions in double precision; `unchecked` if onnxruntime is missing.

    Raises
    ------
    DataError
        If network, preprocessing and X do not fit together, weights overflow in this dtype, or
        the file cannot be written.
    BackendUnavailable
        If onnx is missing.
    """
    if dtype not in DTYPES:
        raise DataError(f"dtype is {dtype!r}. Use one of {', '.join(DTYPES)}.", dtype=dtype)
    folded = fold(network, preprocessing, bias)
    check = comparison(network, preprocessing, bias, X)
    content = _model(folded, np.dtype(dtype), preprocessing)
    report = ExportReport(
        content, "onnx", dtype, folded.hidden.shape[1], len(network), path_text(path)
    )
    report = _checked(report, check)
    if path is not None:
        write_atomically(path, lambda stream: stream.write(content))
    return report


def need_onnx() -> None:
    """Raise a BackendUnavailable if onnx is missing."""
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise BackendUnavailable(
            "ONNX files need onnx, which cannot be imported. pip install 'relu-opt[onnx]'."
        ) from error


def _model(folded: Folded, dtype: np.dtype[Any], preprocessing: Preprocessing | None) -> bytes:
    need_onnx()
    import onnx
    from onnx import helper

    kind = helper.np_dtype_to_tensor_dtype(dtype)
    graph = _Graph(dtype)
    _add_network(graph, folded)
    outputs = [helper.make_tensor_value_info("prediction", kind, ["N"])]
    if folded.classes is not None:
        _add_label(graph, folded.classes)
        outputs.append(helper.make_tensor_value_info("label", onnx.TensorProto.DOUBLE, ["N"]))
    made = helper.make_graph(
        graph.nodes,
        "relu_opt",
        [helper.make_tensor_value_info("X", kind, ["N", folded.hidden.shape[1]])],
        outputs,
        graph.initializers,
    )
    model = helper.make_model(
        made,
        producer_name="relu_opt",
        producer_version=version("relu-opt"),
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
    )
    if preprocessing is not None:
        described = {
            "features": json.dumps(list(preprocessing.features)),
            "target": preprocessing.target,
        }
        helper.set_model_props(model, described)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


class _Graph:
    """Nodes and constants of a graph in the making."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []

    def constant(self, name: str, values: FloatArray | float) -> str:
        """A constant in the dtype of the file; what does not fit into it is a DataError."""
        with np.errstate(over="ignore", under="ignore"):
            array = np.asarray(values).astype(self.dtype)
        if not np.isfinite(array).all():
            raise DataError(
                f"A weight ({name}) is {np.abs(values).max():.3g}, beyond what {self.dtype} holds. "
                "Export with dtype='float64'.",
                name=name,
            )
        return self.exact(name, array)

    def exact(self, name: str, array: np.ndarray) -> str:
        """A constant in the dtype that it has."""
        from onnx import numpy_helper

        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def node(self, kind: str, inputs: list[str], output: str, **attributes: int) -> str:
        """A node with one output, whose name it returns."""
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output


def _add_network(graph: _Graph, folded: Folded) -> None:
    """The nodes from `X` to `prediction`; `guard` is 0 where all of a row is finite."""
    zero = graph.constant("zero", 0.0)
    axes = graph.exact("axes", np.array([1], dtype=np.int64))
    graph.node("Mul", ["X", zero], "nothing")
    graph.node("ReduceSum", ["nothing", axes], "guard", keepdims=0)
    constant = graph.constant("constant", np.array([folded.constant]))
    if not len(folded.output):
        graph.node("Add", ["guard", constant], "prediction")
        return
    rows = "X"
    if folded.centre is not None:
        rows = graph.node("Sub", [rows, graph.constant("centre", folded.centre)], "centred")

    def linear(name: str, weights: FloatArray, bias: FloatArray | None) -> str:
        inputs = [rows, graph.constant(name, weights)]
        if bias is not None:
            inputs.append(graph.constant(f"{name}_bias", bias))
        return graph.node("Gemm", inputs, f"{name}_values", transB=1)

    values = linear("hidden", folded.hidden, folded.bias)
    if folded.gates is None and folded.slope:
        # LeakyRelu has its slope in single precision.
        slope = graph.constant("slope", np.array([folded.slope]))
        active = graph.node("PRelu", [values, slope], "active")
    elif folded.gates is None:
        active = graph.node("Relu", [values], "active")
    else:
        gated = linear("gates", folded.gates, folded.gate_bias)
        open_ = graph.node("GreaterOrEqual", [gated, zero], "open")
        active = graph.node("Where", [open_, values, zero], "active")
    output = graph.constant("output", folded.output[None, :])
    graph.node("Gemm", [active, output, constant], "sum", transB=1)
    graph.node("Squeeze", ["sum", axes], "column")
    graph.node("Add", ["column", "guard"], "prediction")


def _add_label(graph: _Graph, classes: tuple[float, float]) -> None:
    """The nodes from `prediction` to `label`, in double precision as class values are."""
    from onnx import TensorProto

    low, high = (
        graph.exact(name, np.array(value))
        for name, value in zip(("low", "high"), classes, strict=True)
    )
    graph.node("GreaterOrEqual", ["prediction", "zero"], "positive")
    graph.node("Where", ["positive", high, low], "class")
    graph.node("Cast", ["guard"], "guard_of_label", to=TensorProto.DOUBLE)
    graph.node("Add", ["class", "guard_of_label"], "label")


def _checked(report: ExportReport, check: Comparison) -> ExportReport:
    try:
        import onnxruntime
    except ImportError as error:
        why = f"onnxruntime cannot be imported ({error})"
        return replace(report, unchecked=f"{why}. pip install 'relu-opt[onnx]'")
    session = onnxruntime.InferenceSession(report.content, providers=["CPUExecutionProvider"])
    found = session.run(None, {"X": check.rows.astype(report.dtype)})
    outputs = [np.asarray(each, dtype=np.float64) for each in found]
    return replace(report, **check.measure(*outputs))
