"""The scoring of one run: what its journal lacks, then once more what has changed meanwhile."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing

from preprocess.errors import EveningError
from preprocess.evening.journal import Journal
from preprocess.evening.outcome import Outcome, Scored
from preprocess.evening.scoring import TritonScorer
from preprocess.evening.selection import Selection
from preprocess.evening.table import PredictionTable
from preprocess.evening.timing import Stopwatch
from preprocess.store import Store

# A commit costs a wait for the disk, whatever it holds.
CHUNK_ROWS = 4096

Advance = Callable[[int, int], None]


class Work:
    """Brings the journal and the table to an outcome for every selected stock."""

    def __init__(
        self,
        *,
        store: Store,
        selection: Selection,
        journal: Journal,
        table: PredictionTable,
        scorer: TritonScorer,
        watch: Stopwatch,
        advance: Advance,
    ) -> None:
        self.selection = selection
        self.journal = journal
        self.table = table
        self.scorer = scorer
        self.watch = watch
        self.resumed = len(journal.outcomes)
        self.rescored = 0
        self.warnings: list[str] = []
        self._store = store
        self._advance = advance
        self._version = journal.identity.model_version

    async def run(self) -> None:
        """Score what the journal lacks; `advance` is told after each batch."""
        with self.watch.step("table"):
            await asyncio.to_thread(self.table.require_writable)
            await asyncio.to_thread(self.table.put_again)
        self._tell(0)
        with self.watch.step("scoring"):
            await self._score(
                [code for code in self.selection.codes if code not in self.journal.outcomes]
            )
            await self._settle()

    async def _score(self, codes: Sequence[str]) -> None:
        """Score and keep `codes`, in chunks; what was scored before a failure is kept as well."""
        chunk: list[Outcome] = []
        try:
            async with aclosing(self.scorer.batches(codes, self.selection.day)) as batches:
                async for outcomes in batches:
                    chunk += outcomes
                    self._version = _newest_version(outcomes) or self._version
                    self._tell(len(chunk))
                    if len(chunk) >= CHUNK_ROWS:
                        await self._keep(chunk)
        except EveningError:
            await self._keep(chunk)
            raise
        await self._keep(chunk)

    async def _keep(self, chunk: list[Outcome]) -> None:
        """Store a chunk, and empty it."""
        with self.watch.step("table"):
            await asyncio.to_thread(self.table.put, chunk)
        chunk.clear()

    def _tell(self, waiting: int) -> None:
        total = len(self.selection.codes)
        self._advance(min(len(self.journal.outcomes) + waiting, total), total)

    async def _settle(self) -> None:
        """Score once more what an older version computed or what the market has since changed.

        Once and no more: a market that keeps changing would keep the run for ever.
        """
        mark = self._store.mark()
        again = self._outdated(self.selection.mark.sequence)
        if not again:
            return
        self.rescored = len(again)
        await self._score(sorted(again))
        left = self._outdated(mark.sequence)
        if left:
            self.warnings.append(
                f"{len(left)} stocks changed, or were computed by another model version, while "
                f"they were scored a second time: run again. They are {', '.join(sorted(left))}."
            )

    def _outdated(self, sequence: int) -> set[str]:
        older = {
            row.bse_code
            for row in self.journal.outcomes.values()
            if isinstance(row, Scored) and row.model_version != self._version
        }
        changed = {
            change.bse_code
            for change in self._store.changes_since(sequence)
            if change.first_day <= self.selection.day
        }
        return older | (changed & self.selection.stocks.keys())


def _newest_version(outcomes: Sequence[Outcome]) -> int | None:
    """The version that answered last; None if nothing was scored."""
    versions = (row.model_version for row in reversed(outcomes) if isinstance(row, Scored))
    return next(versions, None)
