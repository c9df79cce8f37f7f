"""The live model repository: the project's model_repository/ with version folders in it."""

from pathlib import Path

from preprocess.repository.files import write_atomically
from preprocess.settings import PROJECT_ROOT

SOURCE = PROJECT_ROOT / "model_repository"


def model_names(source: Path = SOURCE) -> list[str]:
    """The models that the project's repository holds, ensembles last: they need the others."""
    configs = {path.parent.name: path.read_text("utf-8") for path in source.glob("*/config.pbtxt")}
    return sorted(configs, key=lambda name: ('platform: "ensemble"' in configs[name], name))


def refresh_live_repository(live: Path, source: Path = SOURCE) -> list[Path]:
    """Bring configs and Python models into `live`; return what was written.

    Version folders that `tezi publish` made stay. An ensemble gets the empty version folder that
    Triton asks for and git cannot keep.
    """
    written = []
    for path in sorted(source.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            target = live / path.relative_to(source)
            if write_atomically(target, path.read_bytes()):
                written.append(target)
    for config in live.glob("*/config.pbtxt"):
        if 'platform: "ensemble"' in config.read_text("utf-8"):
            (config.parent / "1").mkdir(exist_ok=True)
    return written
