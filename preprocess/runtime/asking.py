"""Asks a server on this machine one thing over HTTP, within a time."""

import httpx

from preprocess.errors import ServerError


async def status_of(url: str, *, timeout_s: float) -> int:
    """The status that a GET of `url` is answered with.

    Raises:
        TimeoutError: no answer within `timeout_s`.
        ServerError: nobody answers there.
    """
    try:
        async with httpx.AsyncClient(timeout=timeout_s, trust_env=False) as client:
            return (await client.get(url)).status_code
    except httpx.TimeoutException:
        raise TimeoutError(f"no answer within {timeout_s:g} s") from None
    except httpx.TransportError as error:
        raise ServerError(f"{url} does not answer: {error}") from None
