"""The admin calls: activate a version, roll back, share traffic, reload."""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.administrator import Administrator
from gateway.api.endpoints.models import ModelsEndpoint
from gateway.api.incoming import parse_json, read_body, require_json, validated, whole_number
from gateway.api.responses import JSONAnswer
from gateway.api.schemas import TrafficRequest
from gateway.catalog.routing import Router
from gateway.catalog.versions import ModelCatalog
from gateway.errors import ChangeRefusedError, ReadOnlyError, UnknownVersionError
from preprocess.errors import ModelError, PublishError, ServerError
from preprocess.repository.labels import Labels
from preprocess.repository.releases import Releases

log = structlog.get_logger()

# A load takes a second or two. A change that takes longer is completed without its caller: it may
# have written the labels, so its end cannot be foretold. nginx waits for 120 s.
ANSWER_AFTER_S = 100.0
# At the end of the process. The next start completes what is cut short then.
CLOSE_S = 5.0


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
        self._changes: set[asyncio.Task[None]] = set()

    async def activate(self, request: Request) -> Response:
        """POST /api/v1/models/{version}/activate"""
        who = await self._administrator.require(request)
        number = whole_number(request.path_params["version"])
        if number is None:
            raise UnknownVersionError("There is no such version")
        await self._require_published(number)
        return await self._changed(request, who, self._releases.activate(number))

    async def roll_back(self, request: Request) -> Response:
        """POST /api/v1/models/rollback"""
        who = await self._administrator.require(request)
        await self._router.refresh()
        if self._router.labels.previous is None:
            raise ChangeRefusedError("There is no previous version to go back to")
        return await self._changed(request, who, self._releases.roll_back())

    async def traffic(self, request: Request) -> Response:
        """PUT /api/v1/models/traffic"""
        who = await self._administrator.require(request)
        require_json(request.scope)
        body = await read_body(request.receive)
        wanted = validated(TrafficRequest, parse_json(body), "body")
        if wanted.candidate is None:
            return await self._changed(request, who, self._releases.end_traffic())
        await self._require_published(wanted.candidate)
        if wanted.candidate == self._router.labels.stable:
            raise ChangeRefusedError("This version is the stable one: it cannot be a candidate")
        change = self._releases.share_traffic(wanted.candidate, wanted.share, shadow=wanted.shadow)
        return await self._changed(request, who, change)

    async def reload(self, request: Request) -> Response:
        """POST /api/v1/models/reload"""
        who = await self._administrator.require(request)
        return await self._changed(request, who, self._releases.reconcile())

    async def close(self) -> None:
        """Wait a moment for changes that have begun."""
        if self._changes:
            await asyncio.wait(self._changes, timeout=CLOSE_S)

    async def _require_published(self, number: int) -> None:
        await self._versions.refresh()
        await self._router.refresh()
        if self._versions.get(number) is None:
            raise UnknownVersionError(f"There is no version {number}")

    async def _changed(
        self, request: Request, who: str, change: Coroutine[Any, Any, Labels]
    ) -> Response:
        """Make the change in a task of its own, and respond with the state after it.

        The task goes on if the caller leaves, and after `ANSWER_AFTER_S`.
        """
        task = asyncio.create_task(self._make(request, who, change), name="change of versions")
        self._changes.add(task)
        task.add_done_callback(self._end)
        done, _ = await asyncio.wait({task}, timeout=ANSWER_AFTER_S)
        if not done:
            return JSONAnswer(
                {"detail": "The change takes longer; GET /api/v1/models shows when it is made"}, 202
            )
        await task
        return JSONAnswer(self._models.document())

    def _end(self, task: asyncio.Task[None]) -> None:
        self._changes.discard(task)
        if not task.cancelled():
            task.exception()  # logged already; nobody may be left to read it

    async def _make(self, request: Request, who: str, change: Coroutine[Any, Any, Labels]) -> None:
        """The change itself, with its record.

        Raises:
            ChangeRefusedError: it failed; says whether the labels have changed.
            ReadOnlyError: the versions cannot be written here.
        """
        before = self._router.labels
        failure: Exception | None = None
        try:
            await change
        except Exception as error:  # noqa: BLE001 - recorded, and raised again if unexpected
            log.warning("a change of versions failed", error=str(error))
            failure = error
        await self._router.refresh()
        await self._versions.refresh()
        after = self._router.labels
        await self._administrator.record(
            request,
            who,
            f"{request.method} {request.scope['path']}",
            before=before,
            after=after,
            failure=failure and type(failure).__name__,
        )
        if failure is None:
            return
        if not isinstance(failure, (ModelError, PublishError, ServerError, TimeoutError, OSError)):
            raise failure
        if replace(after, generation=0, changed_at=None) != replace(
            before, generation=0, changed_at=None
        ):
            # By this change, whose last steps failed, or by one of another caller.
            raise ChangeRefusedError(
                f"The change failed, but the labels have changed: version {after.stable} is stable "
                "now; the log says why"
            ) from failure
        if isinstance(failure, OSError) and not isinstance(failure, TimeoutError):
            raise ReadOnlyError(
                f"Nothing was changed: the folder of versions cannot be written here "
                f"({failure.strerror})"
            ) from failure
        raise ChangeRefusedError(
            "The change was refused and nothing was changed; the log says why"
        ) from failure
