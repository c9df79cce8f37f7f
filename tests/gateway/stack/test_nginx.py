"""What `tezi up` makes of the shipped nginx configuration."""

import asyncio
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.stack import nginx as module
from gateway.stack.nginx import (
    CONFIG,
    INCLUDES,
    LEAVING,
    MAIN_FILE,
    check_config,
    find_nginx,
    nginx_server,
    reload_gently,
    write_config,
)
from preprocess.errors import ServerError
from preprocess.settings import Settings, load_settings
from tests.nginx import AVAILABLE

pytestmark = pytest.mark.skipif(
    shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin") is None,
    reason="nginx is not installed",
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(
        data_dir=tmp_path / "home", gateways=3, http_port=9080, max_body_bytes=1_000_000
    )


def text_of(settings: Settings, name: str) -> str:
    return (settings.nginx_dir / INCLUDES / f"{name}.conf").read_text("utf-8")


async def test_the_written_configuration_is_the_shipped_one_with_these_gateways(
    settings: Settings,
) -> None:
    main = write_config(settings)
    assert main.read_bytes() == (CONFIG / MAIN_FILE).read_bytes()
    assert text_of(settings, "limits") == (CONFIG / INCLUDES / "limits.conf").read_text("utf-8")
    for port in (8081, 8082, 8083):
        assert f"server 127.0.0.1:{port} max_fails=3" in text_of(settings, "upstream")
        assert f"server 127.0.0.1:{port} max_fails=0 backup;" in text_of(settings, "upstream")
    assert "listen 127.0.0.1:9080 " in text_of(settings, "listen")
    assert "client_max_body_size 1000000;" in text_of(settings, "listen")
    assert "listen 127.0.0.1:8090;" in text_of(settings, "status")
    assert not (settings.nginx_dir / INCLUDES / "available").exists()
    if os.getuid() == 0:
        assert "user root;" in text_of(settings, "main")
    await check_config(settings)


def test_the_shipped_includes_are_those_of_the_default_settings(tmp_path: Path) -> None:
    def directives(text: str) -> set[str]:
        return {line.strip() for line in text.splitlines() if not line.startswith("#")} - {""}

    settings = load_settings(data_dir=tmp_path, gateways=2)
    write_config(settings)
    shipped = CONFIG / INCLUDES
    for name in ("upstream", "listen", "deadline", "available/status"):
        of_settings = directives(text_of(settings, name.removeprefix("available/")))
        assert directives((shipped / f"{name}.conf").read_text("utf-8")) <= of_settings, name
    largest = f"client_max_body_size {settings.max_body_bytes};"
    assert largest in directives((CONFIG / MAIN_FILE).read_text("utf-8"))


async def test_optional_includes_are_copied(settings: Settings, tmp_path: Path) -> None:
    own = tmp_path / "config"
    shutil.copytree(CONFIG / INCLUDES, own / INCLUDES)
    shutil.copyfile(CONFIG / MAIN_FILE, own / MAIN_FILE)
    shutil.copyfile(AVAILABLE / "sticky.conf", own / INCLUDES / "sticky.conf")
    write_config(settings, source=own)
    assert "ip_hash;" in text_of(settings, "sticky")
    assert "backup;" not in text_of(settings, "upstream")
    await check_config(settings)
    write_config(settings)  # chosen no longer
    assert not (settings.nginx_dir / INCLUDES / "sticky.conf").exists()


async def test_trusted_proxies_name_the_client(settings: Settings) -> None:
    trusting = settings.model_copy(update={"trusted_proxies": "10.1.2.3, 10.0.0.0/8"})
    write_config(trusting)
    assert "\nset_real_ip_from 10.1.2.3;\nset_real_ip_from 10.0.0.0/8;" in text_of(
        settings, "real_ip"
    )
    await check_config(settings)
    write_config(settings)
    assert "\nset_real_ip_from 10.0.0.0/8;" not in text_of(settings, "real_ip")


async def test_the_configuration_is_complete_at_any_moment_and_keeps_modes(
    settings: Settings, tmp_path: Path
) -> None:
    own = tmp_path / "config"
    shutil.copytree(CONFIG, own, ignore=shutil.ignore_patterns("grafana", "kubernetes"))
    (own / INCLUDES / "tls").mkdir()
    key = own / INCLUDES / "tls" / "key.pem"
    key.write_text("secret")
    key.chmod(0o600)
    write_config(settings, source=own)
    copied = settings.nginx_dir / INCLUDES / "tls" / "key.pem"
    assert copied.stat().st_mode & 0o777 == 0o600

    def write_often() -> None:
        for port in range(9081, 9121):
            write_config(settings.model_copy(update={"http_port": port}), source=own)

    writing = asyncio.create_task(asyncio.to_thread(write_often))
    while not writing.done():
        await check_config(settings)
    await writing


async def test_a_wrong_configuration_is_reported_in_nginx_s_words(settings: Settings) -> None:
    main = write_config(settings)
    main.write_text(main.read_text("utf-8").replace("least_conn;", "least_con;"))
    with pytest.raises(ServerError, match='unknown directive "least_con"'):
        await check_config(settings)


@pytest.mark.parametrize("ended", [False, True])
async def test_connections_are_closed_before_a_reload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended: bool
) -> None:
    monkeypatch.setattr(module, "_LEAVE_S", 0.1)
    monkeypatch.setattr(module, "_RELOAD_S", 0.0)
    leaving, told = tmp_path / LEAVING, []

    def tell() -> None:
        told.append((leaving.exists(), time.monotonic() - began >= 0.1))
        if ended:
            raise ProcessLookupError

    began = time.monotonic()
    with suppress(ProcessLookupError):
        await reload_gently(tmp_path, tell)
    assert told == [(True, True)]
    assert not leaving.exists()


def test_an_ipv6_address_is_bracketed(settings: Settings) -> None:
    write_config(settings.model_copy(update={"http_host": "::1"}))
    assert "listen [::1]:9080 " in text_of(settings, "listen")


def test_without_nginx_the_error_says_what_to_do(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(ServerError, match=r"apt-get install.*TEZI_GATEWAYS=1"):
        find_nginx()
    with pytest.raises(ServerError, match="nginx"):
        nginx_server(settings)
