"""The report of an evening run at a terminal."""

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from preprocess.evening.markdown import share_note, thresholds
from preprocess.evening.report import Report, skipped_by_reason

_LISTED = 10


def show(report: Report) -> None:
    """Print it: the top, the counts, the times, what was skipped."""
    console = Console()
    summary = report.summary
    console.print(_top(report))
    console.print(
        f"{summary.scored:,} of {report.stocks:,} stocks scored by {report.variant} "
        f"{report.versions}; {summary.positives:,} positive (threshold {thresholds(report)}). "
        + ", ".join(f"{word} {count:,}" for word, count in summary.confidence.items())
        + "."
    )
    if report.resumed:
        console.print(f"{report.resumed:,} of them come from a run that was broken off.")
    if report.rescored:
        console.print(f"{report.rescored:,} were scored twice: the model or the market changed.")
    for reason, count in skipped_by_reason(summary):
        console.print(f"Skipped {count:,}: {reason.sentence} ({_some(report, reason)}).")
    if summary.old_prices:
        console.print(
            f"{len(summary.old_prices):,} have no price on {report.prediction_date}; theirs are "
            "older (as of, in the report)."
        )
    console.print(_times(report))
    console.print(
        f"{report.timing.wall_s:.2f} s; {report.timing.rows_per_second:,.0f} rows a second while "
        f"scoring. {share_note(report)}"
    )
    for warning in report.warnings:
        console.print(f"[yellow]{warning}[/yellow]")
    for file in report.files:
        click.echo(file)


def _top(report: Report) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.title = f"Upper circuit on the trading day after {report.prediction_date}?"
    for heading in ("code", "symbol", "as of", "probability", "circuit?", "confidence"):
        table.add_column(heading, no_wrap=True)
    for row in report.summary.top:
        table.add_row(
            row.bse_code,
            row.nse_symbol,
            row.as_of,
            f"{row.probability:.6f}",
            "yes" if row.predicted_label else "no",
            row.confidence,
        )
    return table


def _times(report: Report) -> Table:
    table = Table("part", box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("seconds", "share"):
        table.add_column(heading, justify="right")
    for stage in report.timing.stages:
        table.add_row(stage.name, f"{stage.seconds:.3f}", f"{stage.share:.1%}")
    return table


def _some(report: Report, reason: object) -> str:
    codes = [row.bse_code for row in report.summary.skipped if row.reason == reason]
    return ", ".join(codes[:_LISTED]) + (", ..." if len(codes) > _LISTED else "")
