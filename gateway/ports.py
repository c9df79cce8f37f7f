"""The interface of what predicts, as the rest of the gateway sees it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gateway.errors import PredictorError
from preprocess.features.row import Status
from preprocess.models.names import Variant

Clock = Callable[[], datetime]
"""The time as an aware datetime."""


@dataclass(frozen=True, slots=True)
class PredictionQuery:
    """One stock as of one day: a six-digit code, an ISO date, and the variant to query.

    With `version` None Triton chooses, and uses the version that is stable there.
    """

    bse_code: str
    prediction_date: str
    variant: Variant
    version: int | None = None


@dataclass(frozen=True, slots=True)
class InferenceResult:
    """The result for one query. Unless `status` is OK, only it and `model_version` are meaningful.

    `features` are the 25 of the manifest as float32 widened to float, NaN where missing.
    `model_version` is the version that computed this probability; `cached` is true if it was
    computed for an earlier request.
    """

    status: Status
    as_of: str | None
    probability: float
    model_version: int
    features: tuple[float, ...]
    cached: bool = False


class Predictor(Protocol):
    """Answers queries. Decorators of the same interface wrap one another."""

    async def predict(
        self, queries: Sequence[PredictionQuery], timeout_s: float
    ) -> list[InferenceResult]:
        """One result per query, in the same order. All queries of one call have the same
        variant and version.

        Raises:
            PredictorError: no query could be answered; the subclass says why.
        """
        ...

    async def close(self) -> None:
        """Close all connections; no query follows."""
        ...


class PredictionSource(Protocol):
    """Source of predictions: a predictor, or a cache in front of one."""

    async def predict(
        self, queries: Sequence[PredictionQuery], timeout_s: float
    ) -> Sequence[InferenceResult | PredictorError]:
        """As `Predictor.predict`, with an error in place of each missing result."""
        ...
