"""Placeholder while being written (temporary, uncommitted)."""
def enumerate_patterns(X, max_patterns=100000): raise NotImplementedError
