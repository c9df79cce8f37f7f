"""Makes a running Triton serve the versions that the labels name."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from preprocess.errors import ServerError
from preprocess.models.names import (
    GPU_VARIANT,
    VARIANTS,
    Variant,
    classifier_name,
    ensemble_name,
)
from preprocess.repository.configs import classifier_behind
from preprocess.repository.golden_check import GoldenCheck
from preprocess.repository.labels import Labels
from preprocess.repository.model_server import ModelServer
from preprocess.repository.versions import ModelVersion
from preprocess.settings import Settings

_GOLDEN_TIMEOUT_S = 5.0

# The NVIDIA driver's device for the first GPU, on the host and in a container with GPU access.
_GPU_DEVICE = Path("/dev/nvidia0")


def has_gpu(settings: Settings) -> bool:
    """Whether Triton can use a GPU; the setting `auto` looks for an NVIDIA device here."""
    return _GPU_DEVICE.exists() if settings.gpu == "auto" else settings.gpu == "on"


def served_variants(settings: Settings, version: ModelVersion) -> list[Variant]:
    """The variants of a version that this machine can serve: `gpu` only with a GPU."""
    return [
        variant
        for variant in VARIANTS
        if variant in version.variants and (variant != GPU_VARIANT or has_gpu(settings))
    ]


def models_of(settings: Settings, version: ModelVersion) -> list[str]:
    """The models of one version in loading order."""
    variants = served_variants(settings, version)
    number = version.model_version
    return [
        *(classifier_name(variant, number) for variant in variants),
        *(ensemble_name(variant, number) for variant in variants),
    ]


def stable_models(settings: Settings, version: ModelVersion) -> list[str]:
    """The plain names, which point to the stable version."""
    variants = served_variants(settings, version)
    return [name(variant) for variant in variants for name in (classifier_name, ensemble_name)]


async def serve_version(
    settings: Settings, server: ModelServer, version: ModelVersion, *, loaded: frozenset[str]
) -> None:
    """Load the missing models of a version, and check that each variant passes the golden row.

    Triton runs the warm-up of each config before a model is ready. If a loaded model fails, for
    example because its process has died, it is loaded again. A version that still fails is
    unloaded; the others are not touched. Not for the stable version.

    Raises:
        ServerError: a model does not load, or gives a wrong result.
        TimeoutError: the golden row has no result in time.
    """
    names = models_of(settings, version)
    missing = [name for name in names if name not in loaded]
    try:
        if not missing:
            try:
                await _check(settings, version)
            except ServerError:
                missing = names
                await unload(server, reversed(names))
            else:
                return
        for name in missing:
            await server.load(name)
        await _check(settings, version)
    except (ServerError, TimeoutError):
        await unload(server, reversed(missing))
        raise


async def _check(settings: Settings, version: ModelVersion) -> None:
    number = version.model_version
    for variant in served_variants(settings, version):
        await GoldenCheck(settings, version, variant=variant, version=number)(_GOLDEN_TIMEOUT_S)


async def serve_stable(settings: Settings, server: ModelServer, stable: ModelVersion) -> None:
    """Point the plain names to `stable`, and check that they do.

    Raises:
        ServerError: a name does not load, or points elsewhere.
        TimeoutError: the golden row has no result in time.
    """
    loaded = await server.loaded()
    for variant in served_variants(settings, stable):
        behind = classifier_name(variant, stable.model_version)
        for name in (classifier_name(variant), ensemble_name(variant)):
            if name in loaded and classifier_behind(await server.config(name)) == behind:
                continue
            await server.load(name)
        answered = await GoldenCheck(settings, stable, variant=variant)(_GOLDEN_TIMEOUT_S)
        if answered != stable.model_version:
            raise ServerError(f"{ensemble_name(variant)} still answers with version {answered}.")
    obsolete = [
        name(variant)
        for variant in VARIANTS
        for name in (ensemble_name, classifier_name)
        if name(variant) not in stable_models(settings, stable)
    ]
    await unload(server, [name for name in obsolete if name in loaded])


async def is_served(settings: Settings, versions: Sequence[ModelVersion], labels: Labels) -> bool:
    """Whether a Triton that follows by itself answers correctly with all that it should have."""
    try:
        for version in to_be_loaded(versions, labels):
            await _check(settings, version)
            if version.model_version == labels.stable:
                for variant in served_variants(settings, version):
                    check = GoldenCheck(settings, version, variant=variant)
                    if await check(_GOLDEN_TIMEOUT_S) != labels.stable:
                        return False
    except (ServerError, TimeoutError):
        return False
    return True


async def unload(server: ModelServer, names: Iterable[str]) -> None:
    """Unload `names`; those that Triton refuses to unload are left for the next time."""
    for name in names:
        try:
            await server.unload(name)
        except ServerError:
            continue


def to_be_loaded(versions: Sequence[ModelVersion], labels: Labels) -> list[ModelVersion]:
    """The versions that should be loaded: those with a label, and the newest."""
    newest = versions[-1].model_version if versions else None
    wanted = labels.in_use | ({newest} - {None})
    return [version for version in versions if version.model_version in wanted]
