"""Whether Triton can be asked at all, and which version answers."""

from preprocess.errors import ModelError, ServerError
from preprocess.repository.model_server import server_is_live
from preprocess.repository.names import Variant, ensemble_name
from preprocess.repository.serving import served_variants
from preprocess.repository.stable import stable_version
from preprocess.runtime.golden_check import GoldenCheck
from preprocess.settings import Settings

_ANSWER_TIMEOUT_S = 10.0


async def served_version(settings: Settings, variant: Variant) -> int:
    """The version that answers the golden row of `variant`, rightly and through every part.

    Raises:
        ModelError: no version is published, or the stable one is without the variant.
        ServerError: Triton is not there, or does not serve the variant, or answers wrongly.
    """
    stable = stable_version(settings.versions_dir)
    if variant not in stable.variants:
        raise ModelError(
            f"Version {stable.model_version}, the stable one, has no {variant} variant: --variant "
            f"chooses another ({', '.join(stable.variants)})."
        )
    if variant not in served_variants(settings, stable):
        raise ServerError(
            f"The variant {variant} needs a GPU, and this machine has none: --variant chooses "
            "another. TEZI_GPU=on says that Triton has one elsewhere."
        )
    address = settings.triton_grpc_address
    if not await server_is_live(settings):
        raise ServerError(
            f"No Triton answers at {address}. Start it with `tezi up`, or give --start to have it "
            "run for this run alone."
        )
    check = GoldenCheck(settings, stable, variant=variant)
    try:
        return await check(_ANSWER_TIMEOUT_S)
    except (ServerError, TimeoutError) as error:
        raise ServerError(
            f"{ensemble_name(variant)} of Triton at {address} cannot be used: {error}"
        ) from None
