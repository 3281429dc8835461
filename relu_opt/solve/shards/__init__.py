"""Work spread over processes and machines."""

from relu_opt.solve.shards.executors import Executor, as_executor

__all__ = ["Executor", "as_executor"]
