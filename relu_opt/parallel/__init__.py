"""Work spread over processes and machines."""

from relu_opt.parallel.executors import Executor, as_executor

__all__ = ["Executor", "as_executor"]
