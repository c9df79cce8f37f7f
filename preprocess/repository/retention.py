"""Which old versions leave: memory once nobody is sent to them, the disk when newer ones came."""

import shutil
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from preprocess.repository.labels import Labels
from preprocess.repository.versions import ModelVersion, version_folder

# Gateways read the labels several times a second; by then none of them sends to what they left.
SETTLED_AFTER = timedelta(seconds=2)


# A version on its way off the disk; one that is found later was left by a kill.
DROPPED = ".dropped-"


def out_of_use(
    versions: Sequence[ModelVersion], before: Labels, after: Labels, *, now: datetime
) -> list[ModelVersion]:
    """The versions that nobody is sent to any more: neither set of labels names them.

    Empty while the labels before are so young that a gateway may follow still older ones. The
    newest version stays: it waits for a label.
    """
    if before.changed_at is not None and now - before.changed_at < SETTLED_AFTER:
        return []
    kept = before.in_use | after.in_use | {version.model_version for version in versions[-1:]}
    return [version for version in versions if version.model_version not in kept]


def surplus(versions: Sequence[ModelVersion], idle: Sequence[ModelVersion], keep: int) -> list[int]:
    """Numbers of the idle versions that are not among the `keep` newest."""
    newest = {version.model_version for version in versions[-keep:]}
    return [v.model_version for v in idle if v.model_version not in newest]


def delete(versions_dir: Path, number: int) -> None:
    """Remove a version from the disk. Renamed first: half a version is never seen."""
    folder = version_folder(versions_dir, number)
    doomed = folder.with_name(f"{DROPPED}{number}")
    shutil.rmtree(doomed, ignore_errors=True)
    folder.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)
