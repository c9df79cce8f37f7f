"""The catalog of published model versions."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from preprocess.errors import ModelError
from preprocess.models.names import Variant
from preprocess.repository.versions import (
    VERSION_FILE,
    ModelVersion,
    read_version,
    version_folder,
    version_numbers,
)

log = structlog.get_logger()

REFRESH_S = 3.0
_RETRY_AFTER_S = 1.0


@dataclass(frozen=True, slots=True)
class _Read:
    signature: tuple[int, int, int]
    version: ModelVersion | None


class ModelCatalog:
    """Every published version by number.

    A version that has given results is remembered, so that its last results can still be
    interpreted after it is dropped.
    """

    def __init__(
        self, versions_dir: Path, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """`versions_dir` holds the published versions; it need not exist yet."""
        self._versions_dir = versions_dir
        self._monotonic = monotonic
        self._versions: dict[int, ModelVersion] = {}
        self._read: dict[int, _Read] = {}
        self._answered: dict[int, ModelVersion] = {}
        self._missed: dict[int, float] = {}
        self._reading = asyncio.Lock()

    @property
    def published(self) -> list[ModelVersion]:
        """The versions, ascending by number."""
        return list(self._versions.values())

    def get(self, number: int | None) -> ModelVersion | None:
        """A published version; None if there is none."""
        return None if number is None else self._versions.get(number)

    def answered(self, variant: Variant, number: int) -> ModelVersion | None:
        """A version whose result was looked up before; None if there is none with the variant."""
        version = self._answered.get(number)
        return version if version is not None and variant in version.variants else None

    async def look_up(self, variant: Variant, number: int) -> ModelVersion | None:
        """The version that gave a result; None if no such version and variant is published."""
        async with self._reading:
            known = self.answered(variant, number)
            if known is not None:
                return known
            missed = self._missed.get(number)
            if missed is not None and self._monotonic() - missed < _RETRY_AFTER_S:
                return None
            await self._reread()
            version = self._versions.get(number)
            if version is None or variant not in version.variants:
                self._missed = {number: self._monotonic()}
                log.warning("an unknown model version answers", variant=variant, version=number)
                return None
            self._missed.pop(number, None)
            self._answered[number] = version
            return version

    async def refresh(self) -> None:
        """Read the published versions."""
        async with self._reading:
            await self._reread()

    async def _reread(self) -> None:
        self._read = await asyncio.to_thread(_read_all, self._versions_dir, self._read)
        self._versions = {
            number: read.version
            for number, read in sorted(self._read.items())
            if read.version is not None
        }
        for number in self._answered.keys() & self._versions.keys():
            self._answered[number] = self._versions[number]


def _read_all(versions_dir: Path, known: dict[int, _Read]) -> dict[int, _Read]:
    """Every version; one whose file has not changed is not read again."""
    found: dict[int, _Read] = {}
    for number in _numbers(versions_dir):
        signature = _signature(version_folder(versions_dir, number) / VERSION_FILE)
        before = known.get(number)
        if before is None or before.signature != signature:
            before = _Read(signature, _readable(versions_dir, number))
        found[number] = before
    return found


def _signature(file: Path) -> tuple[int, int, int]:
    """Changes when the file is replaced; zeros if there is no file."""
    try:
        state = file.stat()
    except OSError:
        return (0, 0, 0)
    return (state.st_ino, state.st_mtime_ns, state.st_size)


def _numbers(versions_dir: Path) -> list[int]:
    try:
        return version_numbers(versions_dir)
    except OSError as error:
        log.warning("the versions cannot be read", error=str(error))
        return []


def _readable(versions_dir: Path, number: int) -> ModelVersion | None:
    """The version; None after a warning if it cannot be read."""
    try:
        return read_version(versions_dir, number)
    except ModelError as error:
        log.warning("a model version cannot be read", version=number, error=str(error))
        return None
