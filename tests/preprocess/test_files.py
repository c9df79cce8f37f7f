"""Atomic writes, and locks that one process at a time holds."""

import subprocess
import sys
from pathlib import Path

import pytest
from filelock import Timeout

from preprocess.files import atomic_copy, atomic_write, file_lock, staged_folder

_HOLD = """
import sys
from pathlib import Path
from preprocess.files import file_lock
with file_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_file_is_replaced_when_its_content_is_another(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file"
    assert atomic_write(target, b"one")
    assert not atomic_write(target, b"one")
    assert atomic_write(target, b"two")
    assert target.read_bytes() == b"two"
    assert [path.name for path in target.parent.iterdir()] == ["file"]


def test_a_copy_keeps_the_mode(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "deep" / "target"
    source.write_bytes(b"one")
    source.chmod(0o600)
    assert atomic_copy(source, target)
    assert not atomic_copy(source, target)
    assert target.stat().st_mode & 0o777 == 0o600
    source.write_bytes(b"another")
    assert atomic_copy(source, target)
    assert target.read_bytes() == b"another"


def test_a_folder_that_is_not_finished_vanishes(tmp_path: Path) -> None:
    def stage(target: Path, error: Exception | None = None) -> None:
        with staged_folder(target, staging=tmp_path / "staging") as folder:
            (folder / "file").write_text("x")
            if error is not None:
                raise error

    with pytest.raises(KeyError):
        stage(tmp_path / "new", KeyError("on purpose"))
    assert not (tmp_path / "new").exists()
    stage(tmp_path / "new")
    with pytest.raises(FileExistsError):
        stage(tmp_path / "new")
    assert list((tmp_path / "staging").iterdir()) == []
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file"]


def test_a_lock_is_free_again_when_its_process_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(Timeout), file_lock(path):
            pass
        holder.kill()
        with file_lock(path, wait_s=60.0):
            pass
