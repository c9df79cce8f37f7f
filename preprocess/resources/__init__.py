"""Files that Tezi needs besides its code: configurations of Triton and nginx, and a backend.

They are the top-level folders `model_repository`, `backends` and `config` of the project. A wheel
carries them in this package; an editable install reads them where they are in the checkout.
"""

from importlib.resources import files
from pathlib import Path


def resource(name: str) -> Path:
    """The folder `name`: "model_repository", "backends" or "config"."""
    packaged = Path(str(files(__name__))) / name
    return packaged if packaged.is_dir() else packaged.parents[2] / name
