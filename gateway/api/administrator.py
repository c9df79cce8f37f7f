"""Whether a caller may make admin calls."""

import hmac

from starlette.requests import Request

from gateway.errors import NotAllowedError, NotAuthenticatedError

_SCHEME = "bearer"


class Administrator:
    """Checks the admin token. An empty token disables admin calls."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()

    def require(self, request: Request) -> None:
        """Accept `Authorization: Bearer TOKEN`.

        Raises:
            NotAllowedError: admin calls are disabled, or the token is wrong.
            NotAuthenticatedError: the caller sent no token.
        """
        if not self._token:
            raise NotAllowedError("admin calls are disabled")
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != _SCHEME or not token:
            raise NotAuthenticatedError("no token")
        if not hmac.compare_digest(token.strip().encode(), self._token):
            raise NotAllowedError("wrong token")
