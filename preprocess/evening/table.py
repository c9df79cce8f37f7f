"""Outcomes on their way into the table daily_predictions, a chunk at a time."""

from collections.abc import Sequence

from preprocess.evening.journal import Journal
from preprocess.evening.outcome import Outcome
from preprocess.evening.prediction import Interpreter
from preprocess.evening.selection import Selection
from preprocess.market import Tally
from preprocess.store import Store


class PredictionTable:
    """The rows of one run. Calls block on the disk; not for several threads at once."""

    def __init__(self, store: Store, interpreter: Interpreter, journal: Journal) -> None:
        self.tally = Tally()
        self.dropped = 0
        self._store = store
        self._interpreter = interpreter
        self._journal = journal

    def require_writable(self) -> None:
        """Find out before the work, and not after it, that nothing can be written.

        Raises:
            StoreError: another process writes for too long, or the database is read-only.
        """
        with self._store.transaction():
            pass

    def put(self, outcomes: Sequence[Outcome]) -> None:
        """Store rows in one transaction; then note them, so that they are noted only if stored."""
        if outcomes:
            self._store_rows(outcomes)
            self._journal.add(outcomes)

    def put_again(self) -> None:
        """Store what the journal holds from before, in case the table was changed since."""
        self._store_rows(list(self._journal.outcomes.values()))

    def drop_others(self, selection: Selection, version: int) -> None:
        """Take out what an earlier run of the same day and version said of unscored stocks."""
        stored = self._store.predictions(selection.day, version)
        scored = {
            row.bse_code for row in self._interpreter.predictions(self._journal.outcomes.values())
        }
        gone = [
            row.bse_code
            for row in stored
            if row.bse_code not in scored and (selection.whole or row.bse_code in selection.stocks)
        ]
        if gone:
            with self._store.transaction() as writer:
                self.dropped += writer.drop_predictions(selection.day, version, gone)

    def _store_rows(self, outcomes: Sequence[Outcome]) -> None:
        rows = [
            prediction.stored(self._journal.started_at)
            for prediction in self._interpreter.predictions(outcomes)
        ]
        if rows:
            with self._store.transaction() as writer:
                self.tally += writer.put_predictions(rows)
