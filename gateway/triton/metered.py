"""A predictor whose calls are counted and timed."""

import time
from collections.abc import Callable, Sequence

from gateway.errors import PredictorError
from gateway.ports import InferenceResult, PredictionQuery, Predictor
from preprocess.models.names import Variant

Observe = Callable[[Variant, str, int, float], None]
"""Called with the variant, `ok`, `error` or `cancelled`, the number of rows and the seconds."""


class MeteredPredictor:
    """Calls `observe` after every call, successful or not."""

    def __init__(self, inner: Predictor, observe: Observe) -> None:
        self._inner = inner
        self._observe = observe

    async def predict(
        self, queries: Sequence[PredictionQuery], timeout_s: float
    ) -> list[InferenceResult]:
        """As the inner predictor."""
        began = time.perf_counter()
        outcome = "cancelled"
        try:
            results = await self._inner.predict(queries, timeout_s)
            outcome = "ok"
        except PredictorError:
            outcome = "error"
            raise
        finally:
            self._observe(queries[0].variant, outcome, len(queries), time.perf_counter() - began)
        return results

    async def close(self) -> None:
        """Close the inner predictor."""
        await self._inner.close()
