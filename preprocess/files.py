"""Atomic writes (write a temporary file, sync to disk, rename), and file locks."""

import filecmp
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import mkdtemp

from filelock import FileLock


def sync(path: Path) -> None:
    """Sync a file, or a folder's list of names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def atomic_write(path: Path, content: bytes) -> bool:
    """Make `content` the file's content in one step; False if it is unchanged."""
    if path.is_file() and path.read_bytes() == content:
        return False
    atomic_writes({path: content})
    return True


def atomic_writes(files: Mapping[Path, bytes]) -> None:
    """Make each content its file's; where one cannot be written, all files stay as they are."""
    _replace({path: partial(_write, content) for path, content in files.items()})


def atomic_copy(source: Path, target: Path) -> bool:
    """Copy a file with its mode in one step; False if size and time are unchanged."""
    if target.is_file() and filecmp.cmp(source, target, shallow=True):
        return False
    _replace({target: partial(shutil.copy2, source)})
    return True


def _write(content: bytes, path: Path) -> None:
    path.write_bytes(content)


def _replace(files: Mapping[Path, Callable[[Path], object]]) -> None:
    """Make each file beside its place by its function; sync all, then replace all."""
    staged = {path: path.with_name(f".{path.name}.{os.getpid()}") for path in files}
    try:
        for path, fill in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            fill(staged[path])
            sync(staged[path])
        for path, new in staged.items():
            new.replace(path)
    finally:
        for new in staged.values():
            new.unlink(missing_ok=True)
    for folder in {path.parent for path in files}:
        sync(folder)


@contextmanager
def staged_folder(target: Path, *, staging: Path) -> Iterator[Path]:
    """A folder to fill; it becomes `target` at the end of the block, or is removed if that raises.

    `staging` must lie on the target's file system and outside what Triton reads.

    Raises:
        FileExistsError: the target is there already.
    """
    staging.mkdir(parents=True, exist_ok=True)
    folder = Path(mkdtemp(prefix=f"{target.name}-", dir=staging))
    folder.chmod(0o755)  # mkdtemp's 0700 would hide the folder from a server of another user
    try:
        yield folder
        for entry in sorted(folder.rglob("*"), reverse=True):
            sync(entry)
        sync(folder)
        if target.exists():
            raise FileExistsError(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        folder.rename(target)
        sync(target.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def file_lock(path: Path, *, wait_s: float = 0.0) -> FileLock:
    """An exclusive lock over all processes; the system frees it when its process dies.

    Acquiring it, or entering it with `with`, raises filelock.Timeout when another process or
    instance still has it after `wait_s` seconds. The file stays: removing it would race.
    """
    return FileLock(path, timeout=wait_s, fallback_to_soft=False, preserve_lock_file=True)
