"""GET /api/v1/models."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gateway.ports import DEFAULT_VARIANT, VARIANTS, Variant
from gateway.probe import Probe
from gateway.responses import JSONAnswer
from gateway.versions import VersionBook
from preprocess.repository.versions import ModelVersion


class ModelsEndpoint:
    """What is published, and what of it answers."""

    def __init__(self, versions: VersionBook, probes: Mapping[Variant, Probe]) -> None:
        self._versions = versions
        self._probes = probes

    async def models(self, _: Request) -> Response:
        """Every version of every variant."""
        serving = {variant: probe.state.model_version for variant, probe in self._probes.items()}
        stable = serving[DEFAULT_VARIANT]
        return JSONAnswer(
            {
                "versions": [
                    _version(version, serving=serving[variant], stable=stable)
                    for variant in VARIANTS
                    for version in self._versions.published(variant)
                ],
                "variants": {variant: self._variant(variant) for variant in VARIANTS},
                "stable": stable,
                "candidate": None,
                "previous": None,
            }
        )

    def _variant(self, variant: Variant) -> dict[str, Any]:
        state = self._probes[variant].state
        published = self._versions.published(variant)
        return {
            "state": "published" if published else "absent",
            "versions": [version.model_version for version in published],
            "serving": state.model_version,
            "detail": state.finding.value,
        }


def _version(version: ModelVersion, *, serving: int | None, stable: int | None) -> dict[str, Any]:
    number = version.model_version
    return {
        "model_version": number,
        "variant": version.variant,
        "state": "serving" if number == serving else "available",
        "labels": ["stable"] if number == stable and number == serving else [],
        "model_id": version.model_id,
        "family": version.family,
        "trained_at": version.trained_at,
        "published_at": version.published_at,
        "threshold": version.threshold,
        "metrics": version.metrics,
        "features": version.features,
        "feature_hash": version.feature_hash,
        "hashes": version.hashes,
    }
