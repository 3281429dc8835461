"""The one clock, and how work ends by it; `clock` of the fixture moves on by a second a look."""

from __future__ import annotations

import pytest

from relu_opt.clock import LEAST, Clock, TimeUp
from relu_opt.errors import DataError
from relu_opt.plugins.stopping import Ending, StopNow, until_stopped
from relu_opt.plugins.types import StopReason


def test_without_a_limit_there_is_always_time(clock):
    mine = Clock()
    assert mine.remaining is None
    assert not mine.expired
    mine.check()
    assert list(mine.each("abc")) == ["a", "b", "c"]
    assert mine.elapsed == 1.0


def test_with_a_limit_the_seconds_are_counted_down(clock):
    mine = Clock(3.5)
    assert [mine.remaining, mine.remaining, mine.remaining] == [2.5, 1.5, 0.5]
    assert mine.expired
    assert mine.remaining == LEAST
    with pytest.raises(TimeUp):
        mine.check()


def test_another_limit_counts_from_the_same_start(clock):
    first = Clock()
    assert first.elapsed == 1.0
    assert first.limited(4.0).remaining == 2.0
    assert first.limit is None


def test_what_follows_gets_a_part_of_the_time(clock):
    first = Clock(10.0)
    assert first.before(2.0).limit == 8.0
    assert first.before(100.0).limit == 5.0
    assert Clock().before(2.0).limit is None


def test_a_loop_looks_before_each_item(clock):
    done = []
    with pytest.raises(TimeUp):
        done.extend(item for item in Clock(2.5).each(range(10)))
    assert done == [0, 1]


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan"), float("inf"), "soon"])
def test_a_limit_is_a_number_of_seconds(limit):
    with pytest.raises(DataError, match="time_limit"):
        Clock(limit)


def test_why_work_ended():
    def raising(error):
        raise error

    assert until_stopped(lambda: None) == Ending(StopReason.CONVERGED)
    assert until_stopped(lambda: StopReason.NUMERICAL) == Ending(StopReason.NUMERICAL)
    assert until_stopped(lambda: raising(TimeUp())) == Ending(StopReason.TIME_LIMIT)
    assert until_stopped(lambda: raising(KeyboardInterrupt())) == Ending(StopReason.INTERRUPTED)
    found = until_stopped(lambda: raising(StopNow(StopReason.ITERATION_LIMIT, "enough")))
    assert found == Ending(StopReason.ITERATION_LIMIT, "enough")
    with pytest.raises(ValueError, match="of another kind"):
        until_stopped(lambda: raising(ValueError("of another kind")))
