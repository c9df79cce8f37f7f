"""The model versions that are published, and what is known of the one that answered."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from gateway.ports import VARIANTS, Variant
from preprocess.errors import ModelError
from preprocess.repository.versions import (
    METADATA_FILE,
    ModelVersion,
    classifier_name,
    read_version,
    version_numbers,
)

log = structlog.get_logger()

REFRESH_S = 3.0
_ASK_AGAIN_AFTER_S = 1.0

Key = tuple[Variant, int]


@dataclass(frozen=True, slots=True)
class _Read:
    signature: tuple[int, int, int]
    version: ModelVersion | None


class VersionBook:
    """Every published version by variant and number.

    A number is looked up on disk when it answers for the first time, so that what is said of it
    was written before it was served: a number that was withdrawn may have been given out anew.
    """

    def __init__(
        self, repository: Path, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """`repository` is the live model repository; it need not be there yet."""
        self._repository = repository
        self._monotonic = monotonic
        self._versions: dict[Key, ModelVersion] = {}
        self._published: dict[Variant, list[ModelVersion]] = {}
        self._read: dict[Key, _Read] = {}
        self._answered: dict[Key, ModelVersion] = {}
        self._missed: dict[Key, float] = {}
        self._reading = asyncio.Lock()

    def published(self, variant: Variant) -> list[ModelVersion]:
        """The versions of a variant, ascending by number."""
        return self._published.get(variant, [])

    @property
    def empty(self) -> bool:
        """Whether nothing at all is published."""
        return not self._versions

    def answered(self, variant: Variant, number: int) -> ModelVersion | None:
        """The version that answered, if it has done so before."""
        return self._answered.get((variant, number))

    async def look_up(self, variant: Variant, number: int) -> ModelVersion | None:
        """The version that answered; None if no such version is published."""
        key = (variant, number)
        async with self._reading:
            if key in self._answered:
                return self._answered[key]
            missed = self._missed.get(key)
            if missed is not None and self._monotonic() - missed < _ASK_AGAIN_AFTER_S:
                return None
            await self._reread()
            version = self._versions.get(key)
            if version is None:
                self._missed = {key: self._monotonic()}
                log.warning("an unknown model version answers", variant=variant, version=number)
            else:
                self._missed.pop(key, None)
                self._answered[key] = version
            return version

    async def refresh(self) -> None:
        """Read what is published now."""
        async with self._reading:
            await self._reread()

    async def _reread(self) -> None:
        self._read = await asyncio.to_thread(_read_all, self._repository, self._read)
        self._versions = {
            key: read.version for key, read in self._read.items() if read.version is not None
        }
        self._published = {
            variant: [version for (of, _), version in self._versions.items() if of == variant]
            for variant in VARIANTS
        }
        for key in self._answered.keys() & self._versions.keys():
            self._answered[key] = self._versions[key]


def _read_all(repository: Path, known: dict[Key, _Read]) -> dict[Key, _Read]:
    """Every version folder; one whose metadata has not changed is not read again."""
    found: dict[Key, _Read] = {}
    for variant in VARIANTS:
        for number in _numbers(repository, variant):
            folder = repository / classifier_name(variant) / str(number)
            key = (variant, number)
            signature = _signature(folder / METADATA_FILE)
            before = known.get(key)
            if before is None or before.signature != signature:
                before = _Read(signature, _readable(folder))
            found[key] = before
    return found


def _signature(file: Path) -> tuple[int, int, int]:
    """What changes when a file is written anew; zeros when there is none."""
    try:
        state = file.stat()
    except OSError:
        return (0, 0, 0)
    return (state.st_ino, state.st_mtime_ns, state.st_size)


def _numbers(repository: Path, variant: Variant) -> list[int]:
    try:
        return version_numbers(repository, variant)
    except OSError as error:
        log.warning("the model repository cannot be read", error=str(error))
        return []


def _readable(folder: Path) -> ModelVersion | None:
    """The version, or None once a warning says why it cannot be read."""
    try:
        return read_version(folder)
    except ModelError as error:
        log.warning("a model version cannot be read", folder=str(folder), error=str(error))
        return None
