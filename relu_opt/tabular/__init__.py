"""From tables to X and y, and models of them."""
