"""Who may make admin calls, and the record of what they changed."""

import asyncio
import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
import structlog
from starlette.requests import Request

from gateway.errors import NotAllowedError, NotAuthenticatedError
from gateway.logs import REQUEST_ID
from gateway.ports import Clock
from preprocess.admin_tokens import read_admin_tokens, token_hash
from preprocess.errors import SettingsError
from preprocess.settings import Settings

log = structlog.get_logger()

Outcome = Literal["allowed", "no_token", "refused"]

# A caller that guesses waits so long for each refusal.
REFUSAL_S = 1.0
# One older file is kept.
AUDIT_BYTES = 10_000_000
_SETTING = "TEZI_ADMIN_TOKEN"


class Administrator:
    """Knows the admin tokens by their hashes. Without any, admin calls are disabled."""

    def __init__(
        self, settings: Settings, *, clock: Clock, count: Callable[[Outcome], None]
    ) -> None:
        """`count` is called once for each admin call."""
        self._file = settings.admin_tokens_file
        self._from_settings = (
            {token_hash(settings.admin_token): _SETTING} if settings.admin_token else {}
        )
        self._audit = settings.home / "logs" / "audit.jsonl"
        self._clock = clock
        self._count = count

    async def require(self, request: Request) -> str:
        """The name of the token in `Authorization: Bearer TOKEN`.

        Raises:
            NotAllowedError: admin calls are disabled, or the token is wrong.
            NotAuthenticatedError: the caller sent no token.
        """
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        tokens = await asyncio.to_thread(self._tokens)
        # A caller cannot steer a hash, so how long the lookup takes tells nothing of the others.
        # Starlette decodes headers as latin-1, which gives back the bytes that were sent.
        digest = hashlib.sha256(token.encode("latin-1").strip()).hexdigest()
        if scheme.lower() == "bearer" and digest in tokens:
            self._count("allowed")
            return tokens[digest]
        missing = tokens and (scheme.lower() != "bearer" or not token.strip())
        self._count("no_token" if missing else "refused")
        await asyncio.sleep(REFUSAL_S)
        if missing:
            raise NotAuthenticatedError("no token")
        raise NotAllowedError("wrong token" if tokens else "admin calls are disabled")

    def _tokens(self) -> Mapping[str, str]:
        """Name by hash. The file is read each time: a token is changed without a restart."""
        if self._file is None:
            return self._from_settings
        try:
            return self._from_settings | read_admin_tokens(self._file)
        except SettingsError as error:
            log.warning("the admin tokens cannot be read", error=str(error))
            return self._from_settings

    async def record(self, request: Request, who: str, what: str, **details: Any) -> None:
        """Append an admin call to logs/audit.jsonl in the data folder."""
        entry = {
            "time": self._clock(),
            "who": who,
            "client": request.client.host if request.client else None,
            "what": what,
            **details,
            "request_id": REQUEST_ID.get(),
        }
        try:
            await asyncio.to_thread(_append, self._audit, msgspec.json.encode(entry) + b"\n")
        except OSError as error:
            # A gateway with a read-only data folder still has its log.
            text = msgspec.json.encode(entry).decode()
            log.warning("admin call", entry=text, not_in_audit_file=error.strerror)


def _append(path: Path, line: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > AUDIT_BYTES:
        path.replace(path.with_suffix(".1.jsonl"))
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, line)
    finally:
        os.close(file)
