"""The shipped nginx configuration, put together as a deployment does, in a folder of its own."""

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from preprocess.runtime.nginx import CONFIG, INCLUDES, MAIN_FILE, find_nginx

AVAILABLE = CONFIG / INCLUDES / "available"


def shipped(folder: Path, optional: Iterable[str] = ()) -> Path:
    """A copy of config/nginx with `optional` includes chosen; the folder of the main file."""
    shutil.copytree(CONFIG / INCLUDES, folder / INCLUDES)
    shutil.copyfile(CONFIG / MAIN_FILE, folder / MAIN_FILE)
    for name in optional:
        shutil.copyfile(AVAILABLE / f"{name}.conf", folder / INCLUDES / f"{name}.conf")
    return folder


def certificate(folder: Path) -> None:
    """A certificate for localhost that signs itself, where tls.conf looks for it."""
    place = folder / INCLUDES / "tls"
    place.mkdir()
    files = ["-keyout", place / "key.pem", "-out", place / "certificate.pem"]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-x509"]
    name = ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(
        ["openssl", "req", *kind, *name, *files], check=True, capture_output=True, timeout=20
    )


def command(folder: Path, *more: str) -> list[str]:
    """nginx on the configuration in `folder`, with its own files in there too."""
    return [find_nginx(), "-p", str(folder), "-c", str(folder / MAIN_FILE), "-e", "stderr", *more]


def judged(folder: Path) -> "subprocess.CompletedProcess[str]":
    """What nginx says of it."""
    return subprocess.run(
        command(folder, "-t"), capture_output=True, text=True, timeout=20, check=False
    )
