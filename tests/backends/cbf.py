"""A small reader of the Conic Benchmark Format (version 1 to 3), into cvxpy; for tests only.

It shares nothing with relu_opt or with MOSEK. The format: min c'x + d over x in a product of
cones, Ax + b in a product of cones, and sum_j x_j H_j + D positive semidefinite.
"""

from __future__ import annotations

from pathlib import Path

import cvxpy as cp
import numpy as np


def read(path):
    """The problem of a file, as a cvxpy problem, and its vector of variables."""
    lines = [line.split("#")[0].split() for line in Path(path).read_text().splitlines()]
    words = iter([line for line in lines if line])
    sections = {}
    for (keyword,) in words:
        sections[keyword] = _section(keyword, words)
    assert sections.pop("VER")[0][0] in ("1", "2", "3")
    assert sections.pop("OBJSENSE")[0] == ["MIN"]
    (size, _), *kinds = sections.pop("VAR")
    x = cp.Variable(int(size))
    constraints = _cones(x, kinds)
    whole = [int(line[0]) for line in sections.pop("INT", [])]
    if whole:
        constraints.append(x[whole] == cp.Variable(len(whole), integer=True))
    cost = _vector(sections.pop("OBJACOORD", []), int(size))
    offset = float(sections.pop("OBJBCOORD", [["0"]])[0][0])
    if "CON" in sections:
        (rows, _), *kinds = sections.pop("CON")
        A = np.zeros((int(rows), int(size)))
        for i, j, value in sections.pop("ACOORD", []):
            A[int(i), int(j)] = float(value)
        constraints += _cones(A @ x + _vector(sections.pop("BCOORD", []), int(rows)), kinds)
    orders = [int(line[0]) for line in sections.pop("PSDCON", [])]
    constraints += _semidefinite(x, orders, sections.pop("HCOORD", []), sections.pop("DCOORD", []))
    assert not sections, f"the reader does not know {sorted(sections)}"
    return cp.Problem(cp.Minimize(cost @ x + offset), constraints), x


def _section(keyword, words):
    """The lines of a section; most begin with their number."""
    first = next(words)
    if keyword in ("VER", "OBJSENSE", "OBJBCOORD"):
        return [first]
    if keyword in ("VAR", "CON"):
        return [first, *(next(words) for _ in range(int(first[1])))]
    return [next(words) for _ in range(int(first[0]))]


def _vector(entries, size):
    vector = np.zeros(size)
    for i, value in entries:
        vector[int(i)] = float(value)
    return vector


def _cones(expression, kinds):
    """That each run of entries is in its cone."""
    constraints, at = [], 0
    for kind, size in kinds:
        part = expression[at : at + int(size)]
        at += int(size)
        if kind == "L=":
            constraints.append(part == 0)
        elif kind == "L+":
            constraints.append(part >= 0)
        elif kind == "L-":
            constraints.append(part <= 0)
        elif kind == "Q":
            rest = cp.norm(part[1:], 2) if int(size) > 1 else 0
            constraints.append(rest <= part[0])
        elif kind == "EXP":  # x1 >= x2 exp(x3/x2); cvxpy's is (x, y, z) with y exp(x/y) <= z
            constraints.append(cp.ExpCone(part[2], part[1], part[0]))
        else:
            assert kind == "F", f"the reader does not know the cone {kind}"
    assert at == expression.shape[0]
    return constraints


def _semidefinite(x, orders, coefficients, constants):
    """The linear matrix inequalities; the entries given are those of one triangle."""
    matrices = []
    for number, order in enumerate(orders):
        H = np.zeros((x.shape[0], order, order))
        D = np.zeros((order, order))
        for cone, j, row, column, value in coefficients:
            if int(cone) == number:
                H[int(j), int(row), int(column)] = H[int(j), int(column), int(row)] = float(value)
        for cone, row, column, value in constants:
            if int(cone) == number:
                D[int(row), int(column)] = D[int(column), int(row)] = float(value)
        flat = H.reshape(x.shape[0], -1).T @ x + D.ravel()
        matrices.append(cp.reshape(flat, (order, order), order="C") >> 0)
    return matrices
