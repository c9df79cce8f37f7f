"""The report as Markdown."""

from collections.abc import Sequence

from preprocess.evening.report import Report, skipped_by_reason


def markdown(report: Report) -> str:
    """report.md: every figure, the top, every skipped stock and every old price."""
    summary, timing = report.summary, report.timing
    lines = [
        f"# Predictions for {report.prediction_date}",
        "",
        f"{summary.scored:,} of {report.stocks:,} stocks scored by {report.variant} "
        f"{report.versions}, {summary.positives:,} positive (threshold {thresholds(report)}). "
        f"Started {report.started_at:%Y-%m-%d %H:%M:%S} UTC, {timing.wall_s:.2f} s.",
        "",
        *(f"**{warning}**\n" for warning in report.warnings),
        *_table(("confidence", "stocks"), [(k, f"{v:,}") for k, v in summary.confidence.items()]),
        f"## Top {len(summary.top)}",
        "",
        *_table(
            ("code", "symbol", "probability", "circuit?", "confidence", "as of"),
            [
                (
                    row.bse_code,
                    row.nse_symbol,
                    f"{row.probability:.6f}",
                    "yes" if row.predicted_label else "no",
                    row.confidence,
                    row.as_of,
                )
                for row in summary.top
            ],
        ),
        "## Time",
        "",
        *_table(
            ("part", "seconds", "share"),
            [(s.name, f"{s.seconds:.3f}", f"{s.share:.1%}") for s in timing.stages],
        ),
        f"{timing.rows_per_second:,.0f} rows a second while scoring. {share_note(report)}",
        "",
        f"## Skipped: {len(summary.skipped):,}",
        "",
        *_table(
            ("reason", "stocks"),
            [(f"{reason}: {reason.sentence}", n) for reason, n in skipped_by_reason(summary)],
        ),
        *_table(("code", "reason"), [(row.bse_code, row.reason) for row in summary.skipped]),
        f"## Newest price before {report.prediction_date}: {len(summary.old_prices):,}",
        "",
        *_table(("code", "as of"), [(row.bse_code, row.as_of) for row in summary.old_prices]),
    ]
    return "\n".join(lines).rstrip() + "\n"


def thresholds(report: Report) -> str:
    """The thresholds of the versions that computed."""
    return ", ".join(f"{value:.4g}" for value in report.thresholds.values()) or "none"


def share_note(report: Report) -> str:
    """What the shares are shares of, and what blurs them."""
    note = (
        "Shares are of the wall-clock time; parts inside Triton and on the wire overlap, because "
        "several batches are under way at once."
    )
    if not report.timing.triton_measured:
        return f"{note} Triton gave no statistics."
    if report.timing.rows_of_others:
        others = f"{report.timing.rows_of_others:,}"
        note += f" Triton's times include {others} rows that other clients asked for meanwhile."
    return note


def _table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    if not rows:
        return []
    return [
        f"| {' | '.join(header)} |",
        f"|{'---|' * len(header)}",
        *(f"| {' | '.join(map(str, row))} |" for row in rows),
        "",
    ]
