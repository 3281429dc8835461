"""Optimal networks by formulas, for data of a special form."""
