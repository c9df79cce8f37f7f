"""A model whose process has died is loaded anew, while all others go on answering."""

import asyncio
import re
from collections.abc import Callable

from preprocess.errors import ServerError, TeziError
from preprocess.repository.labels import read_labels
from preprocess.repository.lock import only_change
from preprocess.repository.model_server import ModelServer
from preprocess.repository.releases import Releases
from preprocess.repository.serving import served_variants
from preprocess.repository.versions import read_version
from preprocess.runtime.golden_check import GoldenCheck
from preprocess.settings import Settings

# What Triton says from then on; the process is named after the model, two numbers behind it.
_DEAD = re.compile(r"Stub process '(?P<model>\S+)_[0-9]+_[0-9]+' is not healthy")

_LOCK_WAIT_S = 10.0
_LOOK_S = 5.0
_ANSWER_TIMEOUT_S = 5.0


def dead_model(error: Exception) -> str | None:
    """The model whose process an error says has died."""
    found = _DEAD.search(str(error))
    return found["model"] if found else None


class Mender:
    """Mends a running Triton, where that is quicker than to replace it."""

    def __init__(self, settings: Settings, notice: Callable[[str], None]) -> None:
        """`notice(text)` is told of each model that is loaded anew."""
        self._settings = settings
        self._notice = notice

    async def mend(self, error: Exception) -> bool:
        """Load the model anew that the error is about; False if it is about something else.

        Triton brings the ensembles above it back by itself.
        """
        model = dead_model(error)
        if model is None:
            return False
        settings = self._settings
        try:
            async with (
                only_change(settings, wait_s=_LOCK_WAIT_S),
                ModelServer(settings.triton_grpc_address) as server,
            ):
                await server.unload(model)
                await server.load(model)
        except TeziError as failure:
            self._notice(f"the process of {model} has died, and it cannot be loaded: {failure}")
            return False
        self._notice(f"the process of {model} had died: it is loaded anew")
        return True

    async def tend(self, releases: Releases) -> None:
        """Have everything loaded that should be, then look after the versions that do not serve.

        Those that do are watched more closely, by what readiness rests on.
        """
        await releases.reconcile()
        while True:
            await asyncio.sleep(_LOOK_S)
            for error in await self._troubles():
                await self.mend(error)

    async def _troubles(self) -> list[Exception]:
        """What is wrong with the candidate and the previous version."""
        settings = self._settings
        found: list[Exception] = []
        try:
            labels = read_labels(settings.versions_dir)
            for number in labels.in_use - {labels.stable}:
                version = read_version(settings.versions_dir, number)
                for variant in served_variants(settings, version):
                    check = GoldenCheck(settings, version, variant=variant, version=number)
                    try:
                        await check(_ANSWER_TIMEOUT_S)
                    except (ServerError, TimeoutError) as error:
                        found.append(error)
        except TeziError as error:
            self._notice(f"the versions cannot be looked after: {error}")
        return found
