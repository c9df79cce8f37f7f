"""The report of a run, as JSON and Markdown."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import msgspec

from gateway.evening.prediction import SENTENCES, Prediction, Reason
from gateway.evening.selection import listed
from preprocess.market.values import Tally, Target

TOP = 20
_CHANGED = "**The market data changed while stocks were scored: run the same command again.**"


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One run. `confidence` and `as_of` count stocks, `skipped` lists codes by reason.

    `dropped` counts rows that were removed from the table because their stock can no longer be
    scored. `seconds` is by step. With `market_changed`, data were written during the scoring.
    """

    prediction_date: date
    variant: str
    model_version: int
    target: Target
    threshold: float
    started_at: datetime
    stocks: int
    scored: int
    positives: int
    announced: int
    confidence: dict[str, int]
    as_of: dict[str, int]
    skipped: dict[Reason, list[str]]
    top: list[Prediction]
    table: Tally
    dropped: int
    seconds: dict[str, float]
    files: list[str]
    market_changed: bool

    @classmethod
    def of(
        cls, predictions: Sequence[Prediction], skipped: Mapping[str, Reason], **about: Any
    ) -> "Report":
        """Counts and sorts the results; `about` are the other fields."""
        confidence = Counter(row.confidence for row in predictions)
        reasons: dict[Reason, list[str]] = {}
        for code in sorted(skipped):
            reasons.setdefault(skipped[code], []).append(code)
        return cls(
            stocks=len(predictions) + len(skipped),
            scored=len(predictions),
            positives=sum(row.predicted_label for row in predictions),
            confidence={word: confidence[word] for word in ("HIGH", "MEDIUM", "LOW")},
            as_of=dict(sorted(Counter(row.as_of for row in predictions).items())),
            skipped=reasons,
            announced=sum(row.announced_on is not None for row in predictions),
            top=list(predictions[:TOP]),
            **about,
        )

    @property
    def failed(self) -> bool:
        """Whether a stock that should have been scored was not."""
        return Reason.INVALID_ANSWER in self.skipped

    def to_json(self) -> bytes:
        """The report as an indented JSON document."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    def to_markdown(self) -> str:
        """The report for people to read, also at a terminal."""
        current = self.as_of.get(self.prediction_date.isoformat(), 0)
        steps = ", ".join(f"{name} {value:.2f}" for name, value in self.seconds.items())
        table = self.table
        lines = [
            f"# Predictions for {self.prediction_date}",
            "",
            f"{self.scored:,} of {self.stocks:,} stocks scored by {self.variant} "
            f"v{self.model_version}, {self.positives:,} positive ({self.target}, threshold "
            f"{self.threshold:.4g}). {self.announced:,} announced results.",
            "",
            *([_CHANGED, ""] if self.market_changed else []),
            f"- Newest price: {current:,} stocks have one of {self.prediction_date}, "
            f"{self.scored - current:,} were scored on older ones.",
            f"- Table: {table.added:,} added, {table.changed:,} changed, {table.unchanged:,} "
            f"unchanged, {self.dropped:,} removed.",
            f"- Started {self.started_at:%Y-%m-%d %H:%M:%S} UTC. Seconds: {steps}.",
            *(
                f"- Skipped {len(codes):,}: {SENTENCES[reason]} ({listed(codes)})."
                for reason, codes in self.skipped.items()
            ),
            "",
            f"The first {len(self.top)}, those that announced results before the others (margin: "
            "log-odds above the threshold's):",
            "",
            *_table(self.top),
        ]
        return "\n".join(lines) + "\n"


def _table(rows: Sequence[Prediction]) -> list[str]:
    """Columns of equal width, so that the Markdown reads well at a terminal."""
    lines = [
        f"| code   | {'symbol':12} | announced  | probability | label   | margin | as of      |"
    ]
    lines.append(
        "|--------|--------------|------------|-------------|---------|--------|------------|"
    )
    for row in rows:
        word = "yes" if row.predicted_label else "no"
        lines.append(
            f"| {row.bse_code} | {row.nse_symbol:12} | {row.announced_on or 'no':10} "
            f"| {row.probability:11.6f} | {word:7} | {row.margin:+6.2f} | {row.as_of} |"
        )
    return lines
