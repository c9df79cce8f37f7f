"""A small service with Tezi's REST API, which can be slow, wrong or closing its connections."""

import asyncio
import json
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

DAY, THRESHOLD = "2026-08-12", 0.4

Answer = dict[str, Any]


def right(code: str, day: str) -> Answer:
    """The one right answer for a pair of stock and day."""
    probability = zlib.crc32(code.encode()) % 1000 / 1000
    return {
        "bse_code": code,
        "prediction_date": day,
        "predicted_label": int(probability >= THRESHOLD),
        "probability": probability,
        "model_version": 7,
    }


@dataclass
class SmallService:
    """Counts its predictions. `spoil` changes answers, `delay_s` gives the delay of a request by
    its number, `status` is the status of all, `last` closes the connection after each response.
    """

    codes: list[str]
    spoil: Callable[[list[Answer]], list[Answer]] = lambda answers: answers
    delay_s: Callable[[int], float] = lambda number: 0.0
    status: int = 200
    last: bool = False
    requests: int = 0
    url: str = ""

    async def predict(self, request: Request) -> JSONResponse:
        """One prediction or a batch."""
        self.requests += 1
        await asyncio.sleep(self.delay_s(self.requests - 1))
        body = json.loads(await request.body())
        items = body.get("predictions", [body])
        answers = self.spoil([right(item["bse_code"], item["prediction_date"]) for item in items])
        content = answers if "predictions" in body else answers[0]
        headers = {"connection": "close"} if self.last else None
        return JSONResponse(content, self.status, headers=headers)

    async def models(self, _request: Request) -> JSONResponse:
        """The one model version."""
        return JSONResponse({"versions": [{"model_version": 7, "threshold": THRESHOLD}]})

    async def stocks(self, request: Request) -> JSONResponse:
        """A page of stocks."""
        begin, count = (int(request.query_params[name]) for name in ("offset", "limit"))
        page = self.codes[begin : begin + count]
        found = [{"bse_code": code, "newest_price_date": DAY} for code in page]
        return JSONResponse({"stocks": found})


@contextmanager
def small_service(stocks: int = 300, **ways: Any) -> Iterator[SmallService]:
    """A service that is up until the block ends."""
    service = SmallService([f"{500_000 + number}" for number in range(stocks)], **ways)
    routes = [
        Route("/api/v1/predict", service.predict, methods=["POST"]),
        Route("/api/v1/batch_predict", service.predict, methods=["POST"]),
        Route("/api/v1/models", service.models),
        Route("/api/v1/stocks", service.stocks),
    ]
    config = uvicorn.Config(Starlette(routes=routes), port=0, log_level="error", lifespan="off")
    config.timeout_graceful_shutdown = 1
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.005)
    service.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield service
    finally:
        server.should_exit = True
        thread.join()
