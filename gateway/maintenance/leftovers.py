"""Files and folders that killed runs have left in the data folder."""

import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from preprocess.repository.versions import DROPPED
from preprocess.settings import Settings
from preprocess.training.folder import STAGING_FOLDER

# Whatever was written to within the last hour may belong to a process that still runs, perhaps in
# another container. The longest of them, a training, writes every few minutes.
LEAST_AGE_S = 3_600.0

# Files that are written under a temporary name, `.NAME.PID`, and renamed once they are complete.
_TEMPORARY = re.compile(r"\..+\.[0-9]+(?:-journal|-wal|-shm)?")


@dataclass(frozen=True, slots=True)
class Leftover:
    """A file or folder that no process will complete."""

    path: Path
    size_bytes: int


def leftovers(settings: Settings, *, now: float | None = None) -> list[Leftover]:
    """What killed trainings, publications and copies have left, sorted by path."""
    latest = (time.time() if now is None else now) - LEAST_AGE_S
    found = []
    for path in sorted(set(_candidates(settings))):
        entries = [path, *path.rglob("*")] if path.is_dir() and not path.is_symlink() else [path]
        try:
            states = [entry.lstat() for entry in entries]
        except FileNotFoundError:
            continue  # it is being completed or removed right now
        if max(state.st_mtime for state in states) <= latest:
            found.append(Leftover(path, sum(state.st_size for state in states)))
    return found


def remove(found: list[Leftover]) -> int:
    """Remove them; returns the number of bytes freed.

    Raises:
        OSError: one cannot be removed.
    """
    for leftover in found:
        if leftover.path.is_dir() and not leftover.path.is_symlink():
            shutil.rmtree(leftover.path)
        else:
            leftover.path.unlink(missing_ok=True)
    return sum(leftover.size_bytes for leftover in found)


def _candidates(settings: Settings) -> Iterator[Path]:
    staging = [folder / STAGING_FOLDER for folder in (settings.models_dir, settings.versions_dir)]
    for folder in (*staging, settings.home / "staging"):
        if folder.is_dir():
            yield from folder.iterdir()
    yield from settings.versions_dir.glob(f"{DROPPED}*")
    repository = settings.repository_dir
    for folder in (settings.home, settings.versions_dir, repository, *repository.rglob("*")):
        if folder.is_dir() and not folder.is_symlink():
            yield from (path for path in folder.iterdir() if _TEMPORARY.fullmatch(path.name))
