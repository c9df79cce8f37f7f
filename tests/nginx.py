"""The shipped nginx configuration, put together as a deployment does, in a folder of its own."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.stack.nginx import CONFIG, INCLUDES, MAIN_FILE, find_nginx, upstream

AVAILABLE = CONFIG / INCLUDES / "available"


def shipped(folder: Path, optional: Collection[str] = ()) -> Path:
    """A copy of config/nginx with `optional` includes chosen; the folder of the main file."""
    shutil.copytree(CONFIG / INCLUDES, folder / INCLUDES)
    shutil.copyfile(CONFIG / MAIN_FILE, folder / MAIN_FILE)
    for name in optional:
        shutil.copyfile(AVAILABLE / f"{name}.conf", folder / INCLUDES / f"{name}.conf")
    if "sticky" in optional:
        (folder / INCLUDES / "upstream.conf").write_text(upstream([8081, 8082], backups=False))
    return folder


def certificate(folder: Path) -> None:
    """A certificate for localhost that signs itself, where tls.conf looks for it."""
    place = folder / INCLUDES / "tls"
    place.mkdir()
    files: list[str | Path] = ["-keyout", place / "key.pem", "-out", place / "certificate.pem"]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-x509"]
    name = ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(
        ["openssl", "req", *kind, *name, *files], check=True, capture_output=True, timeout=20
    )


def command(folder: Path, *more: str) -> list[str]:
    """nginx on the configuration in `folder`, with its own files in there too."""
    return [find_nginx(), "-p", str(folder), "-c", str(folder / MAIN_FILE), "-e", "stderr", *more]


@asynccontextmanager
async def serving(folder: Path, port: int, gateways: Sequence[int]) -> AsyncIterator[str]:
    """nginx on the configuration in `folder` and on these ports; its address, once it answers."""
    includes = folder / INCLUDES
    (includes / "listen.conf").write_text(f"listen 127.0.0.1:{port};\n")
    sticky = (includes / "sticky.conf").exists()
    (includes / "upstream.conf").write_text(upstream(gateways, backups=not sticky))
    if not (includes / "main.conf").exists():  # a temporary folder is its owner's alone
        (includes / "main.conf").write_text(f"user {folder.owner()};\n")
    with (folder / "output.log").open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command(folder, "-g", "daemon off;"), stdout=output, stderr=asyncio.subprocess.STDOUT
        )
    try:
        async with asyncio.timeout(10):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except ConnectionError:
                    assert process.returncode is None, (folder / "output.log").read_text()
                    await asyncio.sleep(0.01)
                else:
                    writer.close()
                    await writer.wait_closed()
                    break
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()
