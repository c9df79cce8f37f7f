"""More requests than slots and queue hold: 503 with Retry-After for those, answers for the rest."""

import asyncio
import json
from pathlib import Path

from starlette.types import ASGIApp, Message

from tests.gateway.fakes import FakePredictor, item, running_app, until

SLOTS, QUEUE = 3, 5


async def test_requests_beyond_slots_and_queue_are_rejected(tmp_path: Path) -> None:
    release = asyncio.Event()
    predictor = FakePredictor(release=release)
    async with running_app(
        tmp_path, predictor=predictor, max_in_flight=SLOTS, max_waiting=QUEUE
    ) as tezi:
        await tezi.until_ready()
        calls = [
            asyncio.create_task(tezi.predict(bse_code=f"5000{number:02d}")) for number in range(20)
        ]
        await until(lambda: sum(call.done() for call in calls) == 20 - SLOTS - QUEUE)
        release.set()
        responses = await asyncio.gather(*calls)
        answered = [r for r in responses if r.status_code == 200]
        refused = [r for r in responses if r.status_code == 503]
        assert (len(answered), len(refused)) == (SLOTS + QUEUE, 20 - SLOTS - QUEUE)
        assert all(r.headers["retry-after"] == "1" for r in refused)
        assert predictor.most_in_flight == SLOTS
        assert (await tezi.client.get("/ready")).status_code == 200
        assert (await tezi.predict()).status_code == 200


async def test_a_caller_that_hangs_up_frees_its_slot(tmp_path: Path) -> None:
    release = asyncio.Event()
    predictor = FakePredictor(release=release)
    async with running_app(tmp_path, predictor=predictor, max_in_flight=1, max_waiting=1) as tezi:
        callers = [RawCaller(tezi.app), RawCaller(tezi.app)]
        tasks = [asyncio.create_task(caller.call()) for caller in callers]
        await until(lambda: predictor.in_flight == 1)
        assert (await tezi.predict()).status_code == 503
        for caller in callers:
            caller.hung_up.set()
        await asyncio.gather(*tasks)
        assert predictor.in_flight == 0
        release.set()
        assert (await tezi.predict()).status_code == 200
        assert 'status="499"' in (await tezi.client.get("/metrics")).text


async def test_a_caller_that_hangs_up_before_its_body_is_there(tmp_path: Path) -> None:
    async with running_app(tmp_path) as tezi:
        caller = RawCaller(tezi.app, whole=False)
        caller.hung_up.set()
        await caller.call()
        assert [message.get("status") for message in caller.sent] == [499, None]
        assert tezi.predictor.calls == []


class RawCaller:
    """A caller below HTTP, who can hang up at a moment of the test's choosing."""

    def __init__(self, app: ASGIApp, *, whole: bool = True) -> None:
        self.app = app
        self.hung_up = asyncio.Event()
        self.sent: list[Message] = []
        self._body = json.dumps(item()).encode()
        self._whole = whole

    async def call(self) -> None:
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "POST",
            "path": "/api/v1/predict",
            "raw_path": b"/api/v1/predict",
            "root_path": "",
            "scheme": "http",
            "query_string": b"",
            "headers": [(b"content-type", b"application/json")],
            "client": ("192.0.2.1", 1),
            "server": ("192.0.2.2", 2),
        }
        await self.app(scope, self._receive, self._send)

    async def _receive(self) -> Message:
        body, self._body = self._body, b""
        if body:
            return {"type": "http.request", "body": body, "more_body": not self._whole}
        await self.hung_up.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        self.sent.append(message)
