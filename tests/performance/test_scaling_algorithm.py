"""The autoscaler's algorithm: the documentation's examples, and what holds for any load."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.performance.scaling.behaviour import Behaviour
from tests.performance.scaling.policy import (
    DEFAULT_DOWN,
    DEFAULT_UP,
    Direction,
    Policy,
    Rate,
    Select,
    Unit,
    shipped,
    shipped_large,
    shipped_queue_time,
)
from tests.performance.scaling.recommendation import Readings, by_pods, by_value, together

USES = st.lists(st.floats(0, 5), min_size=1, max_size=12)
ANY = Policy(1, 1_000, 0.7, Direction(0, DEFAULT_UP.rates), Direction(0, DEFAULT_DOWN.rates))
FREE = (Rate(Unit.PERCENT, 100_000, 15),)


@pytest.mark.parametrize(
    ("use", "current", "wanted"),
    [
        (2.0, 3, 6),  # 200m against a target of 100m doubles
        (0.5, 6, 3),  # 50m halves
        (90 / 75, 50, 60),
        (1.1, 10, 10),  # within the tolerance
        (0.9, 10, 10),
        (1.11, 10, 12),
    ],
)
def test_the_ratio_of_the_documentation(use: float, current: int, wanted: int) -> None:
    assert by_pods(Readings([use] * current), current) == wanted
    assert by_value(use, current, current) == wanted


def test_pods_that_start_use_nothing_yet() -> None:
    assert by_pods(Readings([2.0] * 2, not_ready=1), 3) == 4  # and not 6
    assert by_pods(Readings([2.0] * 2, not_ready=2), 4) == 4  # the direction is gone
    assert by_pods(Readings([0.5] * 2, not_ready=2), 4) == 1  # fewer: they are left out


def test_pods_without_a_metric_hold_back_either_way() -> None:
    assert by_pods(Readings([0.2] * 2, missing=2), 4) == 3  # as if they used all of the target
    assert by_pods(Readings([2.0] * 2, missing=2), 4) == 4  # as if they used nothing
    assert by_pods(Readings([], missing=2), 2) is None


@given(USES, st.integers(0, 5), st.integers(0, 5))
def test_more_only_when_busy_and_fewer_only_when_idle(
    uses: list[float], not_ready: int, missing: int
) -> None:
    readings = Readings(uses, not_ready, missing)
    current = readings.pods
    wanted = by_pods(readings, current)
    assert wanted is not None
    mean = math.fsum(uses) / len(uses)
    if mean > 1:
        assert wanted >= current
        alone = by_pods(Readings(uses), len(uses))
        assert alone is not None
        assert wanted - current <= max(0, alone - len(uses))
    else:
        assert wanted <= current


@given(USES, st.floats(0.01, 3))
def test_more_use_never_calls_for_fewer(uses: list[float], more: float) -> None:
    before = by_pods(Readings(uses), len(uses))
    after = by_pods(Readings([use + more for use in uses]), len(uses))
    assert before is not None
    assert after is not None
    assert after >= before


@given(
    st.lists(st.one_of(st.none(), st.integers(1, 20)), min_size=1, max_size=4), st.integers(1, 20)
)
def test_several_metrics(wanted: list[int | None], current: int) -> None:
    found = together(wanted, current)
    known = [number for number in wanted if number is not None]
    if None in wanted:
        assert found >= current  # what is not known may be what needs them
    else:
        assert found == max(known)
    assert found >= max(known, default=current)


def follow(policy: Policy, recommended: list[int], start: int) -> list[int]:
    """The replicas after each look, 15 s apart."""
    behaviour, current, found = Behaviour(policy), start, []
    for number, each in enumerate(recommended):
        current = behaviour.follow(number * 15.0, current, each)
        found.append(current)
    return found


def test_a_scale_down_by_the_documentations_example() -> None:
    """80 pods: 10 per cent or 4 pods a minute, the greater of the two."""
    down = Direction(0, (Rate(Unit.PODS, 4, 60), Rate(Unit.PERCENT, 10, 60)))
    found = follow(replace(ANY, down=down), [1] * 60, 80)
    by_minute = [80, *found[::4]]
    assert by_minute[:6] == [80, 72, 64, 57, 51, 45]
    below_forty = [number for number in by_minute if 4 < number <= 40]
    assert {a - b for a, b in pairwise(below_forty)} == {4}
    slower = follow(replace(ANY, down=replace(down, select=Select.MIN)), [1] * 5, 80)
    assert slower == [76, 76, 76, 76, 72]
    never = follow(replace(ANY, down=replace(down, select=Select.DISABLED)), [1] * 5, 80)
    assert never == [80] * 5


def test_the_default_scale_up_doubles_or_adds_four() -> None:
    assert follow(ANY, [500] * 5, 1) == [5, 10, 20, 40, 80]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=60), st.integers(2, 10))
def test_nothing_is_done_before_it_was_called_for_all_the_window(
    recommended: list[int], start: int
) -> None:
    policy = replace(ANY, up=Direction(120, FREE), down=Direction(300, FREE))
    found = [start, *follow(policy, recommended, start)]
    for place in range(len(recommended)):
        before, after = found[place], found[place + 1]
        if after > before:
            assert min(recommended[max(0, place - 7) : place + 1]) >= after
        if after < before:
            assert max(recommended[max(0, place - 19) : place + 1]) <= after


@given(st.lists(st.integers(1, 500), min_size=1, max_size=60), st.integers(2, 10))
def test_bounds_and_rates_hold(recommended: list[int], start: int) -> None:
    up = Direction(0, (Rate(Unit.PODS, 3, 60),))
    policy = replace(ANY, minimum=2, maximum=10, up=up)
    found = [start, *follow(policy, recommended, start)]
    assert all(2 <= number <= 10 for number in found)
    for look, (before, after) in enumerate(pairwise(found)):
        if after > before:
            assert after <= found[max(0, look - 3)] + 3  # what there was a minute ago


def test_the_manifests_are_read_truly() -> None:
    gateway = shipped("gateway")
    assert (gateway.minimum, gateway.maximum, gateway.cpu_target) == (2, 10, 0.7)
    assert (gateway.up.window_s, gateway.down.window_s) == (120, 300)
    assert shipped_large("gateway") == gateway.between(12, 80)
    queue = shipped_queue_time()
    assert (queue.cpu_target, queue.queue_target_us) == (0.7, 2_000.0)
    assert queue.up.rates == (Rate(Unit.PERCENT, 50, 60), Rate(Unit.PODS, 2, 60))
