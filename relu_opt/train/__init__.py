"""The companion problems: all patterns, one input, several outputs, formulas, deep."""
