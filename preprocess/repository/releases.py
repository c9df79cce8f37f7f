"""Publish, activate, roll back, share traffic: changes to versions, one at a time.

The labels are the source of truth and are written in one step. The models loaded in Triton and the
live repository follow from them, so the next change or start completes what a crash interrupted.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from preprocess.errors import ModelError, ServerError, TeziError
from preprocess.models.names import FEATURES
from preprocess.repository.control_key import read_key
from preprocess.repository.labels import Labels, read_labels, write_labels
from preprocess.repository.live import VERSION_MODEL, refresh_live_repository
from preprocess.repository.lock import only_change
from preprocess.repository.model_server import ModelServer
from preprocess.repository.serving import (
    is_served,
    models_of,
    serve_stable,
    serve_version,
    stable_models,
    to_be_loaded,
    unload,
)
from preprocess.repository.versions import (
    ModelVersion,
    delete_version,
    nothing_published,
    out_of_use,
    read_versions,
    require_intact,
    version_folder,
)
from preprocess.settings import Settings

if TYPE_CHECKING:
    from preprocess.repository.publish import Candidate


T = TypeVar("T")

# A Triton looks for changes twice a second, and loads a version in a second or two.
_FOLLOWED_S = 60.0
_POLL_S = 0.25


class Releases:
    """The versions of one data folder. Each change holds a lock and is complete or not made.

    A process that may not load models, for it cannot read the key of Triton's control APIs, writes
    only the versions and labels. The supervisor of Triton follows them, and the process waits until
    Triton answers accordingly.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        keep: int | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        notice: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`keep` is the number of newest versions to keep on disk; those in use stay in any case.

        By default it comes from the settings. `notice` receives messages for the user.
        """
        self._settings = settings
        self._keep = settings.keep_versions if keep is None else keep
        self._clock = clock
        self._notice = notice

    async def publish(self, candidate: "Candidate", *, activate: bool = False) -> ModelVersion:
        """Make the next version, load it into a running Triton, and check its results.

        The very first version becomes stable, later ones only with `activate`.

        Raises:
            ModelError, PublishError, OSError: it cannot be served or written; nothing has changed.
            ServerError: Triton refuses it. It is removed again; the stable version is unaffected.
        """
        # This imports ONNX and its runtime, which gateways and other commands do not need.
        from preprocess.repository.publish import write_version  # noqa: PLC0415 - see above

        settings = self._settings
        async with only_change(settings, first=True):
            version = write_version(settings, candidate, now=self._clock())
            before = read_labels(settings.versions_dir)
            try:
                await self._refresh(before)
                async with ModelServer(settings) as server:
                    if server.has_key and await server.is_live():
                        loaded = await server.loaded()
                        await serve_version(settings, server, version, loaded=loaded)
                becomes_stable = activate or before.stable is None
                after = before.activated(version.model_version) if becomes_stable else before
                after = await self._change(before, after)
            except BaseException as error:  # noqa: BLE001 - raised again, Ctrl-C too
                raise await self._taken_back(version, error) from None
        try:
            await self._followed(before, after)
        except BaseException as error:  # noqa: BLE001 - the same
            async with only_change(settings):
                raise await self._taken_back(version, error) from None
        return version

    async def _taken_back(self, version: ModelVersion, error: BaseException) -> BaseException:
        """Remove a version that could not be published; returns the error to raise for `error`."""
        from preprocess.repository.publish import withdraw  # noqa: PLC0415 - as in `publish`

        settings, number = self._settings, version.model_version
        labels = read_labels(settings.versions_dir)
        if number in labels.in_use:
            return error  # they could not be written back
        async with ModelServer(settings) as server:
            if server.has_key and await server.is_live():
                await unload(server, reversed(models_of(settings, version)))
        if isinstance(error, (ServerError, TimeoutError)):
            words = f"Triton refused version {number}; the stable version is unaffected. {error}"
            with suppress(OSError):  # there may be no room to keep it
                words += f" The refused version is kept in {withdraw(settings, version)}."
            error = ServerError(words)
        if version_folder(settings.versions_dir, number).exists():
            delete_version(settings.versions_dir, number)
        with suppress(OSError):  # the next change or start does it
            await self._refresh(labels)
        return error

    async def activate(self, number: int) -> Labels:
        """Make a published version stable.

        Raises:
            ModelError: there is no such version, or its files are damaged.
            ServerError: Triton refuses it; the current one stays stable.
        """
        return await self._apply(lambda labels: labels.activated(number))

    async def roll_back(self) -> Labels:
        """Make the previous version stable again. It is still loaded, so this is quick.

        Raises:
            ModelError: there was none, or its files are damaged.
            ServerError: Triton refuses it.
        """
        return await self._apply(Labels.rolled_back)

    async def share_traffic(self, number: int, share: float, *, shadow: bool) -> Labels:
        """Let a candidate serve, or shadow, `share` per cent of the stocks.

        Raises:
            ModelError: see Labels.with_candidate; or its files are damaged.
            ServerError: Triton refuses it.
        """
        return await self._apply(lambda labels: labels.with_candidate(number, share, shadow=shadow))

    async def end_traffic(self) -> Labels:
        """Give all traffic to the stable version."""
        return await self._apply(Labels.without_candidate)

    async def prepare_start(self) -> tuple[ModelVersion, list[str]]:
        """Prepare the live repository for a Triton that starts now; returns the stable version and
        the models to load first. `reconcile` loads the others.

        If the stable version's files are damaged, the newest intact one replaces it.

        Raises:
            ModelError: no version is published, or none is intact.
        """
        settings = self._settings
        async with only_change(settings):
            labels = read_labels(settings.versions_dir)
            versions = {v.model_version: v for v in await self._refresh(labels)}
            first = [number for number in (labels.stable, labels.previous) if number in versions]
            for number in dict.fromkeys([*first, *sorted(versions, reverse=True)]):
                try:
                    await self._require_intact(versions[number])
                except ModelError as error:
                    self._notice(f"version {number} cannot be served: {error}")
                    continue
                if number != labels.stable:
                    self._notice(f"version {number} is now stable")
                    await self._refresh(await self._write(labels, labels.activated(number)))
                stable = versions[number]
                names = [*models_of(settings, stable), *stable_models(settings, stable)]
                return stable, [FEATURES, *names]
        if versions:
            raise ModelError("None of the published versions is intact: `tezi publish` again.")
        raise nothing_published(settings.versions_dir)

    async def reconcile(self) -> Labels:
        """Make the live repository and a running Triton match the labels.

        If a version other than the stable one does not load, it is reported and left out.

        Raises:
            ModelError: the stable version's files are damaged.
            ServerError: Triton refuses the stable version.
        """
        async with only_change(self._settings):
            labels = read_labels(self._settings.versions_dir)
            await self._follow(labels, await self._refresh(labels))
            return labels

    async def _apply(self, change: Callable[[Labels], Labels]) -> Labels:
        async with only_change(self._settings):
            before = read_labels(self._settings.versions_dir)
            after = await self._change(before, change(before))
        await self._followed(before, after)
        return after

    async def _followed(self, before: Labels, after: Labels) -> None:
        """Wait until a Triton that this process may not load models into has followed `after`.

        Raises:
            ServerError: it has not within a minute. The labels are as before then.
        """
        settings = self._settings
        if read_key(settings):
            return
        try:
            async with ModelServer(settings) as server:
                if not await server.is_live():
                    return
            versions = await asyncio.to_thread(read_versions, settings.versions_dir)
            async with asyncio.timeout(_FOLLOWED_S):
                while not await is_served(settings, versions, after):
                    await asyncio.sleep(_POLL_S)
        except (TimeoutError, asyncio.CancelledError) as error:
            async with only_change(settings):
                if read_labels(settings.versions_dir) == after:
                    await self._write(after, before)
            if isinstance(error, asyncio.CancelledError):
                raise
            raise ServerError(
                f"Triton has not followed within {_FOLLOWED_S:g} s; its log says why. The labels "
                "are as before."
            ) from None

    async def _change(self, before: Labels, after: Labels) -> Labels:
        """Apply new labels, after checking the versions that they name."""
        settings = self._settings
        versions = await asyncio.to_thread(read_versions, settings.versions_dir)
        by_number = {version.model_version: version for version in versions}
        async with ModelServer(settings) as server:
            live = server.has_key and await server.is_live()
            loaded = await server.loaded() if live else frozenset()
            changed = after.in_use - before.in_use
            if after.stable is not None and after.stable != before.stable:
                changed |= {after.stable}
            for number in sorted(changed):
                if number not in by_number:
                    raise ModelError(
                        f"There is no version {number}; there are: "
                        f"{', '.join(map(str, by_number)) or 'none'}."
                    )
                await self._require_intact(by_number[number])
                if live:
                    await serve_version(settings, server, by_number[number], loaded=loaded)
            moves = live and after.stable is not None and after.stable != before.stable
            try:
                # First what takes room, so that a full disk leaves the labels as they are.
                await self._refresh(after)
                written = await self._write(before, after)
                if moves and after.stable is not None:
                    await serve_stable(settings, server, by_number[after.stable])
                try:
                    await self._tidy(server if live else None, before, written, versions)
                except (OSError, TeziError) as error:
                    self._notice(f"old versions stay for now: {error}")
            except (OSError, ServerError, asyncio.CancelledError):
                # After a cancellation too: a caller whose deadline passed expects no change.
                await self._write(read_labels(settings.versions_dir), before)
                await self._refresh(before)
                if moves and before.stable in by_number:
                    await serve_stable(settings, server, by_number[before.stable])
                raise
        return written

    async def _tidy(
        self,
        server: ModelServer | None,
        before: Labels,
        after: Labels,
        versions: Sequence[ModelVersion],
    ) -> None:
        """Unload versions that are no longer used, and delete the oldest of them."""
        idle = out_of_use(versions, before, after, now=self._clock())
        if server is not None:
            loaded = await server.loaded()
            for version in idle:
                names = [name for name in models_of(self._settings, version) if name in loaded]
                await unload(server, reversed(names))
        newest = versions[-self._keep :]
        surplus = [version.model_version for version in idle if version not in newest]
        for number in surplus:
            await _to_its_end(partial(delete_version, self._settings.versions_dir, number))
            self._notice(f"version {number} was deleted; the newest {self._keep} are kept")
        if surplus:
            await self._refresh(after)

    async def _follow(self, labels: Labels, versions: Sequence[ModelVersion]) -> None:
        settings = self._settings
        async with ModelServer(settings) as server:
            if not server.has_key or not await server.is_live():
                return
            loaded = await server.loaded()
            for version in to_be_loaded(versions, labels):
                is_stable = version.model_version == labels.stable
                if is_stable and loaded.issuperset(models_of(settings, version)):
                    continue  # the supervisor checks its results
                try:
                    await self._require_intact(version)
                    await serve_version(settings, server, version, loaded=loaded)
                except (ModelError, ServerError, TimeoutError) as error:
                    if is_stable:
                        raise
                    self._notice(f"version {version.model_version} is left out: {error}")
            stable = next((v for v in versions if v.model_version == labels.stable), None)
            if stable is not None:
                await serve_stable(settings, server, stable)
            # Of a change that another process made, and could not unload itself.
            idle = out_of_use(versions, labels, labels, now=self._clock())
            kept = {version.model_version for version in versions if version not in idle}
            found = ((name, VERSION_MODEL.fullmatch(name)) for name in sorted(loaded, reverse=True))
            await unload(server, [name for name, of in found if of and int(of[1]) not in kept])

    async def _write(self, before: Labels, after: Labels) -> Labels:
        folder = self._settings.versions_dir
        return await _to_its_end(partial(write_labels, folder, before, after, now=self._clock()))

    async def _require_intact(self, version: ModelVersion) -> None:
        await asyncio.to_thread(require_intact, self._settings.versions_dir, version)

    async def _refresh(self, labels: Labels) -> list[ModelVersion]:
        # In a thread, like all disk access here: a gateway continues to serve meanwhile.
        return await _to_its_end(partial(self._refresh_now, labels))

    def _refresh_now(self, labels: Labels) -> list[ModelVersion]:
        versions = read_versions(self._settings.versions_dir)
        if read_key(self._settings):  # else no Triton reads the repository in this data folder
            refresh_live_repository(self._settings, versions, labels)
        return versions


async def _to_its_end(work: Callable[[], T]) -> T:
    """Run `work` in a thread; a cancellation takes effect when it has ended."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
