"""What long work tells: the bar, and the bounds over time."""

from relu_opt.progress.bar import show_progress
from relu_opt.progress.history import History, record

__all__ = ["History", "record", "show_progress"]
