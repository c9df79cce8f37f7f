"""Gateways beside one another: their settings, and which of them lags behind."""

from pathlib import Path

import pytest

from gateway.stack.gateways import (
    Readiness,
    gateway_environment,
    gateway_server,
    is_ready,
    replicas,
    wait_until_ready,
)
from preprocess.errors import ServerError, SettingsError
from preprocess.settings import load_settings
from tests.config.replica import Replica
from tests.integration.stack import free_ports


def test_one_gateway_listens_for_clients(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path, gateways=1)
    assert replicas(settings) == {"gateway": settings}


def test_several_gateways_listen_on_loopback(tmp_path: Path) -> None:
    settings = load_settings(
        data_dir=tmp_path, gateways=3, http_host="0.0.0.0", gateway_base_port=9100
    )
    found = replicas(settings)
    assert list(found) == ["gateway1", "gateway2", "gateway3"]
    assert [own.http_port for own in found.values()] == [9100, 9101, 9102]
    assert {own.http_host for own in found.values()} == {"127.0.0.1"}
    assert {own.trusted_proxies for own in found.values()} == {"127.0.0.1"}  # nginx
    variables = gateway_environment(found["gateway2"])
    assert (variables["TEZI_HTTP_PORT"], variables["TEZI_GATEWAYS"]) == ("9101", "1")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gateways": 2, "gateway_base_port": 7999}, "a port of its own"),
        ({"gateways": 2, "nginx_status_port": 8082}, "a port of its own"),
        ({"gateways": 2, "gateway_base_port": 65535}, "no port above 65535"),
        ({"gateways": 0}, "TEZI_GATEWAYS=0"),
    ],
)
def test_impossible_ports_are_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load_settings(**changes)


async def test_a_gateway_that_is_not_ready_while_another_is_has_failed(tmp_path: Path) -> None:
    now = 0.0
    readiness: Readiness = {}
    replica = Replica()
    await replica.start()
    replica.statuses["/ready"] = 503
    settings = load_settings(data_dir=tmp_path, http_port=replica.port)
    check = gateway_server("one", settings, readiness, several=True, clock=lambda: now).check
    readiness["other"] = False, 0.0
    await check(60.0)
    now = 60.0  # Triton is away, for all of them
    await check(60.0)
    readiness["other"] = True, 60.0
    now = 70.0
    await check(60.0)
    now = 71.0
    with pytest.raises(ServerError, match="not ready for 10 s, and another gateway is"):
        await check(60.0)
    del readiness["other"]  # it is being replaced, and no longer counts as ready
    await check(60.0)
    replica.delay_s = 60.0
    with pytest.raises(TimeoutError, match=r"within 0\.05 s"):
        await check(0.05)
    await replica.stop()
    with pytest.raises(ServerError, match="does not answer"):
        await check(60.0)


async def test_waiting_for_readiness_ends() -> None:
    replica = Replica()
    await replica.start()
    url = f"http://127.0.0.1:{replica.port}"
    await wait_until_ready([url], timeout_s=60.0)
    assert await is_ready(url)
    replica.statuses["/ready"] = 503
    with pytest.raises(ServerError, match=r"was not ready within 0\.2 s"):
        await wait_until_ready([url], timeout_s=0.2)
    await replica.stop()
    assert not await is_ready(f"http://127.0.0.1:{free_ports(1)[0]}")
