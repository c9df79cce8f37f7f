"""Whether Triton can be asked at all, and which version answers."""

from preprocess.errors import ModelError, ServerError
from preprocess.repository.loading import server_is_live
from preprocess.repository.versions import ensemble_name, read_versions
from preprocess.runtime.golden_check import GoldenCheck
from preprocess.settings import Settings

_ANSWER_TIMEOUT_S = 10.0


async def served_version(settings: Settings, variant: str) -> int:
    """The version that answers the golden row of `variant`, rightly and through every part.

    Raises:
        ModelError: no version of the variant is published.
        ServerError: Triton is not there, or does not serve the variant, or answers wrongly.
    """
    versions = read_versions(settings.repository_dir, variant)
    if not versions:
        raise ModelError(
            f"No {variant} version is published in {settings.repository_dir}: `tezi publish` "
            "publishes one, and --variant chooses another."
        )
    address = settings.triton_grpc_address
    if not await server_is_live(settings):
        raise ServerError(
            f"No Triton answers at {address}. Start it with `tezi up`, or give --start to have it "
            "run for this run alone."
        )
    check = GoldenCheck(settings, golden=versions[-1].golden, variant=variant)
    try:
        return await check(_ANSWER_TIMEOUT_S)
    except (ServerError, TimeoutError) as error:
        raise ServerError(
            f"{ensemble_name(variant)} of Triton at {address} cannot be used: {error}"
        ) from None
