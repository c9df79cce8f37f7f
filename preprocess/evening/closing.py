"""The end of a run: the table agrees, files and report are written, the journal is closed."""

from collections.abc import Sequence

from preprocess.evening.markdown import markdown
from preprocess.evening.outcome import Outcome, Reason, Skipped
from preprocess.evening.outputs import Places, csv_document, json_document, write_file
from preprocess.evening.prediction import Interpreter
from preprocess.evening.report import Report, Stage, TableChange, Timing, Wire, summarise
from preprocess.evening.scoring import Traffic
from preprocess.evening.selection import Selection
from preprocess.evening.timing import ModelTime, Statistics, between
from preprocess.evening.work import Work
from preprocess.repository.names import FEATURES, classifier_name, ensemble_name


def close_run(
    work: Work,
    interpreter: Interpreter,
    places: Places,
    before: Statistics | None,
    after: Statistics | None,
) -> Report:
    """Finish what `work` has scored. `before` and `after` are Triton's counters round the work.

    Raises:
        EveningError: a file cannot be written; the journal stays open, and the next run goes on.
    """
    selection, watch = work.selection, work.watch
    outcomes = [work.journal.outcomes[code] for code in selection.codes]
    predictions = interpreter.predictions(outcomes)
    skipped = [*selection.left_out, *_skipped(outcomes, selection)]
    summary = summarise(predictions, skipped)
    if len(summary.versions) <= 1:
        version = next(iter(summary.versions), work.journal.identity.model_version)
        with watch.step("table"):
            work.table.drop_others(selection, version)
    with watch.step("files"):
        write_file(places.csv, csv_document(predictions))
        write_file(places.json, json_document(predictions, skipped))
    identity, traffic, tally = work.journal.identity, work.scorer.traffic, work.table.tally
    report_json, report_md = places.folder / "report.json", places.folder / "report.md"
    report = Report(
        prediction_date=selection.day,
        variant=identity.variant,
        whole_market=selection.whole,
        started_at=work.journal.started_at,
        stocks=len(selection.codes) + len(selection.left_out),
        resumed=work.resumed,
        rescored=work.rescored,
        thresholds={number: interpreter.threshold(number) for number in summary.versions},
        summary=summary,
        table=TableChange(tally.added, tally.changed, tally.unchanged, work.table.dropped),
        wire=Wire(traffic.requests, traffic.retries, traffic.sent, traffic.received),
        timing=_timing(work, before, after),
        files=[str(path) for path in (places.csv, places.json, report_json, report_md)],
        warnings=work.warnings,
    )
    write_file(report_json, report.to_json())
    write_file(report_md, markdown(report).encode())
    work.journal.close()
    return report


def _skipped(outcomes: Sequence[Outcome], selection: Selection) -> list[Skipped]:
    """The skipped ones; of a stock without any price that is what is said."""
    return [
        Skipped(row.bse_code, Reason.NO_PRICES)
        if row.reason is Reason.SHORT_HISTORY and row.bse_code not in selection.priced
        else row
        for row in outcomes
        if isinstance(row, Skipped)
    ]


def _timing(work: Work, before: Statistics | None, after: Statistics | None) -> Timing:
    watch = work.watch
    identity = work.journal.identity
    wall, seconds = watch.elapsed, watch.seconds
    asked = len(work.selection.codes) - work.resumed + work.rescored
    features, classifier, ensemble = (
        between(before, after, name)
        for name in (
            FEATURES,
            classifier_name(identity.variant, identity.model_version),
            ensemble_name(identity.variant),
        )
    )
    parts = [("stock list", seconds["stock list"]), ("golden row", seconds["golden row"])]
    measured = ensemble is not None and features is not None and classifier is not None
    if features and classifier and ensemble:
        parts += _inside_triton(features, classifier, ensemble, work.scorer.traffic)
    parts += [("table", seconds["table"]), ("files", seconds["files"])]
    return Timing(
        wall_s=wall,
        scoring_s=seconds["scoring"],
        rows_per_second=asked / seconds["scoring"],
        stages=[Stage(name, value, value / wall) for name, value in parts],
        triton_measured=measured,
        rows_of_others=max(0, ensemble.rows - asked) if ensemble else 0,
    )


def _inside_triton(
    features: ModelTime, classifier: ModelTime, ensemble: ModelTime, traffic: Traffic
) -> list[tuple[str, float]]:
    """Triton's own times, and what of our requests' time was not spent in it.

    Triton does not tell our requests from those of others: all count as equally long.
    """
    ours = ensemble.total * traffic.requests / ensemble.requests if ensemble.requests else 0.0
    return [
        ("features, in Triton", features.compute),
        ("classifier, in Triton", classifier.compute),
        ("waiting for a model, in Triton", features.queue + classifier.queue),
        ("transport", max(0.0, traffic.seconds - ours)),
    ]
