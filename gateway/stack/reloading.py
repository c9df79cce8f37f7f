"""Keeps the models of a running Triton loaded: it follows the published versions, and reloads a
model whose process has died, while all others keep answering.

Triton does neither. It reports such a model as ready, and every request to it waits a second and
fails. Behind a queue of such requests a golden row merely comes late, so the process is checked.
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
_POLL_S = 0.5
_PROCESSES = Path("/proc")
_STUB = b"triton_python_backend_stub"


def models_with_stub(repository: Path) -> frozenset[str]:
    """Names of the models of a live repository that have a running process on this machine.

    A zombie process shows no command line and does not count.
    """
    in_repository = re.compile(re.escape(str(repository)).encode() + rb"/(?P<model>[^/]+)/")
    found = set()
    for process in _PROCESSES.iterdir():
        if not process.name.isdecimal():
            continue
        try:
            words = (process / "cmdline").read_bytes()
        except OSError:
            continue  # it has just ended, or belongs to another user
        model = in_repository.search(words) if _STUB in words else None
        if model:
            found.add(model["model"].decode())
    return frozenset(found)


class ModelReloader:
    """Repairs a running Triton by reloading models, where that is quicker than a restart."""

    def __init__(
        self,
        settings: Settings,
        notice: Callable[[str], None],
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """`notice(text)` reports each reloaded model; `sleep(s)` is the pause between checks."""
        self._settings = settings
        self._notice = notice
        self._sleep = sleep
        self._seen: frozenset[str] = frozenset()
        self._reloading = asyncio.Lock()
        self._trouble = ""

    def reset(self) -> None:
        """Start over, for a server that is about to start."""
        self._seen = frozenset()

    async def watch(self, releases: Releases) -> None:
        """Load everything that should be loaded, then keep it so for ever.

        A change of versions is sent to one Triton. Others that share the folder notice it here.
        """
        followed: object = None
        while True:
            followed = await self._follow(releases, followed)
            await self.reload_dead()
            await self._sleep(_POLL_S)

    async def _follow(self, releases: Releases, followed: object) -> object:
        """Apply the labels and version folders if they have changed; return what is applied now."""
        try:
            published = self._published()
            if published == followed:
                return followed
            await releases.reconcile()
        except PublishError:
            return followed  # a change is still in progress: check again later
        except (TeziError, TimeoutError, OSError) as error:
            if str(error) != self._trouble:
                self._trouble = str(error)
                self._notice(f"a change of versions could not be applied yet: {error}")
            return followed
        self._trouble = ""
        return published

    def _published(self) -> object:
        folder = self._settings.versions_dir
        return read_labels(folder), tuple(version_numbers(folder))

    async def reload_dead(self) -> bool:
        """Reload the models whose processes have died; return whether there were any.

        Triton restores the ensembles that use them by itself. A call during another waits for it: a
        model that is loading already has a process, but does not answer yet.
        """
        was_reloading = self._reloading.locked()
        async with self._reloading:
            return was_reloading or (bool(self._dead()) and await self._reload())

    async def _reload(self) -> bool:
        settings = self._settings
        try:
            async with (
                only_change(settings, wait_s=_LOCK_WAIT_S),
                ModelServer(settings) as server,
            ):
                # What is not loaded was unloaded on purpose; what runs was reloaded already.
                try:
                    loaded = await server.loaded()
                except ServerError:
                    return False  # it has not started, or has ended: its supervisor reports that
                dead = self._dead() & loaded
                self._seen = models_with_stub(settings.repository_dir) | dead
                for model in sorted(dead):
                    await server.unload(model)
                    await server.load(model)
                    self._notice(f"the process of {model} died; the model was reloaded")
        except (TeziError, OSError) as error:
            self._notice(f"a model's process died, and the model cannot be reloaded: {error}")
            return False
        return True

    def _dead(self) -> frozenset[str]:
        """The models that had a process and no longer have one."""
        living = models_with_stub(self._settings.repository_dir)
        self._seen |= living
        return self._seen - living
