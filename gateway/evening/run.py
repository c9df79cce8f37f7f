"""An evening run: scores the selected stocks, stores predictions, writes files and a report."""

import asyncio
import csv as csv_lines
import io
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from datetime import datetime
from pathlib import Path

import msgspec

from gateway.evening.prediction import Prediction, Reason, judge
from gateway.evening.report import Report
from gateway.evening.scoring import Advance, EnsembleRow, score
from gateway.evening.selection import Selection
from preprocess.errors import EveningError, ModelError, ServerError
from preprocess.features.stamps import require_sector_codes
from preprocess.files import atomic_write
from preprocess.market.announcements import EarningsCalendar
from preprocess.models.names import Variant, ensemble_name
from preprocess.repository.golden_check import GoldenCheck
from preprocess.repository.model_server import server_is_live
from preprocess.repository.serving import served_variants
from preprocess.repository.stable import stable_version
from preprocess.repository.versions import ModelVersion
from preprocess.settings import Settings
from preprocess.store import Store

_GOLDEN_TIMEOUT_S = 10.0


def run_evening(
    settings: Settings,
    store: Store,
    selection: Selection,
    *,
    variant: Variant,
    now: datetime,
    advance: Advance,
    triton: AbstractAsyncContextManager[None],
    csv: Path | None = None,
    json: Path | None = None,
) -> Report:
    """Score, store, write and report. Triton is used within the context of `triton`.

    Files go to reports/predictions/DATE/ of the data folder, or to `sample/` in it if only some
    stocks are selected; `csv` and `json` are other paths for the predictions. Nothing is written
    before every stock is scored. A repeated run leaves the table and the files unchanged.

    Raises:
        EveningError: Triton does not answer, the user stops the run, or a file cannot be written.
        ModelError, ServerError: the variant is not published or not served, or the version was
            trained on a database with other sector codes.
        StoreError: the database is busy, read-only or full.
    """
    seconds: dict[str, float] = {}
    version = _version(settings, variant)
    require_sector_codes(
        version.sector_codes, store.sector_codes(), owner=f"Version {version.model_version}"
    )
    mark = store.mark()
    codes = list(selection.stocks)

    async def scored() -> list[EnsembleRow]:
        async with triton:
            with _timed(seconds, "golden row"):
                await _check_golden(settings, version, variant)
            with _timed(seconds, "scoring"):
                return await score(
                    settings.triton_grpc_address,
                    ensemble_name(variant, version.model_version),
                    codes,
                    selection.day,
                    version=version.model_version,
                    advance=advance,
                )

    try:
        rows = asyncio.run(scored())
    except KeyboardInterrupt:
        raise EveningError("Stopped: nothing was written.") from None
    predictions, skipped = judge(
        rows,
        selection.stocks,
        selection.day,
        calendar=EarningsCalendar(store.announcements(), selection.sessions),
        oldest=selection.oldest,
        version=version,
        variant=variant,
    )
    with _timed(seconds, "table"), store.transaction() as writer:
        table = writer.put_predictions([row.stored(now) for row in predictions])
        # Rows of an earlier run for stocks that no longer have a prediction.
        gone = [*selection.inactive, *skipped]
        dropped = writer.drop_predictions(selection.day, version.model_version, gone)
    folder = settings.home / "reports" / "predictions" / selection.day.isoformat()
    if not selection.whole:
        folder /= "sample"
        skipped |= dict.fromkeys(selection.inactive, Reason.NOT_ACTIVE)
    names = (csv or "predictions.csv", json or "predictions.json", "report.json", "report.md")
    csv, json, report_json, report_md = (folder / name for name in names)
    with _timed(seconds, "files"):
        _write(csv, csv_document(predictions))
        _write(json, json_document(predictions, skipped))
    report = Report.of(
        predictions,
        skipped,
        prediction_date=selection.day,
        variant=variant,
        model_version=version.model_version,
        target=version.label.name,
        threshold=version.threshold,
        started_at=now,
        table=table,
        dropped=dropped,
        seconds=seconds,
        files=[str(path) for path in (csv, json, report_json, report_md)],
        market_changed=store.mark() != mark,
    )
    _write(report_json, report.to_json())
    _write(report_md, report.to_markdown().encode())
    return report


def _version(settings: Settings, variant: Variant) -> ModelVersion:
    """The stable version, which must be served with the variant."""
    stable = stable_version(settings.versions_dir)
    served = served_variants(settings, stable)
    if variant not in served:
        raise ModelError(
            f"Version {stable.model_version}, the stable one, has no {variant} variant that this "
            f"machine can serve: --variant chooses another ({', '.join(served)}). With a GPU "
            "elsewhere, TEZI_GPU=on says so."
        )
    return stable


async def _check_golden(settings: Settings, version: ModelVersion, variant: Variant) -> None:
    address, number = settings.triton_grpc_address, version.model_version
    if not await server_is_live(settings):
        raise ServerError(
            f"No Triton answers at {address}. Start it with `tezi up`, or use --start to run it "
            "for this command alone."
        )
    try:
        await GoldenCheck(settings, version, variant=variant, version=number)(_GOLDEN_TIMEOUT_S)
    except (ServerError, TimeoutError) as error:
        name = ensemble_name(variant, number)
        raise ServerError(f"{name} of Triton at {address} cannot be used: {error}") from None


def csv_document(predictions: Sequence[Prediction]) -> bytes:
    """A header, and one line per prediction; probabilities in full precision."""
    text = io.StringIO()
    writer = csv_lines.writer(text, lineterminator="\n")
    writer.writerow(Prediction.__struct_fields__)
    writer.writerows(map(msgspec.structs.astuple, predictions))
    return text.getvalue().encode()


def json_document(predictions: Sequence[Prediction], skipped: Mapping[str, Reason]) -> bytes:
    """{"predictions": [...], "skipped": [{"bse_code", "reason"}]}."""
    left_out = [{"bse_code": code, "reason": reason} for code, reason in skipped.items()]
    return msgspec.json.encode({"predictions": predictions, "skipped": left_out}) + b"\n"


def _write(path: Path, content: bytes) -> None:
    try:
        atomic_write(path, content)
    except OSError as error:
        raise EveningError(
            f"{path} cannot be written: {error.strerror}. The database has the "
            "predictions; run the same command again when the file can be written."
        ) from error


@contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    began = time.perf_counter()
    try:
        yield
    finally:
        seconds[step] = time.perf_counter() - began
