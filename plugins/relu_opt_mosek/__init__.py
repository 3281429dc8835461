"""Backend `mosek`."""
