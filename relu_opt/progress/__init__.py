"""What long work tells: the bar, and the bounds over time."""
