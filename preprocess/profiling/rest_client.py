"""One caller of the gateway: a request at a time over one connection, each timed."""

import http.client
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from preprocess.errors import ServerError
from preprocess.profiling.requests import Pair, Shape

_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Answered:
    """Times of one request in ms: the caller's, and what the gateway says of itself."""

    end_to_end: float
    application: float


class RestClient:
    """Asks one gateway. The standard library's client: it takes little time of its own."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._connection = http.client.HTTPConnection(
            address.hostname or "", address.port, timeout=_TIMEOUT_S
        )

    def ask(self, shape: Shape, variant: str, pairs: Sequence[Pair]) -> Answered:
        """Ask about `pairs` in one request.

        Raises:
            ServerError: there is no answer, or one without a prediction for each.
        """
        items = [
            {"bse_code": code, "prediction_date": day, "variant": variant} for code, day in pairs
        ]
        body = json.dumps(items[0] if shape.rows == 1 else {"predictions": items}).encode()
        headers = {"content-type": "application/json"}
        began = time.perf_counter()
        try:
            self._connection.request("POST", shape.path, body, headers)
            response = self._connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise ServerError(f"The gateway does not answer {shape.path}: {error!r}") from None
        took = time.perf_counter() - began
        if response.status != 200:
            raise ServerError(f"The gateway answers {response.status}: {content[:300]!r}")
        answers = json.loads(content)
        for answer in answers if isinstance(answers, list) else [answers]:
            if answer["probability"] is None:
                raise ServerError(f"The gateway refuses a stock: {answer['error']}")
        return Answered(took * 1e3, float(response.headers["x-process-time"]) * 1e3)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
