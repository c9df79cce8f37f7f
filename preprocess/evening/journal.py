"""How far a run has come, in one file that is replaced whole: what a killed run is resumed from."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

import msgspec

from preprocess.evening.outcome import Outcome, Scored
from preprocess.evening.outputs import write_file
from preprocess.market import Mark

JOURNAL_FILE = "journal.json"


class Identity(msgspec.Struct, frozen=True):
    """What outcomes depend on: those of a run with another identity are worth nothing here."""

    prediction_date: date
    variant: str
    model_version: int
    mark: Mark
    stocks: str


class Page(msgspec.Struct, frozen=True):
    """The content of the journal. `outcomes` is empty once the run is `done`."""

    identity: Identity
    started_at: datetime
    done: bool
    outcomes: list[Outcome]


@dataclass
class Journal:
    """The journal of one run as it goes on."""

    path: Path
    identity: Identity
    started_at: datetime
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: Path, identity: Identity, *, now: datetime) -> "Journal":
        """The journal of the run in `folder` that was broken off, or a new one.

        It is resumed only if it has the same identity and was not done; what another version
        computed meanwhile, or what failed, is to be scored again.
        """
        path = folder / JOURNAL_FILE
        page = _read(path)
        if page is None or page.done or page.identity != identity:
            return cls(path, identity, now)
        kept = {row.bse_code: row for row in page.outcomes if _is_final(row, identity)}
        return cls(path, identity, page.started_at, kept)

    def add(self, outcomes: Iterable[Outcome]) -> None:
        """Note outcomes whose rows are in the table.

        Raises:
            EveningError: the journal cannot be written.
        """
        self.outcomes |= {row.bse_code: row for row in outcomes}
        self._write(done=False)

    def close(self) -> None:
        """Note that the run is done."""
        self._write(done=True)

    def _write(self, *, done: bool) -> None:
        outcomes = [] if done else list(self.outcomes.values())
        page = Page(self.identity, self.started_at, done, outcomes)
        write_file(self.path, msgspec.json.encode(page))


def _is_final(outcome: Outcome, identity: Identity) -> bool:
    if isinstance(outcome, Scored):
        return outcome.model_version == identity.model_version
    return not outcome.reason.is_failure


def _read(path: Path) -> Page | None:
    """The page; None when there is none, or one that this version of Tezi cannot read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Page)
    except (OSError, msgspec.MsgspecError):
        return None
