"""A folder that is made once in a test run, however many processes the run has."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """The folder `name` of this run; whoever comes first makes it, the others wait for it.

    Where MADE_ONCE names a folder, several runs share what lies there, and who named it removes it.
    """
    base = factory.getbasetemp()
    # A worker's own folder lies in the run's, which is removed at the end.
    run = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = Path(os.environ.get("MADE_ONCE") or run) / name
    done = folder.with_name(f"{name}.done")
    with folder.with_name(f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            folder.mkdir()
            make(folder)
            done.touch()
    return folder
