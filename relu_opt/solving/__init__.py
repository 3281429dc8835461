"""Solving: programs handed to backends, answers checked, proved and compared."""
