"""Where a version does not answer, the stable version of this moment does."""

import time
from collections.abc import Sequence
from dataclasses import replace

from gateway.errors import GpuAbsentError, PredictorUnavailableError, VariantUnavailableError
from gateway.ports import Answer, Ask, Predictor
from gateway.routing import Router


class FailoverPredictor:
    """Asks once more, where that helps: a candidate that fails costs its callers time only.

    It also covers the moment in which a version has left Triton and this gateway's labels still
    name it.
    """

    def __init__(self, inner: Predictor, router: Router) -> None:
        self._inner = inner
        self._router = router

    async def predict(self, asks: Sequence[Ask], timeout_s: float) -> list[Answer]:
        """As the inner predictor."""
        began = time.monotonic()
        try:
            return await self._inner.predict(asks, timeout_s)
        except GpuAbsentError:
            raise
        except (PredictorUnavailableError, VariantUnavailableError):
            variant, version = asks[0].variant, asks[0].version
            other = await self._router.instead_of(variant, version)
            if other is None:
                raise
        left_s = timeout_s - (time.monotonic() - began)
        return await self._inner.predict([replace(ask, version=other) for ask in asks], left_s)

    async def close(self) -> None:
        """Close the inner predictor."""
        await self._inner.close()
