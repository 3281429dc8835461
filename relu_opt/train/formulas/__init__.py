"""Optimal networks by formulas, for data of a special form."""

from relu_opt.program.spike_free import SpikeFree, is_spike_free
from relu_opt.train.formulas.choice import ClosedForm, closed_form

__all__ = ["ClosedForm", "SpikeFree", "closed_form", "is_spike_free"]
