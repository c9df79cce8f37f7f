"""The labels: what a change makes of them, and that the file is whole or as it was."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from preprocess.errors import ModelError
from preprocess.repository.labels import Labels, read_labels, write_labels

NOW = datetime(2026, 8, 14, 12, tzinfo=UTC)


def test_activating_keeps_the_one_before_for_a_rollback() -> None:
    labels = Labels().activated(1)
    assert (labels.stable, labels.previous) == (1, None)
    labels = labels.activated(2).activated(3)
    assert (labels.stable, labels.previous) == (3, 2)
    assert labels.activated(3) == labels
    back = labels.rolled_back()
    assert (back.stable, back.previous) == (2, 3)
    assert back.rolled_back() == labels


def test_without_a_previous_version_there_is_no_rollback() -> None:
    with pytest.raises(ModelError, match="no previous version"):
        Labels(stable=1).rolled_back()


def test_a_candidate_that_becomes_stable_is_none_any_more() -> None:
    labels = Labels(stable=1).with_candidate(2, 5.0, shadow=True)
    assert (labels.candidate, labels.share, labels.shadow) == (2, 5.0, True)
    assert labels.activated(3).candidate == 2
    stable = labels.activated(2)
    assert (stable.candidate, stable.share, stable.shadow) == (None, 0.0, False)
    assert labels.without_candidate() == Labels(stable=1)


@pytest.mark.parametrize(
    ("labels", "number", "share", "reason"),
    [
        (Labels(), 1, 5.0, "No version is stable"),
        (Labels(stable=1), 1, 5.0, "already serves everything"),
        (Labels(stable=1), 2, 0.0, "above 0"),
        (Labels(stable=1), 2, 100.5, "at most 100"),
        (Labels(stable=1), 2, float("nan"), "above 0"),
    ],
)
def test_shares_that_make_no_sense(labels: Labels, number: int, share: float, reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        labels.with_candidate(number, share, shadow=False)


def test_each_version_says_its_labels() -> None:
    labels = Labels(stable=3, previous=2, candidate=2)
    assert labels.of(3) == ["stable"]
    assert labels.of(2) == ["candidate", "previous"]
    assert labels.of(1) == []
    assert labels.in_use == {2, 3}


def test_they_are_kept_in_a_file(tmp_path: Path) -> None:
    assert read_labels(tmp_path) == Labels()
    first = write_labels(tmp_path, Labels(), Labels().activated(1), now=NOW)
    assert (first.generation, first.changed_at) == (1, NOW)
    assert read_labels(tmp_path) == first
    assert write_labels(tmp_path, first, first, now=NOW) == first  # nothing has changed
    second = write_labels(tmp_path, first, first.with_candidate(2, 12.5, shadow=False), now=NOW)
    assert read_labels(tmp_path) == second
    assert second.generation == 2


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"stable": "one"}', b"\xff"])
def test_a_damaged_file_is_not_guessed_at(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "labels.json").write_bytes(content)
    with pytest.raises(ModelError, match="tezi activate"):
        read_labels(tmp_path)


def test_a_file_that_cannot_be_read_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "labels.json").mkdir()
    with pytest.raises(ModelError, match="cannot be read"):
        read_labels(tmp_path)


@given(st.lists(st.integers(1, 6), min_size=1, max_size=12))
def test_stable_is_what_was_activated_last_and_previous_the_other_before(order: list[int]) -> None:
    labels = Labels()
    for number in order:
        labels = labels.activated(number)
    seen = [n for at, n in enumerate(order) if at == 0 or n != order[at - 1]]
    assert labels.stable == seen[-1]
    assert labels.previous == (seen[-2] if len(seen) > 1 else None)
