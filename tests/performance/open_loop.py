"""Open-loop load: requests begin when they are due, whatever became of those before them.

Latencies count from the moment at which a request was due, so a server that stalls is not spared
the requests that would have come meanwhile (no coordinated omission).
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp

_TIMEOUT_S = 10.0
_CONNECTIONS = 256


@dataclass(frozen=True, slots=True)
class Request:
    """One prediction to ask for."""

    bse_code: str
    prediction_date: str
    variant: str = "fp32"


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one request. `due_s` counts from the begin of the load.

    `status` is 0 where there was no answer; `version` and `probability` are those of the body.
    """

    request: Request
    due_s: float
    latency_ms: float
    status: int
    version: int | None = None
    probability: float | None = None
    detail: str = ""


async def open_loop(
    url: str, requests: Sequence[Request], *, rate: float, until: asyncio.Event
) -> list[Answer]:
    """`rate` requests a second over REST, `requests` over and over, until `until` is set."""
    answers: list[Answer] = []
    connector = aiohttp.TCPConnector(limit=_CONNECTIONS)
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        began = time.perf_counter()
        pending: set[asyncio.Task[None]] = set()

        async def one(request: Request, due_s: float) -> None:
            status, version, probability, detail = await _ask(session, url, request)
            latency_ms = (time.perf_counter() - began - due_s) * 1e3
            answers.append(Answer(request, due_s, latency_ms, status, version, probability, detail))

        number = 0
        while not until.is_set():
            due_s = number / rate
            wait_s = began + due_s - time.perf_counter()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            task = asyncio.create_task(one(requests[number % len(requests)], due_s))
            pending.add(task)
            task.add_done_callback(pending.discard)
            number += 1
        if pending:
            await asyncio.gather(*pending)
    return answers


async def _ask(
    session: aiohttp.ClientSession, url: str, request: Request
) -> tuple[int, int | None, float | None, str]:
    body = {
        "bse_code": request.bse_code,
        "prediction_date": request.prediction_date,
        "variant": request.variant,
    }
    try:
        async with session.post(f"{url}/api/v1/predict", json=body) as response:
            answer = await response.json()
            if response.status != 200:
                return response.status, None, None, str(answer)
            return 200, answer["model_version"], answer["probability"], ""
    except (aiohttp.ClientError, TimeoutError) as error:
        return 0, None, None, repr(error)
