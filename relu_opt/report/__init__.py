"""A model on one page: what it is, what is proved about it, and how else it could be."""

from relu_opt.report.evidence import Evidence, gather
from relu_opt.report.page import render, write_report

__all__ = ["Evidence", "gather", "render", "write_report"]
