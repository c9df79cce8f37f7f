"""Asks a server on this machine one thing over HTTP, within a time.

A client library reads the machine's certificates for each new client: 22 ms of a core, for servers
that are asked every second.
"""

import asyncio
import re
from contextlib import suppress
from urllib.parse import urlsplit

from preprocess.errors import ServerError

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})")


async def status_of(url: str, *, timeout_s: float) -> int:
    """The status that a GET of an http:// `url` is answered with.

    Raises:
        TimeoutError: no answer within `timeout_s`.
        ServerError: nobody answers there, or not in HTTP.
    """
    address = urlsplit(url)
    request = f"GET {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\nConnection: close\r\n\r\n"
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(address.hostname, address.port or 80)
            try:
                writer.write(request.encode())
                line = await reader.readline()
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
    except TimeoutError:
        raise TimeoutError(f"no answer within {timeout_s:g} s") from None
    except OSError as error:
        raise ServerError(f"{url} does not answer: {error}") from None
    status = _STATUS_LINE.match(line)
    if status is None:
        raise ServerError(f"{url} does not answer in HTTP")
    return int(status[1])
