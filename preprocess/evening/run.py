"""One evening run from the stock list to the report."""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from preprocess.calendar import exchange_today
from preprocess.evening.closing import close_run
from preprocess.evening.journal import Identity, Journal
from preprocess.evening.outputs import Places, only_run
from preprocess.evening.prediction import Interpreter
from preprocess.evening.report import Report
from preprocess.evening.scoring import PATIENCE, Patience, TritonScorer
from preprocess.evening.selection import Wish, select
from preprocess.evening.served import served_version
from preprocess.evening.table import PredictionTable
from preprocess.evening.timing import Stopwatch, read_statistics
from preprocess.evening.work import Advance, Work
from preprocess.repository.names import (
    DEFAULT_VARIANT,
    FEATURES,
    Variant,
    classifier_name,
    ensemble_name,
)
from preprocess.settings import Settings
from preprocess.store import Store


@dataclass(frozen=True, slots=True)
class Order:
    """A run as it was asked for; `csv` and `json` replace the usual places of these files."""

    wish: Wish = field(default_factory=Wish)
    variant: Variant = DEFAULT_VARIANT
    csv: Path | None = None
    json: Path | None = None


async def run_evening(
    settings: Settings,
    store: Store,
    order: Order,
    *,
    now: datetime,
    advance: Advance,
    patience: Patience = PATIENCE,
) -> Report:
    """Score, store, write and report. `advance` is called with (stocks done, stocks in all).

    A run that was broken off is gone on with; one that was not begins anew, and leaves a table
    and files of the same content.

    Raises:
        EveningError: the wish cannot be met, another run is at work, Triton gives no answer, or a
            file cannot be written.
        ModelError, ServerError: the variant is not published or not served.
        StoreError: the database is empty, busy, read-only or full.
    """
    watch = Stopwatch()
    with watch.step("stock list"):
        selection = select(store, order.wish, today=exchange_today(now))
    places = Places.of(settings, selection, csv=order.csv, json=order.json)
    with only_run(places.folder):
        with watch.step("golden row"):
            version = await served_version(settings, order.variant)
        identity = Identity(
            prediction_date=selection.day,
            variant=order.variant,
            model_version=version,
            mark=selection.mark,
            stocks=selection.fingerprint,
        )
        journal = Journal.open(places.folder, identity, now=now)
        interpreter = Interpreter(
            settings.versions_dir, order.variant, selection.day, selection.stocks
        )
        table = PredictionTable(store, interpreter, journal)
        models = (
            FEATURES,
            classifier_name(order.variant, version),
            ensemble_name(order.variant),
        )
        address = settings.triton_grpc_address
        async with TritonScorer(address, order.variant, patience=patience) as scorer:
            work = Work(
                store=store,
                selection=selection,
                journal=journal,
                table=table,
                scorer=scorer,
                watch=watch,
                advance=advance,
            )
            before = await read_statistics(address, models)
            await work.run()
            after = await read_statistics(address, models)
        return close_run(work, interpreter, places, before, after)
