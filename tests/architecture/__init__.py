"""The map of the package, drawn from its imports."""
