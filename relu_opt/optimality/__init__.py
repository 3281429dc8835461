"""What an answer to a linear, quadratic or conic program is worth, by the program alone."""

from relu_opt.optimality.form import Form, StandardProgram
from relu_opt.optimality.measures import Residuals, agreement, allowed_residual, judge, measure
from relu_opt.optimality.mending import Proof, prove

__all__ = [
    "Form",
    "Proof",
    "Residuals",
    "StandardProgram",
    "agreement",
    "allowed_residual",
    "judge",
    "measure",
    "prove",
]
