"""Answers in JSON. NaN and infinity, which JSON lacks, become null."""

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response

NOT_STORED = {"cache-control": "no-store", "x-content-type-options": "nosniff"}

_encoder = msgspec.json.Encoder()


class JSONAnswer(Response):
    """A JSON body; dataclasses, msgspec structures, dates and plain containers go in."""

    media_type = "application/json"

    def __init__(
        self, content: Any, status_code: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        """Answers change from one moment to the next, so no one is to store them."""
        super().__init__(content, status_code, NOT_STORED | dict(headers or {}))

    def render(self, content: Any) -> bytes:
        """`content` as JSON."""
        return _encoder.encode(content)
