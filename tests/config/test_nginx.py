"""The nginx configuration: read by nginx itself, bare and with every optional include."""

import re
import shutil
from pathlib import Path

import pytest

from gateway.stack.nginx import CONFIG, INCLUDES, MAIN_FILE, deadline, upstream
from preprocess.settings import Settings
from tests.nginx import AVAILABLE, certificate, judged, shipped

pytestmark = pytest.mark.skipif(
    shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin") is None,
    reason="nginx is not installed",
)
FREE = ("main", "sticky", "status", "tls")
PLUS = ("health", "health_location")


def default_of(name: str) -> object:
    return Settings.model_fields[name].default


@pytest.mark.parametrize("chosen", [(), FREE], ids=["none", "all"])
def test_nginx_takes_it(chosen: tuple[str, ...], tmp_path: Path) -> None:
    folder = shipped(tmp_path / "nginx", chosen)
    if "tls" in chosen:
        certificate(folder)
    found = judged(folder)
    assert found.returncode == 0, found.stderr
    known = ('"user" directive makes sense', "load balancing method redefined")
    warnings = [line for line in found.stderr.splitlines() if "[warn]" in line]
    assert [line for line in warnings if not any(words in line for words in known)] == []


@pytest.mark.parametrize(
    ("include", "word"), [("health", "match"), ("health_location", "health_check")]
)
def test_the_active_check_is_of_nginx_plus_alone(include: str, word: str, tmp_path: Path) -> None:
    found = judged(shipped(tmp_path / "conf", [include]))
    assert found.returncode != 0
    assert f'unknown directive "{word}"' in found.stderr


def test_each_include_is_there() -> None:
    text = (CONFIG / MAIN_FILE).read_text("utf-8")
    asked = set(re.findall(r"include nginx/(\w+)(?:\[\.\]|\.)conf;", text))
    optional = {path.stem for path in AVAILABLE.glob("*.conf")}
    assert asked == {path.stem for path in (CONFIG / INCLUDES).glob("*.conf")} | optional
    assert set(FREE) | set(PLUS) == optional


def test_it_agrees_with_the_settings() -> None:
    text = (CONFIG / MAIN_FILE).read_text("utf-8")
    listen = (CONFIG / INCLUDES / "listen.conf").read_text("utf-8")
    assert f"client_max_body_size {default_of('max_body_bytes')};" in text
    assert f"listen {default_of('http_host')}:{default_of('http_port')} " in listen
    block = text.partition("upstream gateways {")[2].partition("}")[0]
    (kept_s,) = re.findall(r"keepalive_timeout (\d+)s;", block)
    assert int(kept_s) < int(str(default_of("keep_alive_s")))
    base = int(str(default_of("gateway_base_port")))
    servers = (CONFIG / INCLUDES / "upstream.conf").read_text("utf-8")
    assert servers.endswith(upstream([base, base + 1], backups=True))
    allowed = (CONFIG / INCLUDES / "deadline.conf").read_text("utf-8")
    assert allowed.endswith(deadline(int(str(default_of("request_timeout_ms")))))
    status = (AVAILABLE / "status.conf").read_text("utf-8")
    assert f"listen 127.0.0.1:{default_of('nginx_status_port')};" in status
