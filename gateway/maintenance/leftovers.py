"""What runs that were killed have left behind in the data folder."""

import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from preprocess.repository.versions import DROPPED
from preprocess.settings import Settings
from preprocess.training.folder import STAGING_FOLDER

# A process may run where this one cannot see it (another container): what was written to lately
# is left alone, whoever wrote it. The longest of them, a training, writes every few minutes.
LEAST_AGE_S = 3_600.0

# The names of files that become whole by a rename: preprocess.files and others write
# `.NAME.PID`.
_OF_PROCESS = re.compile(r"\..+\.(?P<pid>[0-9]+)(?:-journal|-wal|-shm)?")


@dataclass(frozen=True, slots=True)
class Leftover:
    """A file or folder that nobody will finish."""

    path: Path
    size_bytes: int


def leftovers(
    settings: Settings, *, least_age_s: float = LEAST_AGE_S, now: float | None = None
) -> list[Leftover]:
    """What killed trainings and publications have left, by path."""
    latest = (time.time() if now is None else now) - least_age_s
    found = []
    for path in sorted(set(_suspects(settings))):
        entries = [path, *path.rglob("*")] if path.is_dir() and not path.is_symlink() else [path]
        try:
            states = [entry.lstat() for entry in entries]
        except FileNotFoundError:
            continue  # it is being finished or removed right now
        if max(state.st_mtime for state in states) <= latest:
            found.append(Leftover(path, sum(state.st_size for state in states)))
    return found


def remove(found: list[Leftover]) -> int:
    """Remove them; bytes that were freed.

    Raises:
        OSError: one cannot be removed.
    """
    freed = 0
    for leftover in found:
        if leftover.path.is_dir() and not leftover.path.is_symlink():
            shutil.rmtree(leftover.path)
        else:
            leftover.path.unlink(missing_ok=True)
        freed += leftover.size_bytes
    return freed


def _suspects(settings: Settings) -> Iterator[Path]:
    for folder in (settings.models_dir / STAGING_FOLDER, settings.home / "staging"):
        if folder.is_dir():
            yield from folder.iterdir()
    if settings.versions_dir.is_dir():
        yield from settings.versions_dir.glob(f"{DROPPED}*")
    places = [settings.home, settings.versions_dir]
    if settings.repository_dir.is_dir():
        places += [settings.repository_dir, *settings.repository_dir.rglob("*")]
    for place in places:
        if not place.is_dir() or place.is_symlink():
            continue
        for path in place.iterdir():
            match = _OF_PROCESS.fullmatch(path.name)
            if match and not _is_running(int(match["pid"])):
                yield path


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
