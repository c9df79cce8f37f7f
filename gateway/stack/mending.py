"""Looks after a running Triton: it follows the versions, and a model whose process has died is
loaded anew, while all others go on answering.

Triton itself does not: it calls such a model ready, and every request to it waits for a second and
fails. Behind a queue of these a golden row only comes late: so the process itself is looked for.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

from preprocess.errors import PublishError, ServerError, TeziError
from preprocess.repository.labels import read_labels
from preprocess.repository.lock import only_change
from preprocess.repository.model_server import ModelServer
from preprocess.repository.releases import Releases
from preprocess.repository.versions import version_numbers
from preprocess.settings import Settings

_LOCK_WAIT_S = 10.0
_LOOK_S = 0.5
_PROCESSES = Path("/proc")
_STUB = b"triton_python_backend_stub"


def models_with_stub(repository: Path) -> frozenset[str]:
    """Names of the models of a live repository that have a living process on this machine.

    A process that has died and was not yet cleared away shows no command line, and does not count.
    """
    in_repository = re.compile(re.escape(str(repository)).encode() + rb"/(?P<model>[^/]+)/")
    found = set()
    for process in _PROCESSES.iterdir():
        if not process.name.isdecimal():
            continue
        try:
            words = (process / "cmdline").read_bytes()
        except OSError:
            continue  # it has just ended, or is none of ours
        model = in_repository.search(words) if _STUB in words else None
        if model:
            found.add(model["model"].decode())
    return frozenset(found)


class Mender:
    """Mends a running Triton, where that is quicker than to replace it."""

    def __init__(
        self,
        settings: Settings,
        notice: Callable[[str], None],
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """`notice(text)` is told of each model that is loaded anew; `sleep(s)` waits."""
        self._settings = settings
        self._notice = notice
        self._sleep = sleep
        self._seen: frozenset[str] = frozenset()
        self._at_work = asyncio.Lock()
        self._trouble = ""

    def forget(self) -> None:
        """Begin anew, with a server that starts now."""
        self._seen = frozenset()

    async def tend(self, releases: Releases) -> None:
        """Have everything loaded that should be, then look after it for ever.

        Whoever changes the versions tells one Triton. Others that share their folder see it here.
        """
        followed = self._published()
        await releases.reconcile()
        while True:
            await self.mend()
            followed = await self._follow(releases, followed)
            await self._sleep(_LOOK_S)

    async def _follow(self, releases: Releases, followed: object) -> object:
        """Do as the labels and version folders say, if they have changed; what is done now."""
        try:
            published = self._published()
            if published == followed:
                return followed
            await releases.reconcile()
        except PublishError:
            return followed  # a change is still being made: look again
        except (TeziError, TimeoutError) as error:
            if str(error) != self._trouble:
                self._trouble = str(error)
                self._notice(f"a change of versions is not followed yet: {error}")
            return followed
        self._trouble = ""
        return published

    def _published(self) -> object:
        folder = self._settings.versions_dir
        return read_labels(folder), tuple(version_numbers(folder))

    async def mend(self) -> bool:
        """Load the models anew whose processes have died; whether there were any.

        Triton brings the ensembles above them back by itself. A call while another is at work waits
        for it: a model that is being loaded has a process already, and does not answer yet.
        """
        at_work = self._at_work.locked()
        async with self._at_work:
            return at_work or (bool(self._gone()) and await self._load_anew())

    async def _load_anew(self) -> bool:
        settings = self._settings
        try:
            async with (
                only_change(settings, wait_s=_LOCK_WAIT_S),
                ModelServer(settings.triton_grpc_address) as server,
            ):
                # One that is not loaded was let go of, and one that is back was mended meanwhile.
                try:
                    loaded = await server.loaded()
                except ServerError:
                    return False  # it has not started, or has ended: its supervisor says so
                dead = self._gone() & loaded
                self._seen = models_with_stub(settings.repository_dir) | dead
                for model in sorted(dead):
                    await server.unload(model)
                    await server.load(model)
                    self._notice(f"the process of {model} had died: it is loaded anew")
        except TeziError as error:
            self._notice(f"a model's process has died, and it cannot be loaded: {error}")
            return False
        return True

    def _gone(self) -> frozenset[str]:
        """The models that had a process and have none."""
        living = models_with_stub(self._settings.repository_dir)
        self._seen |= living
        return self._seen - living
