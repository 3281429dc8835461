"""What is proved: bounds from both sides, the judge of them, certificates."""
