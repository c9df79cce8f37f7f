"""Whether a running Triton serves the stable version: each of its variants, by its golden row."""

import asyncio

from preprocess.errors import ModelError, ServerError
from preprocess.repository.golden_check import GoldenCheck
from preprocess.repository.serving import served_variants
from preprocess.repository.stable import stable_version
from preprocess.settings import Settings


class StableCheck:
    """Calling it returns when all variants answered rightly, and raises otherwise."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def __call__(self, timeout_s: float) -> None:
        """Ask for the golden row of each variant at the same time.

        Raises:
            TimeoutError: no answer within `timeout_s`.
            ServerError: an error, or a wrong answer.
        """
        settings = self._settings
        try:
            stable = stable_version(settings.versions_dir)
        except ModelError as error:
            raise ServerError(str(error)) from error
        checks = [
            GoldenCheck(settings, stable, variant=variant)(timeout_s)
            for variant in served_variants(settings, stable)
        ]
        for result in await asyncio.gather(*checks, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result
