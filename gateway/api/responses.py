"""Answers in JSON. NaN and infinity, which JSON lacks, become null."""

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response

# Answers change from one moment to the next: no cache is to keep one.
NOT_STORED = {"cache-control": "no-store", "x-content-type-options": "nosniff"}

# Keys of a request's ASGI scope: the status of its answer once that has begun (0 before), which
# middleware reads there because each further wrapper round `send` costs every answer twice; and,
# for the log alone, why there is no better answer.
STATUS_KEY = "gateway.status"
REASON_KEY = "gateway.reason"

_encoder = msgspec.json.Encoder()
_HEADERS = [
    (b"content-type", b"application/json"),
    *((name.encode(), value.encode()) for name, value in NOT_STORED.items()),
]


class JSONAnswer(Response):
    """A JSON body; dataclasses, msgspec structures, dates and plain containers go in."""

    def __init__(
        self, content: Any, status_code: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        """`headers` come on top of those that every JSON answer has."""
        super().__init__(content, status_code, headers)

    def render(self, content: Any) -> bytes:
        """`content` as JSON."""
        return _encoder.encode(content)

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        """Most answers have the same headers: they are encoded once."""
        self.raw_headers = [*_HEADERS, (b"content-length", b"%d" % len(self.body))]
        for name, value in (headers or {}).items():
            self.raw_headers.append((name.lower().encode("latin-1"), value.encode("latin-1")))
