"""What a prediction call brings along: its deadline, and a body that says it is JSON."""

from starlette.types import Receive, Scope

from gateway.api.validation import problem
from gateway.errors import CallerGoneError, InvalidRequestError, MediaTypeError

TIMEOUT_HEADER = "X-Request-Timeout-Ms"
LONGEST_TIMEOUT_MS = 60_000


def timeout_of(scope: Scope, default_ms: int) -> float:
    """Seconds that the caller is willing to wait.

    Raises:
        InvalidRequestError: the header is no whole number from 1 to 60000.
    """
    for name, value in scope["headers"]:
        if name == b"x-request-timeout-ms":
            if value.isdigit() and 1 <= int(value[:18]) <= LONGEST_TIMEOUT_MS:
                return int(value) / 1e3
            raise InvalidRequestError(
                [
                    problem(
                        "timeout_invalid",
                        ["header", TIMEOUT_HEADER],
                        f"{TIMEOUT_HEADER} should be a whole number from 1 to {LONGEST_TIMEOUT_MS}",
                        value.decode("latin-1"),
                    )
                ]
            )
    return default_ms / 1e3


def require_json(scope: Scope) -> None:
    """Accept application/json, any +json type, and no type at all.

    Raises:
        MediaTypeError: it is something else, or compressed.
    """
    for name, value in scope["headers"]:
        if name == b"content-type":
            media_type = value.partition(b";")[0].strip().lower()
            if media_type not in (b"application/json", b"") and not media_type.endswith(b"+json"):
                raise MediaTypeError(media_type.decode("latin-1"))
        elif name == b"content-encoding" and value.strip().lower() not in (b"identity", b""):
            raise MediaTypeError(value.decode("latin-1"))


async def read_body(receive: Receive) -> bytes:
    """The whole body.

    Raises:
        CallerGoneError: the caller hung up before it was complete.
    """
    chunks: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise CallerGoneError("the caller hung up before the body was complete")
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks) if len(chunks) > 1 else chunks[0]
