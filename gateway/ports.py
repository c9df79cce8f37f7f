"""What the core needs from outside: something that predicts."""

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
    """One stock as of one day: six digits, an ISO date, and who is to answer.

    `version` None leaves it to Triton, which asks the version that was made stable there.
    """

    bse_code: str
    prediction_date: str
    variant: Variant
    version: int | None = None


@dataclass(frozen=True, slots=True)
class InferenceResult:
    """What was predicted. Only `status` and `model_version` mean anything unless it is OK.

    `features` are the 25 of the manifest as float32 widened to float, NaN where missing.
    `model_version` is the version that computed this probability; `cached` says that it did so
    for an earlier request.
    """

    status: Status
    as_of: str | None
    probability: float
    model_version: int
    features: tuple[float, ...]
    cached: bool = False


class Predictor(Protocol):
    """Answers asks. A decorator of the same shape may stand round another one."""

    async def predict(
        self, queries: Sequence[PredictionQuery], timeout_s: float
    ) -> list[InferenceResult]:
        """One answer for each ask, in their order. All asks of one call are of one
        variant and version.

        Raises:
            PredictorError: there is no answer to any of them; its subclass says why.
        """
        ...

    async def close(self) -> None:
        """Let go of connections; nothing is asked afterwards."""
        ...


class PredictionSource(Protocol):
    """What predictions come from: a predictor, or a cache that has some of the answers."""

    async def predict(
        self, queries: Sequence[PredictionQuery], timeout_s: float
    ) -> Sequence[InferenceResult | PredictorError]:
        """As `Predictor.predict`, and an error in the place of an answer that there is not."""
        ...
