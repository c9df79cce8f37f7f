"""Settings: checked at the start, with messages that name the variable."""

from pathlib import Path

import pytest

from preprocess.errors import SettingsError
from preprocess.settings import Settings, load_settings, settings_table, unknown_variables
from tests.paths import PROJECT_ROOT


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"TEZI_{name.upper()}", raising=False)
    monkeypatch.chdir(tmp_path)


def test_defaults_are_those_of_the_contract(tmp_path: Path) -> None:
    settings = load_settings()
    assert settings.home == tmp_path / "data"
    assert settings.database_path == tmp_path / "data" / "market.db"
    assert settings.http_url == "http://127.0.0.1:8080"
    assert settings.triton_grpc_address == "127.0.0.1:8001"
    assert (settings.triton_http_port, settings.triton_metrics_port) == (8000, 8002)


def test_variables_and_env_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TEZI_HTTP_PORT=9090\nTEZI_LOG_LEVEL=error\n")
    monkeypatch.setenv("TEZI_LOG_LEVEL", "debug")
    monkeypatch.setenv("TEZI_DATABASE_URL", f"sqlite:///{tmp_path}/m.db")
    settings = load_settings(data_dir=tmp_path)
    assert (settings.http_port, settings.log_level) == (9090, "debug")
    assert settings.database_path == tmp_path / "m.db"
    assert settings.models_dir == tmp_path / "models"
    assert settings.repository_dir == tmp_path / "model_repository"


def test_the_environment_carries_them_all_to_a_child(monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_settings(data_dir="elsewhere", http_port=9999, circuit_pct=7.5)
    for name, value in first.environment().items():
        monkeypatch.setenv(name, value)
    second = load_settings()
    assert second.home == first.home
    assert second.model_dump(exclude={"data_dir"}) == first.model_dump(exclude={"data_dir"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"http_port": 0}, "TEZI_HTTP_PORT=0"),
        ({"http_host": "0.0.0.0; include /x"}, "TEZI_HTTP_HOST"),
        ({"trusted_proxies": "10.0.0.0/8, my-proxy"}, "TEZI_TRUSTED_PROXIES"),
        ({"allowed_hosts": "example.com, http://example.com"}, "TEZI_ALLOWED_HOSTS"),
        ({"allowed_hosts": "*example.com"}, "TEZI_ALLOWED_HOSTS"),
        ({"http_port": 8001}, "a port of its own"),
        ({"http_host": "127.0.0.1; evil"}, "TEZI_HTTP_HOST="),
        ({"triton_host": "a\nb"}, "TEZI_TRITON_HOST="),
        ({"keep_alive_s": 60}, "above 60"),
        ({"database_url": "mysql://x"}, "sqlite:///"),
        ({"redis_url": "foo"}, "begins with something else"),
        ({"redis_url": "redis:///0"}, "names no host"),
        ({"redis_url": "redis://host/prod"}, "is no number"),
        ({"redis_url": "rediss://host", "cache_features": True}, "without TLS"),
        ({"log_level": "loud"}, "TEZI_LOG_LEVEL='loud'"),
        ({"circuit_pct": 0}, "TEZI_CIRCUIT_PCT"),
    ],
)
def test_wrong_settings_are_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load_settings(**changes)


@pytest.mark.parametrize("password", ["pa#ss", "pa/ss", "pa[ss", "pa:ss@x:y", "pa?ss#"])
def test_a_redis_url_that_cannot_be_read_shows_no_part_of_its_password(password: str) -> None:
    with pytest.raises(SettingsError, match="%XX") as caught:
        load_settings(redis_url=f"redis://:{password}@host:port")
    assert "pa" not in str(caught.value).replace("password", "").replace("path", "")


def test_misspelt_variables_are_found() -> None:
    assert unknown_variables({"TEZI_PORT": "1", "TEZI_HTTP_PORT": "1", "HOME": "/"}) == [
        "TEZI_PORT"
    ]


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:8080"),
        # Who listens on all IPv6 addresses is not reached by IPv4.
        ("::", "http://[::1]:8080"),
        ("fd00::7", "http://[fd00::7]:8080"),
        ("localhost", "http://localhost:8080"),
    ],
)
def test_the_url_is_one_that_a_client_can_use(host: str, url: str) -> None:
    assert load_settings(http_host=host).http_url == url


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("triton", "triton:8001"),
        ("::1", "[::1]:8001"),
    ],
)
def test_triton_is_named_as_clients_read_it(host: str, address: str) -> None:
    settings = load_settings(triton_host=host)
    assert settings.triton_grpc_address == address
    assert settings.triton_http_address == address.replace("8001", "8000")
    assert settings.triton_metrics_url == f"http://{address.replace('8001', '8002')}/metrics"


def test_the_documented_table_is_current() -> None:
    assert settings_table() in (PROJECT_ROOT / "docs" / "settings.md").read_text("utf-8")


@pytest.mark.parametrize("kind", ["predictions", "features", "queries"])
def test_the_local_ttl_is_at_most_the_redis_ttl(kind: str) -> None:
    ttl = f"cache_{kind}_ttl_s"
    with pytest.raises(SettingsError, match=rf"cache_local_ttl_s \(60\).*{ttl}"):
        load_settings(**{ttl: 59})
    assert load_settings(**{ttl: 59, "cache_local_ttl_s": 59}).cache_local_ttl_s == 59
