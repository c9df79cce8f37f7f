"""Asks a server on this machine one thing over HTTP, within a time."""

import asyncio

import httpx

from preprocess.errors import ServerError


async def status_of(url: str, *, timeout_s: float) -> int:
    """The status that a GET of an http:// `url` is answered with.

    Raises:
        TimeoutError: no answer within `timeout_s`.
        ServerError: nobody answers there, or not in HTTP.
    """
    # A new connection each time, as a caller has; without `verify` it does not read the machine's
    # certificates first, which takes 22 ms of a core.
    client = httpx.AsyncClient(timeout=timeout_s, trust_env=False, verify=False)  # noqa: S501 - plain http
    try:
        async with asyncio.timeout(timeout_s), client:
            return (await client.get(url)).status_code
    except (TimeoutError, httpx.TimeoutException):
        raise TimeoutError(f"no answer within {timeout_s:g} s") from None
    except httpx.TransportError as error:
        raise ServerError(f"{url} does not answer: {error or type(error).__name__}") from None
