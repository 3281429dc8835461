"""Where tasks run: in this process, in processes of this machine, or on a Dask cluster.

Tasks are plain functions. Values that many tasks need are `put` once and then named by reference,
and so are results, which can stay where they are until `gather` asks for them.
"""

from __future__ import annotations

import concurrent.futures
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from relu_opt.errors import BackendUnavailable, DataError, SolveFailed

CONNECT_SECONDS = 10.0
# How often workers may die before that is the end.
TRIES = 5

Result = TypeVar("Result")


class WorkersLost(Exception):
    """Workers died, and what they held is gone; after `renew` the tasks can be sent again."""


@runtime_checkable
class Executor(Protocol):
    """What runs tasks. Your own class will do if it has these methods."""

    def put(self, value: Any, everywhere: bool = False) -> Any:
        """Send a value to a worker, or to all of them, once; a reference to it."""
        ...

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run a function of values and references; a reference to its result."""
        ...

    def gather(self, references: Sequence[Any]) -> list[Any]:
        """The values of references.

        Raises
        ------
        WorkersLost
            If workers died and their results cannot be had.
        """
        ...

    def renew(self) -> None:
        """Get ready again after `WorkersLost`; all references are void."""
        ...

    def close(self) -> None:
        """Let go of what was put."""
        ...


class Serial:
    """Tasks run in this process, at once; references are the values themselves."""

    def put(self, value: Any, everywhere: bool = False) -> Any:
        return value

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)

    def gather(self, references: Sequence[Any]) -> list[Any]:
        return list(references)

    def renew(self) -> None:
        pass

    def close(self) -> None:
        pass


@dataclass(frozen=True)
class Stored:
    """A value in a file of this machine, which each process reads once."""

    path: str


class Pool:
    """Tasks run in the processes of a `concurrent.futures` executor.

    Parameters
    ----------
    make : callable
        Makes the executor; called again when its processes have died.
    owned : bool
        Whether to shut it down in the end.
    """

    def __init__(
        self, make: Callable[[], concurrent.futures.Executor], owned: bool = False
    ) -> None:
        self._make = make
        self._pool = make()
        self._owned = owned
        self._folder = Path(tempfile.mkdtemp(prefix="relu-opt-"))

    def put(self, value: Any, everywhere: bool = False) -> Stored:
        import joblib

        path = str(self._folder / f"{uuid.uuid4().hex}.joblib")
        joblib.dump(value, path)
        return Stored(path)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        # A result that another task needs goes through this process.
        ready = self.gather([each for each in arguments if _is_future(each)])
        values = [ready.pop(0) if _is_future(each) else each for each in arguments]
        try:
            return self._pool.submit(_call, function, values)
        except concurrent.futures.BrokenExecutor as error:
            raise WorkersLost from error

    def gather(self, references: Sequence[Any]) -> list[Any]:
        try:
            return [each.result() if _is_future(each) else _value(each) for each in references]
        except (concurrent.futures.BrokenExecutor, concurrent.futures.CancelledError) as error:
            raise WorkersLost from error

    def renew(self) -> None:
        self._pool = self._make()

    def close(self) -> None:
        if self._owned:
            self._pool.shutdown()
        shutil.rmtree(self._folder, ignore_errors=True)


def _is_future(value: Any) -> bool:
    return isinstance(value, concurrent.futures.Future)


def _call(function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
    return function(*(_value(each) for each in arguments))


def _value(reference: Any) -> Any:
    return _read(reference.path) if isinstance(reference, Stored) else reference


@lru_cache(maxsize=256)
def _read(path: str) -> Any:
    import joblib

    return joblib.load(path)


class Dask:
    """Tasks run on the workers of a `dask.distributed` cluster.

    Parameters
    ----------
    client : distributed.Client
        Connected to the cluster.
    owned : bool
        Whether to close the client in the end.
    """

    def __init__(self, client: Any, owned: bool = False) -> None:
        self.client = client
        self.owned = owned

    def put(self, value: Any, everywhere: bool = False) -> Any:
        return self.client.scatter(value, broadcast=everywhere, hash=False)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return self.client.submit(function, *arguments, pure=False)

    def gather(self, references: Sequence[Any]) -> list[Any]:
        from distributed import CancelledError, KilledWorker
        from distributed.client import FutureCancelledError

        lost = (CancelledError, FutureCancelledError, KilledWorker, OSError)
        try:
            return list(self.client.gather(list(references)))
        except lost as error:
            raise WorkersLost from error

    def renew(self) -> None:
        self.client.wait_for_workers(1, timeout=60)

    def close(self) -> None:
        if self.owned:
            self.client.close()


def run_all(
    executor: Executor, function: Callable[[Any, Any], Any], shared: Any, items: Sequence[Any]
) -> list[Any]:
    """function(shared, item) for every item, in order; `shared` goes to the workers once.

    Raises
    ------
    SolveFailed
        If workers die again and again.
    """

    def work() -> list[Any]:
        reference = executor.put(shared, everywhere=True)
        return executor.gather([executor.submit(function, reference, item) for item in items])

    return persist(executor, work, [])


def persist(executor: Executor, work: Callable[[], Result], losses: list[WorkersLost]) -> Result:
    """Work, and do it again when workers are lost.

    Raises
    ------
    SolveFailed
        If that has happened `TRIES` times; `losses` keeps the count over several calls.
    """
    while True:
        try:
            return work()
        except WorkersLost as error:
            losses.append(error)
            if len(losses) >= TRIES:
                raise SolveFailed(
                    f"Workers died {TRIES} times, perhaps for want of memory. Use fewer of them, "
                    "or larger machines.",
                    losses=len(losses),
                ) from error
            executor.renew()


def as_executor(given: Any) -> Executor:
    """The executor of what a user passes.

    Parameters
    ----------
    given : int, str, distributed.Client, concurrent.futures.Executor or Executor
        A number of processes of this machine (−1: one a core), the address of a Dask scheduler, a
        Dask client, an executor of the standard library, or your own `Executor`.

    Raises
    ------
    DataError
        If it is none of these.
    BackendUnavailable
        If Dask is needed and not installed, or its scheduler does not answer.
    """
    if isinstance(given, int | np.integer) and not isinstance(given, bool) and given:
        return processes(int(given))
    if isinstance(given, str) and given:
        return Dask(_connect(given), owned=True)
    if isinstance(given, concurrent.futures.Executor):
        return Pool(lambda: given)
    if type(given).__module__.split(".")[0] == "distributed" and hasattr(given, "scatter"):
        return Dask(given)
    if isinstance(given, Executor):
        return given
    raise DataError(
        f"executor is {given!r}. Pass a number of processes, the address of a Dask scheduler, a "
        "Dask client, or an executor of concurrent.futures.",
    )


@contextmanager
def opened(given: Any) -> Iterator[Executor]:
    """The executor of what a user passes, closed afterwards if it was made here."""
    executor = as_executor(given)
    try:
        yield executor
    finally:
        if executor is not given:
            executor.close()


def processes(count: int) -> Executor:
    """So many processes of this machine, −1 for one a core; one is this process itself."""
    from joblib import effective_n_jobs
    from joblib.externals.loky import ProcessPoolExecutor

    workers = effective_n_jobs(count)
    if workers == 1:
        return Serial()
    # Not the reusable executor, which is joblib.Parallel's own.
    return Pool(lambda: ProcessPoolExecutor(max_workers=workers), owned=True)


def _connect(address: str) -> Any:
    try:
        import distributed
    except ImportError as error:
        raise BackendUnavailable(
            "A scheduler was named, and dask.distributed cannot be imported. "
            "pip install 'relu-opt[dask]'.",
            scheduler=address,
        ) from error
    try:
        client: Any = distributed.Client
        return client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise BackendUnavailable(
            f"The Dask scheduler at {address} does not answer: {error}. Start one with "
            "`dask scheduler`, and check the address.",
            scheduler=address,
        ) from error
