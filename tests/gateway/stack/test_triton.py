"""Which Triton is run, and what it is told of its libraries and regions."""

import sysconfig
from pathlib import Path

import pytest

from gateway.stack.triton import (
    TritonServer,
    find_server,
    triton_command,
    triton_environment,
    triton_server,
)
from gateway.stack.wheel import find_wheel
from preprocess.errors import ServerError
from preprocess.settings import load_settings


def installed(root: Path, *without: str) -> Path:
    """A folder that looks like an installed Triton, less some parts."""
    for part in ("bin/tritonserver", "backends/python", "backends/onnxruntime"):
        if part not in without:
            (root / part).mkdir(parents=True)
    return root


def test_the_server_of_the_wheel(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path, triton_root="")
    server = find_server(settings)
    assert server.program == find_wheel().server
    assert {path.name for path in server.backends.iterdir()} == {"python", "onnxruntime"}
    libraries = triton_environment(settings, server)["LD_LIBRARY_PATH"].split(":")
    assert libraries[0] == str(find_wheel().libraries)
    assert libraries[1] == sysconfig.get_config_var("LIBDIR")  # libpython, for the stub


def test_an_installed_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/usr/local/cuda/lib64")
    root = installed(tmp_path / "tritonserver")
    settings = load_settings(data_dir=tmp_path, triton_root=str(root))
    server = find_server(settings)
    assert server == TritonServer(root / "bin" / "tritonserver", root / "backends")
    # The container's own libraries are on the path that it was started with.
    assert triton_environment(settings, server)["LD_LIBRARY_PATH"] == "/usr/local/cuda/lib64"
    command = triton_command(settings, server, ["features"], "key")
    assert command[0] == str(root / "bin" / "tritonserver")
    assert f"--backend-directory={root / 'backends'}" in command


@pytest.mark.parametrize("missing", ["bin/tritonserver", "backends/python", "backends/onnxruntime"])
def test_a_missing_part_is_named(tmp_path: Path, missing: str) -> None:
    settings = load_settings(data_dir=tmp_path, triton_root=str(installed(tmp_path, missing)))
    with pytest.raises(ServerError, match=f"has no {missing}"):
        find_server(settings)


def test_triton_gets_only_the_secrets_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis = "redis://:hidden-word@localhost"
    monkeypatch.setenv("TEZI_ADMIN_TOKEN", "hidden-word" * 4)
    monkeypatch.setenv("TEZI_READ_KEY", "hidden-word" * 4)
    settings = load_settings(data_dir=tmp_path, redis_url=redis)
    server = TritonServer(tmp_path, tmp_path)
    assert "hidden-word" not in "".join(triton_environment(settings, server).values())
    caching = settings.model_copy(update={"cache_features": True})
    assert triton_environment(caching, server)["TEZI_REDIS_URL"] == redis


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "0.0.0.0", "triton.example"])
def test_a_host_other_than_loopback_gives_a_warning(tmp_path: Path, host: str) -> None:
    notices: list[str] = []
    root = str(installed(tmp_path / "tritonserver"))
    settings = load_settings(data_dir=tmp_path, triton_root=root, triton_host=host)
    triton_server(settings, notice=notices.append)
    assert bool(notices) == (host in ("0.0.0.0", "triton.example"))
