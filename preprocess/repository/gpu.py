"""Whether the machine that Triton runs on has a GPU to serve from."""

from pathlib import Path

from preprocess.settings import Settings

# What the NVIDIA driver makes for the first GPU, on the host and in a container that was given it.
_DEVICE = Path("/dev/nvidia0")


def has_gpu(settings: Settings) -> bool:
    """What the setting says; `auto` looks for the device of an NVIDIA GPU on this machine."""
    if settings.gpu == "auto":
        return _DEVICE.exists()
    return settings.gpu == "on"
