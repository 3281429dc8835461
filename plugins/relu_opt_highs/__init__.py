"""Backend `highs`."""
