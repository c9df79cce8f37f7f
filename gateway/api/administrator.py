"""Whether a caller may change what serves."""

import hmac

from starlette.requests import Request

from gateway.errors import NotAllowedError, NotAuthenticatedError

_SCHEME = "bearer"


class Administrator:
    """Knows the token. Without one there are no admin calls at all."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()

    def require(self, request: Request) -> None:
        """Accept `Authorization: Bearer TOKEN`.

        Raises:
            NotAllowedError: there are no admin calls here, or the token is another.
            NotAuthenticatedError: the caller gives no token.
        """
        if not self._token:
            raise NotAllowedError("admin calls are switched off")
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != _SCHEME or not token:
            raise NotAuthenticatedError("no token")
        if not hmac.compare_digest(token.strip().encode(), self._token):
            raise NotAllowedError("another token")
