"""Turns Triton's results into predictions, or reasons why a stock has none."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from enum import StrEnum

import msgspec

from gateway.api.confidence import Confidence, confidence, margin
from gateway.evening.scoring import EnsembleRow
from preprocess.errors import EveningError
from preprocess.features.row import MINIMUM_ROWS, Status
from preprocess.market.announcements import EarningsCalendar
from preprocess.market.values import UNKNOWN_SYMBOL, DailyPrediction, Stock, Target
from preprocess.repository.versions import ModelVersion


class Reason(StrEnum):
    """Why a stock has no prediction."""

    SHORT_HISTORY = "SHORT_HISTORY"
    STALE_PRICE = "STALE_PRICE"
    NOT_ACTIVE = "NOT_ACTIVE"
    UNKNOWN_STOCK = "UNKNOWN_STOCK"
    INVALID_ANSWER = "INVALID_ANSWER"  # the only one that is the service's fault


SENTENCES = {
    Reason.SHORT_HISTORY: f"fewer than {MINIMUM_ROWS} price rows on or before the date",
    Reason.STALE_PRICE: "the newest price is too old (TEZI_MAX_PRICE_AGE_SESSIONS)",
    Reason.NOT_ACTIVE: "the stock is not active",
    Reason.UNKNOWN_STOCK: "the stock was removed from the database during the run",
    Reason.INVALID_ANSWER: "Triton refused the request, or its result is not a probability",
}


class Prediction(msgspec.Struct, frozen=True):
    """One stock's prediction; its fields are those of the REST API's response."""

    bse_code: str
    nse_symbol: str
    prediction_date: date
    as_of: str
    announced_on: str | None
    next_session: str
    predicted_label: int
    probability: float
    target: Target
    threshold: float
    margin: float
    confidence: Confidence
    model_version: int
    variant: str

    def stored(self, created_at: datetime) -> DailyPrediction:
        """The row of the table daily_predictions."""
        return DailyPrediction(
            bse_code=self.bse_code,
            prediction_date=self.prediction_date,
            model_version=self.model_version,
            predicted_label=self.predicted_label,
            probability=self.probability,
            confidence=self.confidence,
            variant=self.variant,
            created_at=created_at,
        )


def judge(
    rows: Iterable[EnsembleRow],
    stocks: Mapping[str, Stock],
    day: date,
    *,
    calendar: EarningsCalendar,
    oldest: date,
    version: ModelVersion,
    variant: str,
) -> tuple[list[Prediction], dict[str, Reason]]:
    """The predictions among `rows`, and why the other stocks have none.

    Those that announced results come first, each part by the margin, the greatest first.
    A price from before `oldest` is too old to predict from.

    Raises:
        EveningError: the features model cannot read the market database.
    """
    predictions: list[Prediction] = []
    skipped: dict[str, Reason] = {}
    for code, status, as_of, probability in rows:
        if status == Status.STORE_UNAVAILABLE:
            raise EveningError(
                "Triton cannot read the market database: see its log. Nothing was written."
            )
        if status in (Status.SHORT_HISTORY, Status.UNKNOWN_STOCK):
            skipped[code] = Reason(status)
        # A working model never gives this, and a wrong prediction is worse than none.
        elif status != Status.OK or not "" < as_of <= day.isoformat() or not 0 <= probability <= 1:
            skipped[code] = Reason.INVALID_ANSWER
        elif as_of < oldest.isoformat():
            skipped[code] = Reason.STALE_PRICE
        else:
            event = calendar.event(code, as_of, day.isoformat())
            predictions.append(
                Prediction(
                    bse_code=code,
                    nse_symbol=stocks[code].nse_symbol or UNKNOWN_SYMBOL,
                    prediction_date=day,
                    as_of=as_of,
                    announced_on=event.announced_on,
                    next_session=event.next_session,
                    predicted_label=int(probability >= version.threshold),
                    probability=probability,
                    target=version.label.name,
                    threshold=version.threshold,
                    margin=margin(probability, version.threshold),
                    confidence=confidence(probability),
                    model_version=version.model_version,
                    variant=variant,
                )
            )
    predictions.sort(key=lambda row: (row.announced_on is None, -row.margin, row.bse_code))
    return predictions, skipped
