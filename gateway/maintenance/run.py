"""The chores of a maintenance, one after the other, and what each of them did."""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from gateway.maintenance.leftovers import leftovers, remove
from preprocess.errors import StoreError
from preprocess.features.derive import refresh_derived
from preprocess.settings import Settings
from preprocess.store import Upkeep, open_store

_STOCKS_AT_ONCE = 200

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Chore:
    """One thing to do; `run` answers in a few words what came of it."""

    name: str
    run: Callable[[Upkeep, Settings], str]


@dataclass(frozen=True, slots=True)
class Done:
    """What a chore did: seconds, bytes of the database before and after, and in words."""

    name: str
    seconds: float
    bytes_before: int
    bytes_after: int
    failed: bool
    detail: str

    def document(self) -> dict[str, Any]:
        """The same for JSON."""
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
        raise StoreError(f"Something that a killed run left cannot be removed: {error}") from error
    return f"{len(found)} removed, {freed:,} bytes"


def _packs(_upkeep: Upkeep, settings: Settings) -> str:
    """Rows that were edited by hand leave packs, labels and stamps behind: all are made anew.

    Some hundred stocks at a time, so that an import waits for no more than those.
    """
    with closing(open_store(settings, write=True)) as store:
        codes = store.bse_codes()
        with store.transaction() as writer:
            wrong = writer.drop_stray_packs()
        for start in range(0, len(codes), _STOCKS_AT_ONCE):
            with store.transaction() as writer:
                wrong |= writer.rebuild_packs(codes[start : start + _STOCKS_AT_ONCE])
                refresh_derived(writer, circuit_pct=settings.circuit_pct)
    return f"packs of {len(codes)} stocks rebuilt, {len(wrong)} differed"


def _changelog(upkeep: Upkeep, _settings: Settings) -> str:
    return f"{upkeep.compact_change_log()} entries merged"


def _samples(upkeep: Upkeep, _settings: Settings) -> str:
    return f"{upkeep.refresh_samples()} samples joined"


def _reindex(upkeep: Upkeep, _settings: Settings) -> str:
    upkeep.create_indexes()
    upkeep.reindex()
    return "indexes built anew"


def _vacuum(upkeep: Upkeep, _settings: Settings) -> str:
    return upkeep.vacuum() or "written anew without gaps"


def _analyze(upkeep: Upkeep, _settings: Settings) -> str:
    upkeep.analyze()
    return "statistics counted"


# In this order: what removes rows comes before what gives their room back, and statistics are
# counted of what is left.
CHORES = (
    Chore("leftovers", _leftovers),
    Chore("packs", _packs),
    Chore("changelog", _changelog),
    Chore("samples", _samples),
    Chore("reindex", _reindex),
    Chore("vacuum", _vacuum),
    Chore("analyze", _analyze),
)


def chosen(only: Iterable[str] | None) -> tuple[Chore, ...]:
    """The chores of those names, in their own order; all of them for None.

    Raises:
        StoreError: a name is that of no chore.
    """
    if only is None:
        return CHORES
    names = set(only)
    known = [chore.name for chore in CHORES]
    unknown = sorted(names - set(known))
    if unknown or not names:
        raise StoreError(f"There is no task {unknown}; there are: {', '.join(known)}.")
    return tuple(chore for chore in CHORES if chore.name in names)


def maintain(
    upkeep: Upkeep,
    settings: Settings,
    chores: Sequence[Chore] = CHORES,
    progress: Progress = lambda _done, _total: None,
) -> list[Done]:
    """Do the chores while no other maintenance of this database can.

    One that fails is reported and the next one is tried: they do not rest on each other.

    Raises:
        StoreError: another maintenance is at work.
    """
    done = []
    with upkeep.alone():
        progress(0, len(chores))
        for number, chore in enumerate(chores, start=1):
            done.append(_done(upkeep, settings, chore))
            progress(number, len(chores))
    return done


def _done(upkeep: Upkeep, settings: Settings, chore: Chore) -> Done:
    before = upkeep.size_bytes()
    began = time.monotonic()
    failed = False
    try:
        detail = chore.run(upkeep, settings)
    except StoreError as error:
        failed, detail = True, str(error)
    seconds = time.monotonic() - began
    return Done(chore.name, seconds, before, upkeep.size_bytes(), failed, detail)
