"""A scored stock as it is stored, written to files and reported."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from pathlib import Path

import msgspec

from preprocess.confidence import Confidence, confidence
from preprocess.evening.outcome import Outcome, Scored
from preprocess.market import UNKNOWN_SYMBOL, DailyPrediction, Stock
from preprocess.repository.versions import ModelVersion, read_version


class Prediction(msgspec.Struct, frozen=True):
    """One stock's prediction; its fields are those of the REST API's answer."""

    bse_code: str
    nse_symbol: str
    prediction_date: date
    as_of: str
    predicted_label: int
    probability: float
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


class Interpreter:
    """Says what probabilities mean, by the threshold of the version that computed each."""

    def __init__(self, versions_dir: Path, variant: str, day: date, stocks: Mapping[str, Stock]):
        """`versions_dir` holds the published versions, `stocks` give the symbols."""
        self._versions_dir = versions_dir
        self._variant = variant
        self._day = day
        self._stocks = stocks
        self._versions: dict[int, ModelVersion] = {}

    def threshold(self, number: int) -> float:
        """From which probability on version `number` says yes.

        Raises:
            ModelError: the version is not published: a threshold that is guessed may turn an
                answer round.
        """
        version = self._versions.get(number)
        if version is None:
            version = self._versions[number] = read_version(self._versions_dir, number)
        return version.threshold

    def predictions(self, outcomes: Iterable[Outcome]) -> list[Prediction]:
        """The predictions among outcomes, in their order."""
        return [self._prediction(row) for row in outcomes if isinstance(row, Scored)]

    def _prediction(self, row: Scored) -> Prediction:
        return Prediction(
            bse_code=row.bse_code,
            nse_symbol=self._stocks[row.bse_code].nse_symbol or UNKNOWN_SYMBOL,
            prediction_date=self._day,
            as_of=row.as_of,
            predicted_label=int(row.probability >= self.threshold(row.model_version)),
            probability=row.probability,
            confidence=confidence(row.probability),
            model_version=row.model_version,
            variant=self._variant,
        )
