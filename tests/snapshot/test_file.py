"""The snapshot file: whole or refused, and the one before it stays until the next is whole."""

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from preprocess.columns import columns_of
from preprocess.errors import SnapshotError
from preprocess.snapshot.file import checksum, read_snapshot, recorded_checksum, write_snapshot
from preprocess.store.sqlite import SQLiteStore
from tests.snapshot.markets import fill
from tests.store.markets import assert_same_columns


@pytest.fixture
def path(store: SQLiteStore, tmp_path: Path) -> Path:
    """A snapshot of three stocks."""
    fill(store, ["500001", "500002", "500003"])
    write_snapshot(tmp_path / "market.snapshot", store.columns())
    return tmp_path / "market.snapshot"


def test_what_is_written_is_read_back_bit_by_bit(path: Path, store: SQLiteStore) -> None:
    live = store.columns()
    assert_same_columns(read_snapshot(path), live)
    assert recorded_checksum(path) == checksum(live)


def test_an_empty_market_is_a_market(tmp_path: Path) -> None:
    nothing = columns_of([])
    write_snapshot(tmp_path / "market.snapshot", nothing)
    assert_same_columns(read_snapshot(tmp_path / "market.snapshot"), nothing)


def test_columns_are_mapped_and_cannot_be_written(path: Path) -> None:
    close = read_snapshot(path).prices["close"]
    assert not close.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        close[0] = 1.0


def test_a_reader_keeps_what_it_has_mapped(path: Path, store: SQLiteStore) -> None:
    before = read_snapshot(path)
    closes = before.prices["close"].copy()
    fill(store, ["500009"])
    write_snapshot(path, store.columns())
    np.testing.assert_array_equal(before.prices["close"], closes)
    assert len(read_snapshot(path)) == 4


@pytest.mark.parametrize("share", [0.0, 0.001, 0.2, 0.9, 0.999])
def test_a_cut_file_is_refused(path: Path, share: float) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(SnapshotError, match=r"damaged|cannot be read"):
        read_snapshot(path)


def test_a_longer_file_is_refused(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(SnapshotError, match="bytes instead of"):
        read_snapshot(path)


@pytest.mark.parametrize("place", [0, 9, 13, 40, 200])
def test_a_header_with_a_flipped_bit_is_refused(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 4
    path.write_bytes(content)
    with pytest.raises(SnapshotError, match="damaged"):
        read_snapshot(path)


def test_a_header_of_another_commit_is_refused(path: Path) -> None:
    """Whole as JSON, and of the right length: it would stand for data that it does not hold."""
    sequence = read_snapshot(path).mark.sequence
    content = path.read_bytes()
    other = content.replace(b'"sequence": %d,' % sequence, b'"sequence": %d,' % (sequence + 1), 1)
    assert len(other) == len(content)
    assert other != content
    path.write_bytes(other)
    with pytest.raises(SnapshotError, match="header is not what was written"):
        read_snapshot(path)


def test_a_flipped_bit_in_the_data_shows_in_the_checksum(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    assert checksum(read_snapshot(path)) != recorded_checksum(path)


def test_no_file_is_no_snapshot(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match="There is no snapshot"):
        read_snapshot(tmp_path / "absent")


def test_a_folder_in_its_place_is_an_error_that_says_so(store: SQLiteStore, tmp_path: Path) -> None:
    (tmp_path / "market.snapshot").mkdir()
    with pytest.raises(SnapshotError, match="cannot be read"):
        read_snapshot(tmp_path / "market.snapshot")
    with pytest.raises(SnapshotError, match="cannot be written"):
        write_snapshot(tmp_path / "market.snapshot", store.columns())
    assert not list(tmp_path.glob("*.staged"))


def test_a_full_disk_leaves_the_one_before(path: Path, store: SQLiteStore) -> None:
    """The limit on file sizes stands for the end of the disk: the write comes back short."""
    before = path.read_bytes()
    fill(store, [f"6{number:05d}" for number in range(60)])
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from preprocess.errors import SnapshotError\n"
        "from preprocess.snapshot.file import write_snapshot\n"
        "from preprocess.store.sqlite import SQLiteStore\n"
        "columns = SQLiteStore(Path(sys.argv[1])).columns()\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, {resource.RLIM_INFINITY}))\n"
        "try:\n    write_snapshot(Path(sys.argv[2]), columns)\n"
        "except SnapshotError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(store.path), str(path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "cannot be written" in done.stdout
    assert path.read_bytes() == before
    assert not list(path.parent.glob("*.staged"))
