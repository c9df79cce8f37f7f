"""What a run may take over from one that was broken off, and what it may not."""

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec
import pytest

from preprocess.evening.journal import JOURNAL_FILE, Identity, Journal
from preprocess.evening.outcome import Reason, Scored, Skipped
from preprocess.market import Mark

NOW = datetime(2024, 6, 3, 14, tzinfo=UTC)
LATER = datetime(2024, 6, 3, 15, tzinfo=UTC)
MARK = Mark(7, "00112233aabbccdd")
IDENTITY = Identity(date(2024, 5, 31), "fp32", 2, MARK, "the stocks")
SCORED = Scored("500100", 0.25, "2024-05-31", 2)
SHORT = Skipped("500200", Reason.SHORT_HISTORY)


def broken_off(folder: Path) -> Journal:
    journal = Journal.open(folder, IDENTITY, now=NOW)
    journal.add([SCORED])
    journal.add([SHORT])
    return journal


def test_a_run_that_was_broken_off_is_gone_on_with(tmp_path: Path) -> None:
    broken_off(tmp_path)
    journal = Journal.open(tmp_path, IDENTITY, now=LATER)
    assert journal.outcomes == {"500100": SCORED, "500200": SHORT}
    assert journal.started_at == NOW


@pytest.mark.parametrize(
    "other",
    [
        {"prediction_date": date(2024, 5, 30)},
        {"variant": "int8"},
        {"model_version": 3},
        {"mark": replace(MARK, sequence=8)},
        {"mark": replace(MARK, token="ffffffffffffffff")},
        {"stocks": "other stocks"},
    ],
    ids=lambda other: next(iter(other)),
)
def test_nothing_is_taken_over_from_another_run(tmp_path: Path, other: dict[str, object]) -> None:
    broken_off(tmp_path)
    journal = Journal.open(tmp_path, msgspec.structs.replace(IDENTITY, **other), now=LATER)
    assert (journal.outcomes, journal.started_at) == ({}, LATER)


def test_a_run_that_was_done_begins_anew(tmp_path: Path) -> None:
    broken_off(tmp_path).close()
    journal = Journal.open(tmp_path, IDENTITY, now=LATER)
    assert (journal.outcomes, journal.started_at) == ({}, LATER)


def test_what_failed_or_another_version_computed_is_scored_again(tmp_path: Path) -> None:
    broken_off(tmp_path).add(
        [Scored("500300", 0.5, "2024-05-31", 3), Skipped("500400", Reason.INVALID_ANSWER)]
    )
    journal = Journal.open(tmp_path, IDENTITY, now=LATER)
    assert journal.outcomes.keys() == {"500100", "500200"}


@pytest.mark.parametrize("content", [b"", b'{"done": fal', b'{"done": false}', b"\x00\xff"])
def test_a_damaged_journal_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / JOURNAL_FILE).write_bytes(content)
    assert Journal.open(tmp_path, IDENTITY, now=LATER).outcomes == {}
