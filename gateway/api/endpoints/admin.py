"""The admin calls: activate a version, roll back, share traffic, reload."""

import asyncio
from collections.abc import Awaitable

from starlette.requests import Request
from starlette.responses import Response

from gateway.api.administrator import Administrator
from gateway.api.endpoints.models import ModelsEndpoint
from gateway.api.incoming import parse_json, read_body, require_json, validated
from gateway.api.responses import JSONAnswer
from gateway.api.schemas import TrafficRequest
from gateway.catalog.routing import Router
from gateway.catalog.versions import ModelCatalog
from gateway.errors import ChangeRefusedError, UnknownVersionError
from preprocess.errors import ModelError, PublishError, ServerError
from preprocess.repository.labels import Labels
from preprocess.repository.releases import Releases

# A load takes a second or two; a change that hangs must not block its caller for ever.
TIMEOUT_S = 120.0


class AdminEndpoints:
    """Each call responds with what GET /api/v1/models returns after the change."""

    def __init__(
        self,
        administrator: Administrator,
        releases: Releases,
        *,
        router: Router,
        versions: ModelCatalog,
        models: ModelsEndpoint,
    ) -> None:
        self._administrator = administrator
        self._releases = releases
        self._router = router
        self._versions = versions
        self._models = models

    async def activate(self, request: Request) -> Response:
        """POST /api/v1/models/{version}/activate"""
        self._administrator.require(request)
        number = request.path_params["version"]
        await self._require_published(number)
        return await self._changed(self._releases.activate(number))

    async def roll_back(self, request: Request) -> Response:
        """POST /api/v1/models/rollback"""
        self._administrator.require(request)
        await self._router.refresh()
        if self._router.labels.previous is None:
            raise ChangeRefusedError("There is no previous version to go back to")
        return await self._changed(self._releases.roll_back())

    async def traffic(self, request: Request) -> Response:
        """PUT /api/v1/models/traffic"""
        self._administrator.require(request)
        require_json(request.scope)
        body = await read_body(request.receive)
        wanted = validated(TrafficRequest, parse_json(body), "body")
        if wanted.candidate is None:
            return await self._changed(self._releases.end_traffic())
        await self._require_published(wanted.candidate)
        if wanted.candidate == self._router.labels.stable:
            raise ChangeRefusedError("This version is the stable one: it cannot be a candidate")
        return await self._changed(
            self._releases.share_traffic(wanted.candidate, wanted.share, shadow=wanted.shadow)
        )

    async def reload(self, request: Request) -> Response:
        """POST /api/v1/models/reload"""
        self._administrator.require(request)
        return await self._changed(self._releases.reconcile())

    async def _require_published(self, number: int) -> None:
        await self._versions.refresh()
        await self._router.refresh()
        if self._versions.get(number) is None:
            raise UnknownVersionError(f"There is no version {number}")

    async def _changed(self, change: Awaitable[Labels]) -> Response:
        """Wait for the change, refresh labels and versions, and respond with the new state."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await change
        except (ModelError, PublishError, ServerError, TimeoutError) as error:
            raise ChangeRefusedError(
                "The change was refused, and the version that served before still serves; "
                "the log says why"
            ) from error
        finally:
            await self._router.refresh()
            await self._versions.refresh()
        return JSONAnswer(self._models.document())
