"""Reading a certificate's contents for `relu_opt.verify`, without believing any of it.

Each entry is checked for type, shape, finiteness and range; the first that a certificate for
these data cannot have ends the reading with a `Flaw`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from relu_opt.verify.faults import DataError, Flaw
from relu_opt.verify.losses import LOSSES, Loss, find
from relu_opt.verify.outcome import Terms
from relu_opt.verify.signs import signs

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
ByteArray = NDArray[np.uint8]

VERDICTS = ("certified", "not_certified", "inconclusive")
# Entries of a temporary matrix.
CHUNK_ENTRIES = 2**22
# Layers of remainders that witnesses may have.
MOST_LAYERS = 16
# How far the weights' mean may be from 1.
MEAN_TOL = 1e-9


@dataclass(frozen=True)
class Claim:
    """The contents of a certificate, in checked shapes and types; see `read_claim`."""

    hidden: FloatArray
    output: FloatArray
    constant: float
    slope: float
    gates: FloatArray | None
    gate_bits: ByteArray | None
    nu: FloatArray
    patterns: ByteArray
    witnesses: tuple[FloatArray, ...]
    rho: dict[int, tuple[IntArray, FloatArray]]
    weight: FloatArray
    lam: float
    loss: Loss
    tol: float
    scope: str
    has_constant: bool
    coverage: str
    oracle: str
    verdict: str
    numbers: dict[str, float]

    @property
    def gated(self) -> bool:
        return self.gates is not None

    @property
    def kind(self) -> str:
        """What the networks are, in words."""
        if self.gated:
            return "gated-ReLU"
        named = {0.0: "ReLU", -1.0: "absolute-value"}
        return named.get(self.slope, f"leaky-ReLU (slope {self.slope:g})")

    @property
    def terms(self) -> Terms:
        """What the certificate speaks of."""
        weights = bool((self.weight != 1).any())
        return Terms(self.scope, self.lam, self.loss.name, weights, self.coverage, self.tol)


def check_data(X: ArrayLike, y: ArrayLike, axes: int = 1) -> tuple[FloatArray, FloatArray]:
    checked = []
    for name, values, ndim in (("X", X, 2), ("y", y, axes)):
        try:
            array = np.array(values)
        except ValueError as error:
            raise DataError(f"{name} is ragged. Pass a rectangular array.", name=name) from error
        if array.dtype.kind not in "biuf" or array.ndim != ndim or not array.size:
            raise DataError(
                f"{name} is {array.dtype} of shape {array.shape}, and real numbers with {ndim} "
                "non-empty axes are needed. Pass the data that the network was trained on.",
                name=name,
                shape=array.shape,
            )
        doubles = np.ascontiguousarray(array, dtype=np.float64)
        if not np.isfinite(doubles).all():
            raise DataError(f"{name} holds NaN or infinite values. Drop or impute them.", name=name)
        if _is_rounded(array, doubles):
            raise DataError(
                f"{name} is {array.dtype}, and holds numbers that no double is; rounded, they are "
                f"other data. Pass {name}.astype(float), if these are what is meant.",
                name=name,
            )
        checked.append(doubles)
    if len(checked[0]) != len(checked[1]):
        raise DataError(
            f"X has {len(checked[0])} rows and y has {len(checked[1])} values. "
            "One target a row is needed."
        )
    return checked[0], checked[1]


def _is_rounded(array: NDArray[Any], doubles: FloatArray) -> bool:
    """Whether some of the numbers are not those of the array."""
    if array.dtype.kind == "f":
        return bool((array != doubles).any())
    if array.dtype.kind == "b":
        return False
    large = np.abs(doubles) >= 2.0**53
    return any(
        int(number) != int(double)
        for number, double in zip(array[large].tolist(), doubles[large].tolist(), strict=True)
    )


def read_claim(
    arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any], X: FloatArray, y: FloatArray
) -> Claim:
    n, d = X.shape
    check_fingerprint(meta, X, y)
    loss = read_loss(meta, y)
    has_constant = meta.get("intercept")
    if not isinstance(has_constant, bool):
        raise Flaw(f"intercept is {has_constant!r}, and true or false is needed.")
    hidden = read_entry(arrays, "hidden", np.float64, (None, d))
    m = len(hidden)
    constant = float(read_entry(arrays, "intercept", np.float64, ()))
    if constant != 0 and not has_constant:
        raise Flaw("The network has an output constant, and the problem allows none.")
    patterns = read_entry(arrays, "patterns", np.uint8, (None, (n + 7) // 8))
    if not len(patterns) or (patterns[:, -1] & ((1 << (-n % 8)) - 1)).any():
        raise Flaw("The entry 'patterns' is empty or has bits beyond the last sample.")
    gated, slope = _activation(arrays, meta)
    if gated != ("gates" in arrays):
        raise Flaw("Gated networks have the entry 'gates', and ReLU networks do not.")
    weight = np.ones(n)
    if "sample_weight" in arrays:
        weight = read_entry(arrays, "sample_weight", np.float64, (n,))
        if (weight <= 0).any() or not abs(weight.mean() - 1) <= MEAN_TOL:
            raise Flaw("The entry 'sample_weight' should be positive and have mean 1.")
    witnesses = _witnesses(arrays, d, len(patterns))
    gates = read_entry(arrays, "gates", np.float64, (m, d)) if gated else None
    return Claim(
        hidden=hidden,
        output=read_entry(arrays, "output", np.float64, (m,)),
        constant=constant,
        slope=slope,
        gates=gates,
        gate_bits=None if gates is None else _gate_bits(X, gates),
        nu=read_entry(arrays, "nu", np.float64, (n,)),
        patterns=patterns,
        witnesses=witnesses,
        rho=_read_rho(arrays, n, 0 if gated else 2 * len(patterns)),
        weight=weight,
        lam=read_number(meta, "lam", lambda value: 0 < value < math.inf),
        loss=loss,
        tol=read_number(meta, "tol", lambda value: 0 < value < 1),
        scope=read_choice(meta, "scope", ("own", "program", "all")),
        has_constant=has_constant,
        coverage=_coverage(meta),
        oracle=_oracle(meta),
        verdict=read_choice(meta, "verdict", VERDICTS),
        numbers={name: read_number(meta, name) for name in ("primal", "dual", "rel_gap")},
    )


def _activation(arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> tuple[bool, float]:
    """Whether neurons have gates, and how often a row counts where they are off."""
    name = read_choice(meta, "activation", ("relu", "gated", "leaky", "absolute"))
    if name in ("relu", "gated"):
        if "slope" in meta or "slope" in arrays:
            raise Flaw(f"slope is given, and the activation {name} has none.")
        return name == "gated", 0.0
    slope = read_number(meta, "slope", lambda value: -math.inf < value < 1)
    if float(read_entry(arrays, "slope", np.float64, ())) != slope:
        raise Flaw("The network's slope is not that of the description.")
    return False, slope


def read_loss(meta: Mapping[str, Any], y: FloatArray) -> Loss:
    """The loss that a file names, for these targets."""
    name, parameters = meta.get("loss"), meta.get("loss_parameters")
    kind = find(name) if isinstance(name, str) else None
    if kind is None:
        raise Flaw(f"loss is {name!r:.60}, and one of {', '.join(LOSSES)} is needed.")
    if not isinstance(parameters, dict) or set(parameters) != set(kind.limits):
        raise Flaw(f"loss_parameters is {parameters!r}, which the {name} loss does not take.")
    values = {each: read_number(parameters, each) for each in kind.limits}
    for each, (low, high) in kind.limits.items():
        if not low < values[each] < high:
            raise Flaw(f"{each} is {values[each]!r}, which is not a number that it can be.")
    loss = kind(**values)
    if problem := loss.refused(y):
        raise Flaw(problem)
    return loss


def _witnesses(arrays: Mapping[str, np.ndarray], d: int, p: int) -> tuple[FloatArray, ...]:
    """Arrays (d, p) whose exact sum has a point of each pattern in each column; () if not given."""
    if "pattern_gates" not in arrays:
        return ()
    gates = read_entry(arrays, "pattern_gates", np.float64, (d, p))
    if "pattern_remainders" not in arrays:
        return (gates,)
    rest = read_entry(arrays, "pattern_remainders", np.float64, (None, d, p))
    if len(rest) > MOST_LAYERS:
        raise Flaw(f"The entry 'pattern_remainders' has more than {MOST_LAYERS} layers.")
    return (gates, *rest)


def _coverage(meta: Mapping[str, Any]) -> str:
    """Why the patterns cover all networks; files of before this question list them."""
    known = ("listed", "searched", "spike_free", "oracle")
    coverage = read_choice({"coverage": "listed", **meta}, "coverage", known)
    if coverage != "listed" and meta.get("scope") != "all":
        raise Flaw(f"The coverage {coverage!r} goes with the scope 'all' only.")
    if coverage in ("searched", "spike_free") and meta.get("activation") != "relu":
        raise Flaw(f"The coverage {coverage!r} goes with ReLU networks only.")
    return coverage


def _oracle(meta: Mapping[str, Any]) -> str:
    if meta.get("coverage") != "oracle":
        return ""
    if meta.get("activation") != "relu":
        raise Flaw("An oracle speaks of ReLU networks only.")
    name, lam = meta.get("oracle"), read_number(meta, "lam")
    bound = read_number(meta, "oracle_bound", lambda value: 0 <= value <= lam * (1 + 1e-12))
    if not isinstance(name, str):
        raise Flaw(f"oracle is {name!r:.60}, and a text is needed.")
    return f"that |νᵀ(Xu)₊| ≤ {bound:.12g} for ‖u‖ ≤ 1 rests on {name:.200}"


def check_fingerprint(meta: Mapping[str, Any], X: FloatArray, y: FloatArray) -> None:
    n, d = X.shape
    digest = hashlib.sha256(f"{n},{d};".encode() + X.tobytes() + y.tobytes()).hexdigest()
    if meta.get("fingerprint") != digest:
        raise Flaw("The certificate is of other data: its fingerprint is not that of X and y.")


def read_entry(
    arrays: Mapping[str, np.ndarray], name: str, dtype: type, shape: tuple[int | None, ...]
) -> NDArray[Any]:
    array = arrays.get(name)
    if (
        not isinstance(array, np.ndarray)
        or array.dtype.newbyteorder("=") != np.dtype(dtype)
        or array.ndim != len(shape)
        or any(need not in (None, has) for need, has in zip(shape, array.shape, strict=True))
    ):
        found = "is missing" if array is None else f"is {_kind(array)}"
        wanted = str(shape).replace("None", "any")
        raise Flaw(f"The entry {name!r} {found}, and {dtype.__name__} of shape {wanted} is needed.")
    if not np.isfinite(array).all():
        raise Flaw(f"The entry {name!r} holds NaN or infinite values.")
    return np.array(array, dtype=dtype, order="C")


def _kind(value: object) -> str:
    return f"{value.dtype} of shape {value.shape}" if isinstance(value, np.ndarray) else repr(value)


def read_number(
    meta: Mapping[str, Any], name: str, allowed: Callable[[float], bool] = lambda value: True
) -> float:
    value = meta.get(name)
    try:
        if not isinstance(value, bool) and isinstance(value, int | float) and allowed(float(value)):
            return float(value)
    except OverflowError:
        pass
    raise Flaw(f"{name} is {value!r:.60}, which is not a number that it can be.")


def read_choice(meta: Mapping[str, Any], name: str, known: tuple[str, ...]) -> str:
    value = meta.get(name)
    if isinstance(value, str) and value in known:
        return value
    raise Flaw(f"{name} is {value!r:.60}, and one of {', '.join(known)} is needed.")


def _read_rho(
    arrays: Mapping[str, np.ndarray], n: int, n_blocks: int
) -> dict[int, tuple[IntArray, FloatArray]]:
    """The multipliers of each listed block: sample numbers and values."""
    if not any(name.startswith("rho_") for name in arrays):
        return {}
    blocks = read_entry(arrays, "rho_blocks", np.int64, (None,))
    starts = read_entry(arrays, "rho_starts", np.int64, (len(blocks) + 1,))
    rows = read_entry(arrays, "rho_rows", np.int64, (None,))
    values = read_entry(arrays, "rho_values", np.float64, (len(rows),))
    if ((blocks < 0) | (blocks >= n_blocks)).any() or len(np.unique(blocks)) != len(blocks):
        raise Flaw("The entry 'rho_blocks' names a block twice, or one that there is not.")
    if starts[0] != 0 or starts[-1] != len(rows) or (np.diff(starts) < 0).any():
        raise Flaw("The entry 'rho_starts' does not divide 'rho_rows' into blocks.")
    if ((rows < 0) | (rows >= n)).any():
        raise Flaw("The entry 'rho_rows' names samples that there are not.")
    if (values < 0).any():
        raise Flaw("The entry 'rho_values' is negative somewhere, and multipliers are not.")
    return {
        int(block): (rows[start:stop], values[start:stop])
        for block, start, stop in zip(blocks, starts[:-1], starts[1:], strict=True)
    }


def _gate_bits(X: FloatArray, gates: FloatArray) -> ByteArray:
    bits = np.empty((len(gates), (len(X) + 7) // 8), dtype=np.uint8)
    for part in parts(len(gates), len(X)):
        bits[part] = np.packbits((signs(X, gates[part]) >= 0).T, axis=1)
    return bits


def parts(count: int, n: int) -> Iterator[slice]:
    """Slices of `count` things of n entries each that keep a chunk small."""
    step = max(1, CHUNK_ENTRIES // n)
    yield from (slice(start, min(start + step, count)) for start in range(0, count, step))
