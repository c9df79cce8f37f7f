"""Files that are there whole or not at all: write beside, sync to disk, rename."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp


def sync(path: Path) -> None:
    """Have the disk keep a file, or a folder's list of names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path: Path, content: bytes) -> bool:
    """Make `content` the file's content in one step; False if it was that already."""
    if path.is_file() and path.read_bytes() == content:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        staged.write_bytes(content)
        sync(staged)
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)
    sync(path.parent)
    return True


@contextmanager
def staged_folder(target: Path, *, staging: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `target` when the block ends well and vanishes otherwise.

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
