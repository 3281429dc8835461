"""Networks for other programs, and networks from them: ONNX, torch, JSON, plain arrays."""

from relu_opt.export.arrays_form import from_arrays
from relu_opt.export.comparison import ExportReport
from relu_opt.export.json_form import from_json, to_json
from relu_opt.export.onnx_form import to_onnx
from relu_opt.export.torch_form import from_torch, save_torch, to_torch

__all__ = [
    "ExportReport",
    "from_arrays",
    "from_json",
    "from_torch",
    "save_torch",
    "to_json",
    "to_onnx",
    "to_torch",
]
