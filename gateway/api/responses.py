"""JSON responses. NaN and infinity, which JSON lacks, become null."""

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response

# Responses change from one moment to the next: no HTTP cache may store them.
NOT_STORED = {"cache-control": "no-store", "x-content-type-options": "nosniff"}

# Keys of a request's ASGI scope: the status of its response once that has started (0 before), which
# middleware reads there because each further wrapper round `send` costs every response twice; and
# the reason for an error response, for the log only.
STATUS_KEY = "gateway.status"
REASON_KEY = "gateway.reason"

_encoder = msgspec.json.Encoder()
_HEADERS = [
    (b"content-type", b"application/json"),
    *((name.encode(), value.encode()) for name, value in NOT_STORED.items()),
]


class JSONAnswer(Response):
    """A JSON body, encoded from dataclasses, msgspec structures, dates or plain containers."""

    def __init__(
        self, content: Any, status_code: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        """`headers` are added to those that every JSON response has."""
        super().__init__(content, status_code, headers)

    def render(self, content: Any) -> bytes:
        """`content` as JSON."""
        return _encoder.encode(content)

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        """Most responses have the same headers, so those are encoded only once."""
        self.raw_headers = [*_HEADERS, (b"content-length", b"%d" % len(self.body))]
        for name, value in (headers or {}).items():
            self.raw_headers.append((name.lower().encode("latin-1"), value.encode("latin-1")))
