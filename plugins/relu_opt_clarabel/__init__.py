"""Backend `clarabel`."""
