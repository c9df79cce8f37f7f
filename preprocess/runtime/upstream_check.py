"""The check of gateways that the free nginx lacks: who does not answer rightly is asked no more.

nginx itself notices a gateway that is dead or hangs, by the requests that fail. It cannot notice
one that answers every request with a refusal; `/ready` tells of that.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

from preprocess.errors import ServerError
from preprocess.runtime.gateways import is_ready

_SERVER = re.compile(
    r"^(?P<line>\s*server\s+(?P<address>[^\s;]+)[^;]*?)(?P<down>\s+down)?;", re.MULTILINE
)
# Looks in a row that find a gateway not ready before it is left out; one look brings it back.
_FAILS = 2


class UpstreamCheck:
    """Marks the `server` lines of a file as `down` and back."""

    def __init__(
        self,
        upstream: Path,
        reload: Callable[[], Awaitable[None]],
        *,
        ask: Callable[[str], Awaitable[bool]] = is_ready,
    ) -> None:
        """`reload()` makes nginx read the file; `ask(url)` says whether a gateway is ready."""
        self._upstream = upstream
        self._reload = reload
        self._ask = ask
        self._failed: Counter[str] = Counter()

    async def look(self) -> dict[str, bool]:
        """Ask all gateways once; who is asked for predictions from now on, by address.

        While none is ready nothing is changed: that is no fault of one of them.

        Raises:
            ServerError: the file cannot be read or written, or names no gateway.
        """
        text = self._read()
        down: dict[str, bool] = {}
        for found in _SERVER.finditer(text):
            down[found["address"]] = down.get(found["address"], False) or bool(found["down"])
        if not down:
            raise ServerError(f"{self._upstream} has no `server` lines.")
        ready = await asyncio.gather(*(self._ask(f"http://{address}") for address in down))
        if not any(ready):
            return {address: not out for address, out in down.items()}
        for address, yes in zip(down, ready, strict=True):
            self._failed[address] = 0 if yes else self._failed[address] + 1
        out = {
            address: self._failed[address] >= _FAILS or (was and self._failed[address] > 0)
            for address, was in down.items()
        }
        if out != down:
            self._write(
                _SERVER.sub(
                    lambda found: f"{found['line']}{' down' if out[found['address']] else ''};",
                    text,
                )
            )
            await self._reload()
        return {address: not is_out for address, is_out in out.items()}

    def _read(self) -> str:
        try:
            return self._upstream.read_text("utf-8")
        except OSError as error:
            raise ServerError(f"{self._upstream} cannot be read: {error.strerror}.") from None

    def _write(self, text: str) -> None:
        staged = self._upstream.with_name(f".{self._upstream.name}.new")
        try:
            staged.write_text(text, "utf-8")
            staged.replace(self._upstream)
        except OSError as error:
            raise ServerError(f"{self._upstream} cannot be written: {error.strerror}.") from None
