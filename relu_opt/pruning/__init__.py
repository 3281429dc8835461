"""Networks made narrower: exactly, and beyond it."""
