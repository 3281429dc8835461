"""Work spread over processes and machines."""

from relu_opt.solving.shards.executors import Executor, as_executor

__all__ = ["Executor", "as_executor"]
