"""Database URLs: what they name, and that nothing shows a password."""

from pathlib import Path

import pytest

from preprocess.database_url import PostgresURL, SQLiteURL, parse_database_url
from preprocess.errors import SettingsError
from preprocess.settings import load_settings


def test_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    relative = parse_database_url("sqlite:///data/m.db")
    assert relative == SQLiteURL(tmp_path / "data" / "m.db")
    assert str(relative) == f"{tmp_path}/data/m.db"
    assert parse_database_url("sqlite:////var/m.db") == SQLiteURL(Path("/var/m.db"))


def test_a_server() -> None:
    url = parse_database_url("postgres://u%40x:p%3Aw%2F@db.example/market")
    assert url == PostgresURL("db.example", 5432, "u@x", "market", "p:w/")
    assert str(url) == "postgresql://u%40x@db.example:5432/market"
    assert "p:w" not in repr(url)
    named = parse_database_url("postgresql://u@[::1]:6000/m?sslmode=require")
    assert named == PostgresURL("::1", 6000, "u", "m", None, {"sslmode": "require"})
    assert str(named) == "postgresql://u@[::1]:6000/m"
    socket = parse_database_url("postgresql://u@/m?host=/run/postgresql")
    assert socket == PostgresURL("", 5432, "u", "m", None, {"host": "/run/postgresql"})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "must begin with"),
        ("sqlite:///", "must begin with"),
        ("sqlite://m.db", "must begin with"),
        ("mysql://u:secret@h/m", "must begin with"),
        ("postgresql://u:secret@h", "needs a user and one name"),
        ("postgresql://h/m", "needs a user and one name"),
        ("postgresql://u:secret@h/m/n", "needs a user and one name"),
        ("postgresql://u:secret@/m", "names no host"),
        ("postgresql://u:se#cret@h/m", "cannot be read"),
        ("postgresql://u:secret@h:port/m", "cannot be read"),
        ("postgresql://u:secret@[h/m", "cannot be read"),
        ("postgresql://u:secret@h/m?connect_timeout=9", r"connect_timeout.*it takes"),
        ("postgresql://u:secret@h/m?secret", "does not take"),
    ],
)
def test_malformed_urls_are_refused_without_repeating_them(text: str, why: str) -> None:
    with pytest.raises(SettingsError, match=why) as told:
        parse_database_url(text)
    assert "cret" not in str(told.value) or "?secret" in text
    if text:
        with pytest.raises(SettingsError, match="TEZI_DATABASE_URL") as told:
            load_settings(database_url=text)
        assert "cret@" not in str(told.value)


def test_settings_show_no_password(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path, database_url="postgresql://u:geheim@h/m")
    assert "geheim" not in repr(settings)
    assert "geheim" not in str(settings.database)
    assert settings.environment()["TEZI_DATABASE_URL"] == "postgresql://u:geheim@h/m"
    with pytest.raises(SettingsError, match="must name a SQLite file") as told:
        _ = settings.database_path
    assert "geheim" not in str(told.value)
