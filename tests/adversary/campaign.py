"""Many trials, counted: by what was done, by what was said, and what was wrong with it."""

from __future__ import annotations

import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count, islice
from pathlib import Path
from types import FrameType

import numpy as np

from . import calls, deep, files, program_trials
from .judge import Judge
from .programs import KINDS
from .trials import Trial, attempt, fault, honest
from .truths import TRUTHS, make

# Trials of one true answer, attacks on each file in one round, and rounds of truths between these.
SPOILED, DAMAGED, BETWEEN = 1000, 200, 10
GROUPS = ("honest", "spoil", "file", "call", "deep", "lie", "backend")
# Lies about programs of one kind in one round.
LIES = 400
# Odd arguments for each function in one round.
ODD = 8
# A trial that takes so many seconds counts as one that never ends.
HUNG = 60


@dataclass
class Tally:
    """What was counted.

    Attributes
    ----------
    verdicts : Counter
        By group (`honest`, `spoil`, `file`), name and verdict.
    ways : Counter
        By the way in which an answer was spoiled or a file damaged, and verdict.
    failures : list of (str, Trial)
        What went wrong, with the code that repeats it.
    """

    verdicts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    ways: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    failures: list[tuple[str, Trial]] = field(default_factory=list)

    def add(self, code: str, trial: Trial) -> None:
        """Count a trial; its code begins with its group and its name."""
        group, name = code.split(":")[:2]
        self.verdicts[group, name, trial.verdict] += 1
        for way in trial.spoils:
            self.ways[group, way, trial.verdict] += 1
        if trial.failure:
            self.failures.append((code, trial))

    def merge(self, other: Tally) -> None:
        """Add what another has counted."""
        self.verdicts.update(other.verdicts)
        self.ways.update(other.ways)
        self.failures += other.failures

    def total(self, group: str) -> int:
        """How many trials of a group there were."""
        return sum(k for (each, _, _), k in self.verdicts.items() if each == group)


class HungError(BaseException):
    """A trial did not end; no handler of ordinary errors is to catch it."""


@contextmanager
def ending() -> Iterator[None]:
    """Raise `HungError` here after `HUNG` seconds."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise HungError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, HUNG)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _rng(seed: int, k: int, name: str) -> np.random.Generator:
    return np.random.default_rng([seed, k, *name.encode()])


def _trial(run: Callable[[], Trial]) -> Trial:
    try:
        with ending():
            return run()
    except HungError:
        return Trial((), "error", f"did not end within {HUNG} seconds")


def spoil_one(kind: str, seed: int, trials: Iterable[int]) -> Tally:
    """A true answer, judged as it is and spoiled in so many ways."""
    tally, code = Tally(), f"honest:{kind}:{seed}"
    try:
        with ending():
            truth = make(kind, seed)
    except (Exception, HungError) as error:  # noqa: BLE001 - any other error is what is looked for
        tally.add(code, Trial((), "error", fault(error)))
        return tally
    if truth is None:
        tally.add(code, Trial((), "refused", ""))
        return tally
    judge = Judge(truth.known)
    said = str(truth.certificate.verdict)
    tally.add(code, _trial(lambda: Trial((), said, honest(truth, judge))))
    for k in trials:
        rng = _rng(seed, k, kind)
        tally.add(f"spoil:{kind}:{seed}:{k}", _trial(partial(attempt, truth, judge, rng)))
    return tally


class Workshop:
    """A folder of healthy files of every kind, to be damaged one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hosts = {host.name: host for host in files.hosts(folder)}
        self.judges = {
            host.name: Judge(host.truth.known) for host in self.hosts.values() if host.truth
        }

    def damage(self, name: str, seed: int, trials: Iterable[int]) -> Tally:
        """Damage one of the files in so many ways."""
        tally, host = Tally(), self.hosts[name]
        for k in trials:
            rng, code = _rng(seed, k, name), f"file:{name}:{seed}:{k}"
            run = partial(files.attack, host, self.judges.get(name), self.folder, rng)
            tally.add(code, _trial(run))
        return tally


def call_often(name: str, seed: int, trials: Iterable[int]) -> Tally:
    """A public function, called with odd arguments."""
    tally = Tally()
    for k in trials:
        rng = _rng(seed, k, name)
        tally.add(f"call:{name}:{seed}:{k}", _trial(partial(calls.call, name, rng)))
    return tally


def deep_often(name: str, seed: int, trials: Iterable[int]) -> Tally:
    """A deep network by a formula, beside others."""
    tally = Tally()
    for k in trials:
        rng = _rng(seed, k, name)
        tally.add(f"deep:{name}:{seed}:{k}", _trial(partial(deep.trial, seed, rng)))
    return tally


def lie_often(kind: str, seed: int, trials: Iterable[int]) -> Tally:
    """Standard programs of a kind, answered by a backend that lies."""
    tally = Tally()
    for k in trials:
        rng = _rng(seed, k, kind)
        tally.add(f"lie:{kind}:{seed}:{k}", _trial(partial(program_trials.lied, kind, rng)))
    return tally


def ask_often(kind: str, seed: int, trials: Iterable[int]) -> Tally:
    """Standard programs of a kind, answered by each real backend."""
    tally = Tally()
    for k in trials:
        for backend in program_trials.BACKENDS:
            run = partial(program_trials.real, kind, _rng(seed, k, kind), backend)
            tally.add(f"backend:{kind}:{seed}:{k}", _trial(run))
    return tally


def replay(code: str) -> Tally:
    """One trial again, by the code that was printed with it."""
    group, name, *numbers = code.split(":")
    seed, trials = int(numbers[0]), [int(k) for k in numbers[1:]]
    often = {"call": call_often, "deep": deep_often, "lie": lie_often, "backend": ask_often}
    if group in often:
        return often[group](name, seed, trials)
    if group != "file":
        return spoil_one(name, seed, trials)
    with tempfile.TemporaryDirectory() as folder:
        return Workshop(Path(folder)).damage(name, seed, trials)


def campaign(seconds: float, seed: int, programs: bool = False) -> Tally:
    """Trials of all kinds in turn, with new seeds in each round, until the time is over.

    With `programs`, of standard programs alone. An interrupt ends it with what was counted so far.
    """
    tally, ends, last = Tally(), time.monotonic() + seconds, time.monotonic()
    with tempfile.TemporaryDirectory() as folder, suppress(KeyboardInterrupt):
        shop = Workshop(Path(folder))
        for work in _programs(seed) if programs else _endless(shop, seed):
            if time.monotonic() > ends:
                return tally
            more = work()
            tally.merge(more)
            for each in more.failures:
                print(failed(*each), flush=True)
            if time.monotonic() - last > 60:
                last = time.monotonic()
                announce(tally)
    return tally


def _endless(shop: Workshop, seed: int) -> Iterator[Callable[[], Tally]]:
    """Pieces of work, a second or two each: all truths in turn, files and calls between them."""
    names = list(shop.hosts)
    turns = count(1000 * seed)
    for number in count(1000 * seed):
        for place, kind in enumerate(TRUTHS):
            yield partial(spoil_one, kind, number, range(SPOILED))
            if place % BETWEEN == 0:
                turn = next(turns)
                for name in names[turn % 3 :: 3]:
                    yield partial(shop.damage, name, turn, range(DAMAGED))
        for name in calls.calls():
            yield partial(call_often, name, number, range(ODD))
        yield partial(deep_often, "formula", number, range(DAMAGED))
        yield from islice(_programs(number), len(KINDS))


def _programs(seed: int) -> Iterator[Callable[[], Tally]]:
    """Standard programs of all kinds in turn."""
    for number in count(1000 * seed):
        for kind in KINDS:
            # A tree over integers takes a second where the linear programs are lied about.
            lies = LIES // 20 if kind == "integers" else LIES
            yield partial(_both, kind, number, lies)


def _both(kind: str, number: int, lies: int) -> Tally:
    tally = lie_often(kind, number, range(lies))
    tally.merge(ask_often(kind, number, range(lies // 10)))
    return tally


def in_parallel(seconds: float, seed: int, jobs: int, programs: bool = False) -> Tally:
    """Campaigns in several processes, of seeds of their own."""
    if jobs == 1:
        return campaign(seconds, seed, programs)
    tally = Tally()
    with ProcessPoolExecutor(jobs) as pool:
        runs = [pool.submit(campaign, seconds, seed * jobs + j, programs) for j in range(jobs)]
        for run in runs:
            tally.merge(run.result())
    return tally


def failed(code: str, trial: Trial) -> str:
    """One line on a failure, with the code that repeats it."""
    return f"{code} {trial.spoils}: {trial.failure}"


def announce(tally: Tally) -> None:
    """One line on how far it is."""
    counted = ", ".join(f"{tally.total(group)} {group}" for group in GROUPS)
    print(f"{counted}; {len(tally.failures)} failures", flush=True)
