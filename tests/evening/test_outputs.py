"""Files of a run: whole or not there."""

import csv
import errno
import json
import subprocess
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from preprocess.errors import EveningError
from preprocess.evening.outcome import Reason, Skipped
from preprocess.evening.outputs import csv_document, json_document, only_run, write_file
from preprocess.evening.prediction import Prediction

ROWS = [
    Prediction(
        "500100", 'A, "B" & C', date(2024, 5, 31), "2024-05-30", 1, 0.03588449954986572,
        "HIGH", 2, "fp32",
    )
]  # fmt: skip


def test_both_files_say_the_same_in_full() -> None:
    (line,) = csv.DictReader(csv_document(ROWS).decode().splitlines())
    document = json.loads(json_document(ROWS, [Skipped("500200", Reason.NO_PRICES)]))
    (row,) = document["predictions"]
    assert line == {name: str(value) for name, value in row.items()}
    assert float(line["probability"]) == ROWS[0].probability
    assert row["nse_symbol"] == 'A, "B" & C'
    assert document["skipped"] == [{"bse_code": "500200", "reason": "NO_PRICES"}]


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KB; what is there fits, more does not."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip("a small file system cannot be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_leaves_what_was_there(full_disk: Path) -> None:
    file = full_disk / "predictions.csv"
    write_file(file, b"yesterday\n")
    with pytest.raises(EveningError, match="No space left on device") as failed:
        write_file(file, b"x" * 200_000)
    assert isinstance(failed.value.__cause__, OSError)
    assert failed.value.__cause__.errno == errno.ENOSPC
    assert file.read_bytes() == b"yesterday\n"
    assert [entry.name for entry in full_disk.iterdir()] == [file.name]


def test_a_place_that_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EveningError, match="cannot be written"):
        write_file(tmp_path / "file" / "predictions.csv", b"x")
    with pytest.raises(EveningError, match="cannot be written"), only_run(tmp_path / "file"):
        pass


def test_one_run_a_folder(tmp_path: Path) -> None:
    with (
        only_run(tmp_path),
        pytest.raises(EveningError, match="Another `tezi predict-all`"),
        only_run(tmp_path),
    ):
        pass
    with only_run(tmp_path):
        pass
