"""A gateway on the fake predictor as a process: python -m tests.gateway.serving HOME PORT DRAIN_S.

Predictions are made once there is a file HOME/release.
"""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from gateway.ports import InferenceResult, PredictionQuery
from gateway.server import serve
from preprocess.market.golden_row import GOLDEN_CODE
from tests.gateway.fakes import FakePredictor, build_app

home, port, drain_s = sys.argv[1:]


class HeldPredictor(FakePredictor):
    """Answers all but the golden row when the file is there."""

    async def predict(
        self, queries: Sequence[PredictionQuery], timeout_s: float
    ) -> list[InferenceResult]:
        while queries[0].bse_code != GOLDEN_CODE and not Path(home, "release").exists():
            await asyncio.sleep(0.01)
        return await super().predict(queries, timeout_s)


if __name__ == "__main__":
    built = build_app(
        Path(home),
        predictor=HeldPredictor(),
        http_port=int(port),
        drain_s=float(drain_s),
    )
    serve(built.app, built.settings, built.traffic)
