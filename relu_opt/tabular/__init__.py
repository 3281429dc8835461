"""From tables to X and y, and models of them."""

from relu_opt.tabular.model import Model
from relu_opt.tabular.preprocessing import Preprocessing
from relu_opt.tabular.tables import Table, read_table

__all__ = ["Model", "Preprocessing", "Table", "read_table"]
