"""The names of published models in Triton."""

from typing import Literal, get_args

Variant = Literal["fp32", "int8", "gpu"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)
DEFAULT_VARIANT: Variant = "fp32"
GPU_VARIANT: Variant = "gpu"

FEATURES = "features"


def classifier_name(variant: str, version: int | None = None) -> str:
    """The classifier of a variant: of one version, or of the stable one."""
    return _named(f"classifier_{variant}", version)


def ensemble_name(variant: str, version: int | None = None) -> str:
    """The ensemble of a variant, which clients call: of one version, or of the stable one."""
    return _named(f"predict_{variant}", version)


def _named(model: str, version: int | None) -> str:
    return model if version is None else f"{model}_v{version}"
