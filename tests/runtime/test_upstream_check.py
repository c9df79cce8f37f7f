"""Who is not ready is left out by the free nginx as well."""

import os
import shutil
import signal
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from preprocess.cli.check_gateways import check_gateways_command, tell_nginx
from preprocess.errors import ServerError
from preprocess.runtime import nginx
from preprocess.runtime.nginx import CONFIG, INCLUDES
from preprocess.runtime.upstream_check import UpstreamCheck
from tests.config.replica import replicas
from tests.integration.stack import free_ports
from tests.nginx import serving, shipped

ONE, OTHER = "127.0.0.1:8081", "127.0.0.1:8082"


class Gateways:
    """Who is ready, as a test says; counts reloads."""

    def __init__(self, folder: Path) -> None:
        self.ready = {ONE: True, OTHER: True}
        self.reloads = 0
        self.file = folder / "upstream.conf"
        shutil.copyfile(CONFIG / INCLUDES / "upstream.conf", self.file)
        self.check = UpstreamCheck(self.file, self._reload, ask=self._ask)

    async def _reload(self) -> None:
        self.reloads += 1

    async def _ask(self, url: str) -> bool:
        return self.ready[url.removeprefix("http://")]


@pytest.fixture
def gateways(tmp_path: Path) -> Gateways:
    return Gateways(tmp_path)


async def test_all_that_are_ready_are_asked_and_nothing_is_touched(gateways: Gateways) -> None:
    before = gateways.file.read_text()
    assert await gateways.check.look() == {ONE: True, OTHER: True}
    assert (gateways.file.read_text(), gateways.reloads) == (before, 0)


async def test_one_is_left_out_after_two_looks_and_back_after_one(gateways: Gateways) -> None:
    before = gateways.file.read_text()
    gateways.ready[OTHER] = False
    assert await gateways.check.look() == {ONE: True, OTHER: True}
    for _ in range(2):
        assert await gateways.check.look() == {ONE: True, OTHER: False}
    text = gateways.file.read_text()
    assert f"server {OTHER} max_fails=3 fail_timeout=2s down;" in text
    assert f"server {OTHER} max_fails=0 backup down;" in text
    assert f"server {ONE} max_fails=3 fail_timeout=2s;" in text
    assert gateways.reloads == 1
    gateways.ready[OTHER] = True
    assert await gateways.check.look() == {ONE: True, OTHER: True}
    assert (gateways.file.read_text(), gateways.reloads) == (before, 2)


async def test_one_that_somebody_left_out_comes_back_when_it_is_ready(gateways: Gateways) -> None:
    text = gateways.file.read_text()
    gateways.file.write_text(text.replace("2s;", "2s down;", 1))
    gateways.ready[ONE] = False
    assert (await gateways.check.look())[ONE] is False
    gateways.ready[ONE] = True
    assert (await gateways.check.look())[ONE] is True


async def test_while_none_is_ready_nothing_is_changed(gateways: Gateways) -> None:
    gateways.ready = {ONE: False, OTHER: False}
    for _ in range(3):
        assert await gateways.check.look() == {ONE: True, OTHER: True}
    assert gateways.reloads == 0
    gateways.ready[ONE] = True
    assert await gateways.check.look() == {ONE: True, OTHER: True}  # counted from now on


async def test_a_file_without_gateways_is_refused(gateways: Gateways) -> None:
    gateways.file.write_text("# nobody\n")
    with pytest.raises(ServerError, match="no `server` lines"):
        await gateways.check.look()
    gateways.file.unlink()
    with pytest.raises(ServerError, match="cannot be read"):
        await gateways.check.look()


@pytest.mark.skipif(
    shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin") is None,
    reason="nginx is not installed",
)
async def test_nginx_asks_no_more_who_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nginx, "_LEAVE_S", 0.05)
    folder = shipped(tmp_path / "nginx")

    async def reload() -> None:
        process = int((folder / "nginx.pid").read_text())
        await nginx.reload_gently(folder, lambda: os.kill(process, signal.SIGHUP))

    check = UpstreamCheck(folder / INCLUDES / "upstream.conf", reload)
    async with (
        replicas() as (one, other),
        serving(folder, free_ports(1)[0], [one.port, other.port]) as url,
        httpx.AsyncClient(base_url=url, trust_env=False) as client,
    ):
        other.statuses["/ready"] = 503
        await check.look()
        await check.look()
        assert not (folder / "leaving").exists()
        for _ in range(10):
            await client.post("/api/v1/predict")
        assert (one.asked["/api/v1/predict"], other.asked["/api/v1/predict"]) == (10, 0)


def test_the_command_says_who_is_asked(tmp_path: Path) -> None:
    file = tmp_path / "upstream.conf"
    port = free_ports(1)[0]
    file.write_text(f"server 127.0.0.1:{port} max_fails=3;\n")
    words = [str(file), "--prefix", str(tmp_path), "--once"]
    done = CliRunner().invoke(check_gateways_command, words)
    assert (done.exit_code, done.output) == (0, f"127.0.0.1:{port} is asked\n")


async def test_an_nginx_that_cannot_be_told_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match=r"nginx cannot be told by .*nginx\.pid"):
        tell_nginx(tmp_path)
