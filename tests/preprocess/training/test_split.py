"""The split by time, on arbitrary calendars."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from preprocess.errors import TrainingError
from preprocess.features.manifest import FEATURE_COUNT
from preprocess.training.dataset import Dataset
from preprocess.training.split import (
    LEAST_OF_A_CLASS,
    Split,
    require_both_classes,
    split_by_time,
)
from tests.preprocess.training.samples import dataset


def bare(days: list[int], lags: list[int], labels: list[int] | None = None) -> Dataset:
    when = np.sort(np.array(days, dtype=np.int32))
    return Dataset(
        bse_codes=np.array([f"{place:06d}" for place in range(len(when))]),
        days=when,
        x=np.zeros((len(when), FEATURE_COUNT), dtype=np.float32),
        y=np.array(labels or [0] * len(when), dtype=np.int8),
        outcome_days=when + np.array(lags, dtype=np.int32),
    )


@st.composite
def calendars(draw: st.DrawFn) -> Dataset:
    days = draw(st.lists(st.integers(0, 40), min_size=3, max_size=120))
    assume(len(set(days)) >= 3)
    lags = draw(st.lists(st.integers(1, 9), min_size=len(days), max_size=len(days)))
    return bare(days, lags)


@given(calendars())
def test_parts_follow_one_another_and_nothing_is_known_too_late(samples: Dataset) -> None:
    split = split_by_time(samples)
    following = {"train": split.validation, "validation": split.test}
    assert len(split.test) > 0
    for name, part in split.parts().items():
        if name in following and len(following[name]) and len(part):
            begins = following[name].days.min()
            assert part.days.max() < begins
            assert part.outcome_days.max() < begins
    codes = [code for part in split.parts().values() for code in part.bse_codes]
    assert len(set(codes)) == len(codes)
    assert len(codes) + split.embargoed == len(samples)
    left_out = ~np.isin(samples.bse_codes, codes)
    for day, known in zip(samples.days[left_out], samples.outcome_days[left_out], strict=True):
        assert day < split.test.days[0]
        assert ((samples.days > day) & (samples.days <= known)).any()


def test_shares_are_those_asked_for_where_dates_are_many() -> None:
    samples = bare(list(range(1000)), [1] * 1000)
    split = split_by_time(samples)
    # The last sample before each cut is embargoed: its outcome comes on the cut's own day.
    assert [len(part) for part in split.parts().values()] == [699, 149, 150]
    assert split.embargoed == 2


def test_a_crowded_day_leaves_a_day_for_each_part() -> None:
    split = split_by_time(bare([1, 2] + [3] * 100, [0] * 102))
    assert [len(part) for part in split.parts().values()] == [1, 1, 100]
    split = split_by_time(bare([1] * 100 + [2, 3], [0] * 102))
    assert [len(part) for part in split.parts().values()] == [100, 1, 1]


@pytest.mark.parametrize("days", [[], [1], [1, 2, 2]])
def test_too_few_dates_are_refused_with_what_to_do(days: list[int]) -> None:
    with pytest.raises(TrainingError, match=r"at least 3 are.*tezi import"):
        split_by_time(bare(days, [1] * len(days)))


def test_too_few_of_a_class_in_any_part_are_refused() -> None:
    split = split_by_time(dataset())
    require_both_classes(split)
    for name, part in split.parts().items():
        positive = np.flatnonzero(part.y == 1)
        poor_labels = part.y.copy()
        poor_labels[positive[LEAST_OF_A_CLASS - 1 :]] = 0
        poor = Dataset(part.bse_codes, part.days, part.x, poor_labels, part.outcome_days)
        parts = split.parts() | {name: poor}
        with pytest.raises(TrainingError, match=f"{name} part .* has 4 positive .*tezi demo"):
            require_both_classes(Split(**parts, embargoed=0))
