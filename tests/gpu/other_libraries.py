"""RAPIDS' forest inference on the GPU, if it is installed: nvForest, or FIL of cuML before it."""

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.gpu.comparison import Ask


def rapids(model_file: Path) -> Iterator[tuple[str, Ask]]:
    """Its name and how it is asked; nothing where neither is installed."""
    if find_spec("nvforest"):
        loaded = import_module("nvforest").load_model(model_file, device="gpu")
        yield "nvForest", _asking(loaded)
    elif find_spec("cuml"):
        loaded = import_module("cuml.fil").ForestInference.load(str(model_file), is_classifier=True)
        yield "FIL (cuML)", _asking(loaded)


def _asking(loaded: Any) -> Ask:
    def ask(x: Any) -> Any:
        answer = loaded.predict_proba(x)
        # An array on the GPU has `get`, which copies it into this machine's memory.
        answer = answer.get() if hasattr(answer, "get") else answer
        return answer.reshape(len(x), -1)[:, -1]

    return ask
