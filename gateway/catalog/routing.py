"""Routing: which version predicts which stock, by the labels that this gateway last read."""

import asyncio
import hashlib
from dataclasses import dataclass
from pathlib import Path

import structlog

from gateway.catalog.versions import ModelCatalog
from preprocess.errors import ModelError
from preprocess.models.names import Variant
from preprocess.repository.labels import Labels, read_labels

log = structlog.get_logger()

# All gateways follow a change within a second; the file is a few hundred bytes.
POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Route:
    """The version that predicts (None: the one that Triton holds as stable).

    `shadow` is a version that predicts the same stock afterwards, for comparison.
    """

    version: int | None
    shadow: int | None = None


class Router:
    """Routes by label and stock. While the labels do not change, a stock keeps its version."""

    def __init__(self, versions_dir: Path, versions: ModelCatalog) -> None:
        self.labels = Labels()
        self._versions_dir = versions_dir
        self._versions = versions
        self._damaged = False

    async def refresh(self) -> None:
        """Read the labels. While they cannot be read, the last ones remain in use."""
        try:
            labels = await asyncio.to_thread(read_labels, self._versions_dir)
        except ModelError as error:
            if not self._damaged:
                log.warning("the labels cannot be read", error=str(error))
            self._damaged = True
            return
        self._damaged = False
        if labels != self.labels:
            await self._versions.refresh()  # the labels may name a new version
            if self.labels.generation:
                log.info(
                    "the labels have changed",
                    stable=labels.stable,
                    candidate=labels.candidate,
                    previous=labels.previous,
                    share=labels.share,
                    shadow=labels.shadow,
                )
            self.labels = labels

    def serves(self, variant: Variant) -> bool:
        """Whether the stable version has the variant; True while nothing is stable."""
        stable = self._versions.get(self.labels.stable)
        return stable is None or variant in stable.variants

    def route(self, variant: Variant, bse_code: str) -> Route:
        """The version that predicts a stock."""
        labels = self.labels
        if labels.candidate is None or not self._has(labels.candidate, variant):
            return Route(labels.stable)
        if not in_share(bse_code, labels.candidate, labels.share):
            return Route(labels.stable)
        if labels.shadow:
            return Route(labels.stable, shadow=labels.candidate)
        return Route(labels.candidate)

    def label(self, number: int) -> str:
        """The label of a version; `other` for one that has lost its label."""
        return next(iter(self.labels.of(number)), "other")

    async def instead_of(self, variant: Variant, version: int | None) -> int | None:
        """The version that is stable now, if it has the variant and is not `version`."""
        await self.refresh()
        stable = self.labels.stable
        return stable if stable != version and self._has(stable, variant) else None

    def _has(self, number: int | None, variant: Variant) -> bool:
        version = self._versions.get(number)
        return version is not None and variant in version.variants


def in_share(bse_code: str, candidate: int, share: float) -> bool:
    """Whether a stock is among the `share` per cent that a candidate predicts.

    All gateways agree, and a greater share includes all stocks of a smaller one. Another candidate
    gets other stocks.
    """
    digest = hashlib.blake2b(f"{candidate}:{bse_code}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") < share / 100.0 * 2**32
