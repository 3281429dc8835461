"""An exact check of a certificate of relu_opt, for the squared loss and ReLU. Python alone.

    python tiny_checker.py CERTIFICATE.npz DATA.npz [LAM [TOL]]

DATA.npz holds X (n, d) and y (n,) as doubles: numpy.savez("DATA.npz", X=X, y=y). LAM and TOL are
the certificate's unless they are given; its verdict and its numbers are not looked at.

The network of the file, f(x) = c + sum_j a_j max(0, x'u_j), has the objective
    P = (1/2n) sum_k s_k (f(x_k) - y_k)^2 + (lam/2) sum_j (|u_j|^2 + a_j^2).
A pattern is a set of samples, and a neuron of it is active on these and on no others. For any nu
(of sum 0, if c is free) and any rho >= 0, if
    |+-sum_{k in S} nu_k x_k + sum_{k in S} rho_k x_k - sum_{k not in S} rho_k x_k| <= lam
for both signs and every listed pattern S, no network with neurons of these patterns is below
    D(nu) = sum_k nu_k y_k - (n/2) sum_k nu_k^2 / s_k        (Pilanci and Ergen, ICML 2020).
PROVED means: P <= (1 + TOL) D(t nu), where t <= 1 makes the left side at most lam everywhere.

All numbers of the files are integers over one power of two, and nothing is rounded but t, down,
and the quotients by s_k, up: D can but fall.
"""

import ast
import hashlib
import itertools
import json
import math
import struct
import sys
import zipfile
from fractions import Fraction


def need(condition, otherwise):
    if not condition:
        raise SystemExit(f"NOT PROVED: {otherwise}")


def read(path):
    """The arrays of an npz file, which is a zip archive: name -> (type, shape, bytes)."""
    arrays = {}
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            name = entry.filename.removesuffix(".npy")
            need(entry.compress_type == 0 and name not in arrays, f"{name}: packed, or there twice")
            raw = archive.read(entry)
            need(raw[:6] == b"\x93NUMPY" and raw[6] in (1, 2), f"{name} is no array")
            start, code = (10, "<H") if raw[6] == 1 else (12, "<I")
            stop = start + struct.unpack_from(code, raw, 8)[0]
            header = ast.literal_eval(raw[start:stop].decode("latin1"))
            kind, shape = header["descr"], header["shape"]
            need(not header["fortran_order"] or len(shape) < 2, f"{name} is stored by columns")
            size = int(kind[2:]) * (4 if kind[1] == "U" else 1)
            need(len(raw) - stop == size * math.prod(shape), f"{name} has another size")
            arrays[name] = kind, shape, raw[stop:]
    return arrays


def values(arrays, name, kind, *shape):
    """The entries of one array, of that type and shape; None stands for any length."""
    need(name in arrays, f"{name} is missing")
    found, lengths, raw = arrays[name]
    fits = [has if want is None else want for want, has in zip(shape, lengths, strict=True)]
    need((found, lengths) == (kind, tuple(fits)), f"{name} is {found} of shape {lengths}")
    entries = struct.unpack(
        f"<{math.prod(fits)}{ {'<f8': 'd', '<i8': 'q', '|u1': 'B'}[kind] }", raw
    )
    need(all(map(math.isfinite, entries)), f"{name} is not finite")
    return entries


def integers(*lists):
    """A power of two, and the lists of doubles as integers: each times that power."""
    one = max(2**128, *(value.as_integer_ratio()[1] for each in lists for value in each))
    return one, *([int(Fraction(value) * one) for value in each] for each in lists)


def dot(a, b):
    return sum(p * q for p, q in zip(a, b, strict=True))


def multipliers(arrays, n, blocks):
    """The rho of the blocks that have one: block -> (samples, values)."""
    if "rho_blocks" not in arrays:
        return {}
    names, samples = (values(arrays, name, "<i8", None) for name in ("rho_blocks", "rho_rows"))
    starts = values(arrays, "rho_starts", "<i8", len(names) + 1)
    rho = values(arrays, "rho_values", "<f8", len(samples))
    need(len(set(names)) == len(names) and set(names) <= set(range(blocks)), "rho_blocks")
    need(set(samples) <= set(range(n)) and all(v >= 0 for v in rho), "rho")
    parts = itertools.starmap(slice, itertools.pairwise(starts))
    return {name: (samples[part], rho[part]) for name, part in zip(names, parts, strict=True)}


def check(certificate, data, lam=None, tol=None):
    arrays, table = read(certificate), read(data)
    meta = json.loads(arrays["meta"][2].decode("utf-32-le"))
    n, d = table["X"][1]
    X, y = values(table, "X", "<f8", n, d), values(table, "y", "<f8", n)
    digest = hashlib.sha256(f"{n},{d};".encode() + table["X"][2] + table["y"][2]).hexdigest()
    need(meta["fingerprint"] == digest, "the certificate is of other data")
    kind = meta["loss"], meta["activation"], meta.get("coverage", "listed"), meta.get("problem")
    need(kind == ("squared", "relu", "listed", None), f"it is of another kind: {kind}")
    lam, tol = meta["lam"] if lam is None else lam, meta["tol"] if tol is None else tol
    need(0 < lam < math.inf and 0 < tol < 1, f"lam is {lam}, tol is {tol}")
    a, c = values(arrays, "output", "<f8", None), values(arrays, "intercept", "<f8")
    hidden = values(arrays, "hidden", "<f8", len(a), d)
    need(meta["intercept"] is True or c == (0,), "the problem has no output constant")
    nu = values(arrays, "nu", "<f8", n)
    width, count = (n + 7) // 8, arrays["patterns"][1][0]
    patterns = values(arrays, "patterns", "|u1", count, width)
    weighted = "sample_weight" in arrays
    s = values(arrays, "sample_weight", "<f8", n) if weighted else (1.0,) * n
    need(min(s) > 0, "a weight is not positive")
    rho = multipliers(arrays, n, 2 * count)

    # From here on all numbers are integers: what they stand for is so many parts of `one`.
    lists = X, y, hidden, a, c, nu, s, *(v for _, v in rho.values())
    one, X, y, hidden, a, (c,), nu, s, *rest = integers(*lists)
    rho = {b: (k, v) for (b, (k, _)), v in zip(rho.items(), rest, strict=True)}
    rows = [X[k * d : k * d + d] for k in range(n)]
    neurons = [hidden[j * d : j * d + d] for j in range(len(a))]

    # P.
    loss = 0
    for row, target, weight in zip(rows, y, s, strict=True):
        fit = dot(a, [max(0, dot(row, u)) for u in neurons]) + c * one**2
        loss += weight * (fit - target * one**2) ** 2
    size = Fraction(dot(hidden, hidden) + dot(a, a), one**2)
    primal = Fraction(loss, 2 * n * one**7) + Fraction(lam) / 2 * size

    # The largest left side, squared; before, what the sum of nu is too much, if it has to be 0.
    if meta["intercept"]:
        nu[max(range(n), key=lambda k: abs(nu[k]))] -= sum(nu)
    columns, largest = list(zip(*rows, strict=True)), 0
    pulls = [[v * entry for v, entry in zip(nu, column, strict=True)] for column in columns]
    for i in range(count):
        mask = patterns[i * width : (i + 1) * width]
        active = [mask[k // 8] >> (7 - k % 8) & 1 for k in range(n)]
        sums = [sum(itertools.compress(pull, active)) for pull in pulls]
        for block, sign in ((i, 1), (i + count, -1)):
            samples, found = rho.get(block, ((), ()))
            signed = [v if active[k] else -v for k, v in zip(samples, found, strict=True)]
            cone = [dot(signed, [column[k] for k in samples]) for column in columns]
            vector = [sign * p + q for p, q in zip(sums, cone, strict=True)]
            largest = max(largest, dot(vector, vector))
    ratio = Fraction(lam) ** 2 * one**4 / max(1, largest)
    t = min(Fraction(1), Fraction(math.isqrt(math.floor(ratio * 2**2400)), 2**1200))

    # D at t nu. The quotients are counted in parts of `one` to the power of three.
    quotients = sum(-(-(v**2 * one**2) // weight) for v, weight in zip(nu, s, strict=True))
    dual = t * Fraction(dot(nu, y), one**2) - t**2 * Fraction(n * quotients, 2 * one**3)
    need(primal <= (1 + Fraction(tol)) * dual, f"P = {float(primal)!r}, D = {float(dual)!r}")
    more = (" and a free constant" if meta["intercept"] else "") + ", weighted" * weighted
    return (
        f"PROVED, lam = {lam!r}{more}, tol = {tol!r}: the network has {float(primal)!r}, and no "
        f"network with neurons of the {count} listed patterns is below {float(dual)!r}."
    )


if __name__ == "__main__":
    try:
        print(check(*sys.argv[1:3], *map(float, sys.argv[3:5])))
    except Exception as error:  # noqa: BLE001 (whatever is wrong with the files)
        raise SystemExit(f"NOT PROVED: {error!r:.200}") from None
