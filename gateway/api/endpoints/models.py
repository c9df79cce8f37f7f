"""GET /api/v1/models."""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from gateway.api.answers import ModelsAnswer, ModelVersionAnswer, VariantAnswer
from gateway.api.responses import JSONAnswer
from gateway.catalog.probe import Probe
from gateway.catalog.routing import Router
from gateway.catalog.versions import ModelCatalog
from preprocess.models.names import DEFAULT_VARIANT, VARIANTS, Variant
from preprocess.repository.labels import Labels
from preprocess.repository.versions import ModelVersion


class ModelsEndpoint:
    """What is published, which version answers what, and whether each variant works."""

    def __init__(
        self, versions: ModelCatalog, router: Router, probes: Mapping[Variant, Probe]
    ) -> None:
        self._versions = versions
        self._router = router
        self._probes = probes

    async def models(self, _: Request) -> Response:
        """Every version, and every variant."""
        return JSONAnswer(self.document())

    def document(self) -> ModelsAnswer:
        """The body of the response."""
        labels = self._router.labels
        serving = self._probes[DEFAULT_VARIANT].state.model_version
        return {
            "stable": labels.stable,
            "candidate": labels.candidate,
            "previous": labels.previous,
            "share": labels.share,
            "shadow": labels.shadow,
            "generation": labels.generation,
            "changed_at": labels.changed_at,
            "versions": [
                _version(version, labels, serving=serving) for version in self._versions.published
            ],
            "variants": {variant: self._variant(variant) for variant in VARIANTS},
        }

    def _variant(self, variant: Variant) -> VariantAnswer:
        state = self._probes[variant].state
        numbers = [
            version.model_version
            for version in self._versions.published
            if variant in version.variants
        ]
        return {
            "state": "published" if numbers else "absent",
            "versions": numbers,
            "serving": state.model_version,
            "detail": state.finding.value,
        }


def _version(version: ModelVersion, labels: Labels, *, serving: int | None) -> ModelVersionAnswer:
    number = version.model_version
    given = labels.of(number)
    return {
        "model_version": number,
        "state": "serving" if number == serving else "loaded" if given else "available",
        "labels": given,
        "model_id": version.model_id,
        "family": version.family,
        "trained_at": version.trained_at,
        "published_at": version.published_at,
        "target": version.label.name,
        "threshold": version.threshold,
        "metrics": version.metrics,
        "features": version.features,
        "feature_hash": version.feature_hash,
        "variants": {
            variant: {"sha256": graph.sha256, "size_bytes": graph.size_bytes}
            for variant, graph in version.variants.items()
        },
    }
