"""What a run came to, as one value that is printed and written as JSON and Markdown."""

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime

import msgspec

from preprocess.evening.outcome import Reason, Skipped
from preprocess.evening.prediction import Prediction

TOP = 20


class Stage(msgspec.Struct, frozen=True):
    """Seconds that one part took, and their share of the run's wall-clock time (a fraction)."""

    name: str
    seconds: float
    share: float


class Timing(msgspec.Struct, frozen=True):
    """Stages of Triton and of the wire overlap: several batches are under way at once."""

    wall_s: float
    scoring_s: float
    rows_per_second: float
    stages: list[Stage]
    triton_measured: bool
    rows_of_others: int


class Wire(msgspec.Struct, frozen=True):
    """What went between this run and Triton; sizes in bytes."""

    requests: int
    retries: int
    sent: int
    received: int


class TableChange(msgspec.Struct, frozen=True):
    """What the run did to rows of daily_predictions."""

    added: int
    changed: int
    unchanged: int
    dropped: int


class SkippedStock(msgspec.Struct, frozen=True):
    """A stock without a prediction, and why."""

    bse_code: str
    reason: Reason
    explanation: str


class OldPrice(msgspec.Struct, frozen=True):
    """A stock whose newest price is older than the run's date."""

    bse_code: str
    as_of: str


class Summary(msgspec.Struct, frozen=True):
    """What the predictions say."""

    scored: int
    positives: int
    confidence: dict[str, int]
    versions: dict[int, int]
    top: list[Prediction]
    old_prices: list[OldPrice]
    skipped: list[SkippedStock]


class Report(msgspec.Struct, frozen=True):
    """One run. `thresholds` are by version; `resumed` rows came from a run that was broken off.

    `rescored` rows were scored twice, because another version took over or the market changed.
    """

    prediction_date: date
    variant: str
    whole_market: bool
    started_at: datetime
    stocks: int
    resumed: int
    rescored: int
    thresholds: dict[int, float]
    summary: Summary
    table: TableChange
    wire: Wire
    timing: Timing
    files: list[str]
    warnings: list[str]

    @property
    def failed(self) -> bool:
        """Whether a stock that should have been scored was not."""
        return any(row.reason.is_failure for row in self.summary.skipped)

    @property
    def versions(self) -> str:
        """The versions that computed, as text."""
        return " and ".join(f"v{number}" for number in sorted(self.summary.versions)) or "none"

    def to_json(self) -> bytes:
        """The report as an indented JSON document."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


def summarise(predictions: Sequence[Prediction], skipped: Sequence[Skipped]) -> Summary:
    """Count and sort what came out."""
    counts = Counter(row.confidence for row in predictions)
    top = sorted(predictions, key=lambda row: (-row.probability, row.bse_code))[:TOP]
    return Summary(
        scored=len(predictions),
        positives=sum(row.predicted_label for row in predictions),
        confidence={word: counts[word] for word in ("HIGH", "MEDIUM", "LOW")},
        versions=dict(sorted(Counter(row.model_version for row in predictions).items())),
        top=top,
        old_prices=[
            OldPrice(row.bse_code, row.as_of)
            for row in predictions
            if row.as_of < row.prediction_date.isoformat()
        ],
        skipped=[
            SkippedStock(row.bse_code, row.reason, row.reason.sentence)
            for row in sorted(skipped, key=lambda row: row.bse_code)
        ],
    )


def skipped_by_reason(summary: Summary) -> list[tuple[Reason, int]]:
    """Reasons with the number of stocks, the most frequent first."""
    return Counter(row.reason for row in summary.skipped).most_common()
