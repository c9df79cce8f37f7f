"""Tools to measure with or against, each in a folder of its own, apart from what the product needs.

`config/setup/<name>.lock` pins a tool's packages with their hashes; they are installed into
`tools/<name>` of the data folder, without the packages that they ask for.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from preprocess.errors import TeziError
from tests.paths import PROJECT_ROOT

LOCKS = PROJECT_ROOT / "config" / "setup"

_RECORD = "installed.lock"


def tool_folder(home: Path, name: str, *, locks: Path = LOCKS) -> Path:
    """The tool's folder, as its lock file has it now; nothing is done if it is there already.

    Raises:
        TeziError: the packages could not be installed. What was there before stays.
    """
    lock = locks / f"{name}.lock"
    folder = home / "tools" / name
    record = folder / _RECORD
    if record.is_file() and record.read_bytes() == lock.read_bytes():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    staged = folder.with_name(f".{name}.{os.getpid()}")
    try:
        _install(lock, staged)
        shutil.copyfile(lock, staged / _RECORD)
        shutil.rmtree(folder, ignore_errors=True)
        staged.rename(folder)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return folder


def _install(lock: Path, target: Path) -> None:
    uv = Path(sys.executable).with_name("uv")
    command = [str(uv), "pip", "install", "--quiet", "--python", sys.executable, "--no-deps"]
    command += ["--require-hashes", "--target", str(target), "-r", str(lock)]
    environment = {**os.environ, "UV_SYSTEM_CERTS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise TeziError(
            f"{lock.stem} cannot be installed from {lock}; see to the package index, and try "
            f"again. uv says: {done.stderr.strip()}"
        )
