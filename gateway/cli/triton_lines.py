"""Which of Triton's lines a person wants to see."""

import re

# What Triton says on every machine without a GPU; nothing is wrong then.
_NO_GPU = re.compile("CUDA driver|CudaDriverHelper|pinned")


def is_trouble(line: str) -> bool:
    """Whether it is a warning or an error that means something."""
    return line[:1] in ("W", "E") and not _NO_GPU.search(line)
