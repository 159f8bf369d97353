"""Functions take turns; how long they take is asserted nowhere."""

from functools import partial

from hrnet_plugin.utils.timing import by_turns, seconds


def test_turns_after_warm_up() -> None:
    calls: list[str] = []
    rounds = by_turns([partial(calls.append, 'a'), partial(calls.append, 'b')], 3, warm_up=2)
    assert calls[:4] == ['a', 'b', 'a', 'b']
    turns = [name for name, before in zip(calls[4:], ['', *calls[4:]]) if name != before]
    assert turns == ['a', 'b'] * 3
    assert [len(times) for times in rounds] == [2, 2, 2]
    assert all(time > 0 for times in rounds for time in times)


def test_no_round_begins_after_the_time_is_over() -> None:
    assert len(by_turns([lambda: None], 5, at_most=0)) == 1


def test_long_runs_are_timed_once() -> None:
    calls: list[None] = []
    seconds(lambda: calls.append(None), at_least=1e-9)
    assert len(calls) == 1
