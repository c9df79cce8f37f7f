"""The tasks of `tezi maintain`, which run one after another, and their results."""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from gateway.maintenance.leftovers import leftovers, remove
from preprocess.errors import StoreError
from preprocess.features.derive import label, refresh_derived
from preprocess.settings import Settings
from preprocess.store import Upkeep, open_existing_store

_STOCKS_PER_TRANSACTION = 200

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class MaintenanceTask:
    """One task; `run` returns a few words on what it did."""

    name: str
    run: Callable[[Upkeep, Settings], str]


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What a task did: seconds, bytes of the database before and after, and a few words."""

    name: str
    seconds: float
    bytes_before: int
    bytes_after: int
    failed: bool
    detail: str

    def document(self) -> dict[str, Any]:
        """For a JSON document."""
        return {
            "task": self.name,
            "seconds": round(self.seconds, 3),
            "bytes_before": self.bytes_before,
            "bytes_after": self.bytes_after,
            "failed": self.failed,
            "detail": self.detail,
        }


def _leftovers(_upkeep: Upkeep, settings: Settings) -> str:
    found = leftovers(settings)
    try:
        freed = remove(found)
    except OSError as error:
        raise StoreError(f"Leftovers of killed runs cannot be removed: {error}") from error
    return f"{len(found)} removed, {freed:,} bytes"


def _packs(_upkeep: Upkeep, settings: Settings) -> str:
    """Rebuild packs, labels and monthly features, which may not match rows edited by hand.

    Each transaction covers some hundred stocks, so that an import never waits long.
    """
    with closing(open_existing_store(settings)) as store:
        codes = store.bse_codes()
        with store.transaction() as writer:
            wrong = writer.drop_stray_packs()
        for start in range(0, len(codes), _STOCKS_PER_TRANSACTION):
            with store.transaction() as writer:
                some = codes[start : start + _STOCKS_PER_TRANSACTION]
                wrong |= writer.rebuild_packs(some)
                label(writer, some, circuit_pct=settings.circuit_pct)
                refresh_derived(writer, circuit_pct=settings.circuit_pct)
    return f"packs of {len(codes)} stocks rebuilt, {len(wrong)} differed"


def _changelog(upkeep: Upkeep, _settings: Settings) -> str:
    return f"{upkeep.compact_change_log()} entries merged"


def _samples(upkeep: Upkeep, _settings: Settings) -> str:
    return f"{upkeep.refresh_samples()} samples joined"


def _reindex(upkeep: Upkeep, _settings: Settings) -> str:
    upkeep.create_indexes()
    upkeep.reindex()
    return "indexes rebuilt"


def _vacuum(upkeep: Upkeep, _settings: Settings) -> str:
    return upkeep.vacuum() or "rewritten without gaps"


def _analyze(upkeep: Upkeep, _settings: Settings) -> str:
    upkeep.analyze()
    return "statistics refreshed"


# In this order: tasks that remove rows come before vacuum, which frees their space, and the
# statistics describe the rows that remain.
TASKS = (
    MaintenanceTask("leftovers", _leftovers),
    MaintenanceTask("packs", _packs),
    MaintenanceTask("changelog", _changelog),
    MaintenanceTask("samples", _samples),
    MaintenanceTask("reindex", _reindex),
    MaintenanceTask("vacuum", _vacuum),
    MaintenanceTask("analyze", _analyze),
)


def selected_tasks(only: Iterable[str] | None) -> tuple[MaintenanceTask, ...]:
    """The tasks with these names, in the order in which they run; None: all of them.

    Raises:
        StoreError: there is no task of such a name.
    """
    if only is None:
        return TASKS
    names = set(only)
    known = [task.name for task in TASKS]
    unknown = sorted(names - set(known))
    if unknown or not names:
        raise StoreError(f"There is no task {unknown}; there are: {', '.join(known)}.")
    return tuple(task for task in TASKS if task.name in names)


def maintain(
    upkeep: Upkeep,
    settings: Settings,
    tasks: Sequence[MaintenanceTask] = TASKS,
    progress: Progress = lambda _done, _total: None,
) -> list[TaskResult]:
    """Run the tasks, while no other maintenance of this database can run.

    The tasks do not depend on each other: when one fails, the next one runs all the same.

    Raises:
        StoreError: another maintenance is running.
    """
    results = []
    with upkeep.alone():
        progress(0, len(tasks))
        for number, task in enumerate(tasks, start=1):
            results.append(_result(upkeep, settings, task))
            progress(number, len(tasks))
    return results


def _result(upkeep: Upkeep, settings: Settings, task: MaintenanceTask) -> TaskResult:
    before = upkeep.size_bytes()
    began = time.monotonic()
    failed = False
    try:
        detail = task.run(upkeep, settings)
    except StoreError as error:
        failed, detail = True, str(error)
    seconds = time.monotonic() - began
    return TaskResult(task.name, seconds, before, upkeep.size_bytes(), failed, detail)
