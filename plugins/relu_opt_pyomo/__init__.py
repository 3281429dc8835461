"""Backend `pyomo`."""
