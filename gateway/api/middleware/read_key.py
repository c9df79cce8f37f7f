"""Asks callers of the API for the read key, where one is set."""

import asyncio
import hmac

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.api import administrator
from gateway.api.responses import JSONAnswer

HEADER = "X-API-Key"
_API = "/api/v1/"
# Watched by machines that hold no key; admin calls have tokens of their own.
_OPEN = ("/api/v1/health", "/api/v1/metrics", "/api/v1/models/", "/api/v1/cache/clear")


class ReadKeyMiddleware:
    """Responds 401 to a call below /api/v1/ without the right key."""

    def __init__(self, app: ASGIApp, *, key: str) -> None:
        self.app = app
        self._key = key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the request if it has the key or needs none."""
        path = scope.get("path", "")
        if path.startswith(_API) and not path.startswith(_OPEN) and not self._is_given(scope):
            await asyncio.sleep(administrator.REFUSAL_S)
            detail = {"detail": f"This call needs the read key, in the header {HEADER}"}
            await JSONAnswer(detail, 401, {"www-authenticate": HEADER})(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _is_given(self, scope: Scope) -> bool:
        return any(
            name == b"x-api-key" and hmac.compare_digest(value.strip(), self._key)
            for name, value in scope["headers"]
        )
