"""Which Triton is run, and what it is told of its libraries and regions."""

import sysconfig
from pathlib import Path

import pytest

from gateway.stack.triton import TritonServer, find_server, triton_command, triton_environment
from gateway.stack.wheel import find_wheel
from preprocess.errors import ServerError
from preprocess.settings import load_settings


def installed(root: Path, *without: str) -> Path:
    """A folder that looks like an installed Triton, less some parts."""
    for part in ("bin/tritonserver", "backends/python", "backends/onnxruntime"):
        if part not in without:
            (root / part).mkdir(parents=True)
    return root


def test_the_wheel_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEZI_ADMIN_TOKEN", "x" * 32)
    settings = load_settings(data_dir=tmp_path, triton_root="", admin_tokens_file=tmp_path / "t")
    server = find_server(settings)
    assert server.program == find_wheel().server
    assert {path.name for path in server.backends.iterdir()} == {"python", "onnxruntime"}
    libraries = triton_environment(settings, server)["LD_LIBRARY_PATH"].split(":")
    assert libraries[0] == str(find_wheel().libraries)
    assert not [name for name in triton_environment(settings, server) if "ADMIN" in name]
    assert libraries[1] == sysconfig.get_config_var("LIBDIR")  # libpython, for the stub


def test_the_installed_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/usr/local/cuda/lib64")
    root = installed(tmp_path / "tritonserver")
    settings = load_settings(data_dir=tmp_path, triton_root=str(root))
    server = find_server(settings)
    assert server == TritonServer(root / "bin" / "tritonserver", root / "backends")
    # The container's own libraries are on the path that it was started with.
    assert triton_environment(settings, server)["LD_LIBRARY_PATH"] == "/usr/local/cuda/lib64"
    command = triton_command(settings, server, ["features"])
    assert command[0] == str(root / "bin" / "tritonserver")
    assert f"--backend-directory={root / 'backends'}" in command


@pytest.mark.parametrize("missing", ["bin/tritonserver", "backends/python", "backends/onnxruntime"])
def test_a_part_that_is_missing_is_named(tmp_path: Path, missing: str) -> None:
    settings = load_settings(data_dir=tmp_path, triton_root=str(installed(tmp_path, missing)))
    with pytest.raises(ServerError, match=f"has no {missing}"):
        find_server(settings)
