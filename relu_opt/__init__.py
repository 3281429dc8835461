"""Train two-layer ReLU networks to proved global optima, with solvers as plugins.

import relu_opt as ro

patterns = ro.sample_patterns(X, n_gates=500, seed=0)
program = ro.ConvexProgram(X, y, lam=0.01, patterns=patterns)
solution = ro.solve(program)
solution.network.predict(X)
solution.certificate            # NetworkCertificate(certified, ...)
"""

import sys

from relu_opt import _face, _moved

__version__ = "0.1.0"
__all__ = sorted(_face.HOMES)

sys.modules[__name__].__class__ = _face.Face
_moved.install()
