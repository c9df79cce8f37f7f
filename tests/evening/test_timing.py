"""Triton's counters between two readings."""

from preprocess.evening.timing import ModelTime, Statistics, between

BEFORE: Statistics = {("features", "1"): ModelTime(2, 10, 3.0, 1.0, 2.0)}


def test_versions_add_up() -> None:
    after = {
        ("features", "1"): ModelTime(3, 15, 4.0, 1.5, 2.5),
        ("features", "2"): ModelTime(1, 4, 1.0, 0.25, 0.75),
        ("other", "1"): ModelTime(9, 9, 9.0, 9.0, 9.0),
    }
    assert between(BEFORE, after, "features") == ModelTime(2, 9, 2.0, 0.75, 1.25)


def test_counters_that_began_anew_count_from_there() -> None:
    after = {("features", "1"): ModelTime(1, 4, 1.0, 0.25, 0.75)}
    assert between(BEFORE, after, "features") == after["features", "1"]


def test_what_was_not_read_is_not_known() -> None:
    assert between(None, BEFORE, "features") is None
    assert between(BEFORE, None, "features") is None
