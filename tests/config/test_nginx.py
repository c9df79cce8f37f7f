"""The nginx configuration: read by nginx itself, in every way in which it can be put together."""

import re
import shutil
from itertools import combinations
from pathlib import Path

import pytest

from preprocess.runtime.nginx import CONFIG, INCLUDES, MAIN_FILE, upstream
from preprocess.settings import Settings
from tests.nginx import AVAILABLE, certificate, judged, shipped

pytestmark = pytest.mark.skipif(
    shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin") is None,
    reason="nginx is not installed",
)
FREE = ("main", "sticky", "real_ip", "status", "tls")
PLUS = ("health", "health_location")


def main_text() -> str:
    return (CONFIG / MAIN_FILE).read_text("utf-8")


def default_of(name: str) -> object:
    return Settings.model_fields[name].default


@pytest.mark.parametrize("count", range(len(FREE) + 1))
def test_nginx_takes_every_choice_of_includes(count: int, tmp_path: Path) -> None:
    for number, chosen in enumerate(combinations(FREE, count)):
        folder = shipped(tmp_path / str(number), chosen)
        if "tls" in chosen:
            certificate(folder)
        found = judged(folder)
        assert found.returncode == 0, (chosen, found.stderr)
        warnings = [line for line in found.stderr.splitlines() if "[warn]" in line]
        expected = ["load balancing method redefined"] if "sticky" in chosen else []
        # A user for workers means nothing to a master that is not root, and it says so.
        warnings = [line for line in warnings if '"user" directive makes sense' not in line]
        assert len(warnings) == len(expected), found.stderr
        assert all(words in line for words, line in zip(expected, warnings, strict=True))


@pytest.mark.parametrize(
    "missing", ["upstream", "listen", "limits", "log", "gateway", "errors", "headers"]
)
def test_a_required_include_is_missed(missing: str, tmp_path: Path) -> None:
    folder = shipped(tmp_path / "conf")
    (folder / INCLUDES / f"{missing}.conf").unlink()
    found = judged(folder)
    assert found.returncode != 0
    assert f"{missing}.conf" in found.stderr


@pytest.mark.parametrize(
    ("include", "word"), [("health", "match"), ("health_location", "health_check")]
)
def test_the_active_check_is_of_nginx_plus_alone(include: str, word: str, tmp_path: Path) -> None:
    found = judged(shipped(tmp_path / "conf", [include]))
    assert found.returncode != 0
    assert f'unknown directive "{word}"' in found.stderr


def test_each_include_is_told_of_and_there() -> None:
    text = main_text()
    asked = set(re.findall(r"include nginx/(\w+)(?:\[\.\]|\.)conf;", text))
    required = {path.stem for path in (CONFIG / INCLUDES).glob("*.conf")}
    optional = {path.stem for path in AVAILABLE.glob("*.conf")}
    assert asked == required | optional
    assert set(FREE) | set(PLUS) == optional
    head = text.partition("\n\n")[0]
    assert all(f"{name}.conf" in head for name in asked)


def test_the_method_stands_before_keepalive_and_the_servers_have_a_zone() -> None:
    block = main_text().partition("upstream gateways {")[2].partition("}")[0]
    order = [block.index(f"\n        {word} ") for word in ("zone", "keepalive")]
    assert order[0] < block.index("least_conn;") < order[1]


def test_it_agrees_with_the_settings() -> None:
    text, listen = main_text(), (CONFIG / INCLUDES / "listen.conf").read_text("utf-8")
    assert f"client_max_body_size {default_of('max_body_bytes')};" in text
    assert f"listen {default_of('http_host')}:{default_of('http_port')} " in listen
    kept = re.findall(r"        keepalive_timeout (\d+)s;", text)  # of the upstream's block
    assert int(kept[0]) < int(str(default_of("keep_alive_s")))
    (tries_s,) = set(re.findall(r"gateways;|next_upstream_timeout (\d)s;", text)) - {"", "5"}
    assert int(tries_s) * 1000 <= int(str(default_of("request_timeout_ms")))
    base = int(str(default_of("gateway_base_port")))
    assert (
        (CONFIG / INCLUDES / "upstream.conf")
        .read_text("utf-8")
        .endswith(upstream([base, base + 1], backups=True))
    )
    status = (AVAILABLE / "status.conf").read_text("utf-8")
    assert f"listen 127.0.0.1:{default_of('nginx_status_port')};" in status


def test_only_predictions_are_asked_of_another_gateway_after_they_were_sent() -> None:
    locations = re.findall(
        r"\n        location ([^{]+) \{(.*?)\n        \}", main_text(), re.DOTALL
    )
    repeated = {name for name, body in locations if "non_idempotent" in body}
    assert repeated == {"= /api/v1/predict", "= /api/v1/batch_predict", "@patient", "@leaving"}
    (traffic,) = [body for name, body in locations if name == "= /api/v1/models/traffic"]
    assert "proxy_next_upstream off;" in traffic
