"""The admin calls: who may make them, what they answer, and what is recorded of them."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.cli import main
from preprocess.errors import PublishError, ServerError, SettingsError
from preprocess.repository.labels import Labels, read_labels
from preprocess.repository.releases import Releases
from preprocess.settings import load_settings
from tests.gateway.fakes import (
    ADMIN_TOKEN,
    AUTHORIZED,
    Running,
    put_labels,
    running_app,
    until,
    write_version,
)

CALLS = [
    ("POST", "/api/v1/models/1/activate"),
    ("POST", "/api/v1/models/rollback"),
    ("PUT", "/api/v1/models/traffic"),
    ("POST", "/api/v1/models/reload"),
    ("POST", "/api/v1/cache/clear"),
]


@pytest.fixture
async def admin(tmp_path: Path) -> Any:
    async with running_app(tmp_path, admin_token=ADMIN_TOKEN) as running:
        write_version(running.settings, 2)
        yield running


@pytest.mark.parametrize(("method", "path"), CALLS)
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": "Basic b3Blbg=="}, 401),
        ({"authorization": "Bearer "}, 401),
        ({"authorization": "Bearer other"}, 403),
        ({"authorization": "Bearer öpen"}, 403),
    ],
    ids=["none", "basic", "empty", "other", "not ascii"],
)
async def test_a_token_is_required(
    admin: Running, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    given = [(name.encode(), value.encode()) for name, value in headers.items()]
    response = await admin.client.request(method, path, headers=given)
    assert response.status_code == status
    assert ("www-authenticate" in response.headers) == (status == 401)
    assert read_labels(admin.settings.versions_dir).stable == 1


@pytest.mark.parametrize(("method", "path"), CALLS)
async def test_without_a_configured_token_admin_calls_are_disabled(
    tezi: Running, method: str, path: str
) -> None:
    response = await tezi.client.request(method, path, headers={"authorization": "Bearer "})
    assert response.status_code == 403
    assert "TEZI_ADMIN_TOKENS_FILE" in response.json()["detail"]


async def test_tokens_from_a_file_are_several_and_change_without_a_restart(tmp_path: Path) -> None:
    def new_token(name: str) -> tuple[str, str]:
        done = CliRunner().invoke(main, ["admin-token", name])
        token, line = done.stdout.splitlines()
        assert token not in line
        return token, line

    async def status(token: str) -> int:
        headers = {b"authorization": f"bearer {token}".encode()}
        return (await tezi.client.post("/api/v1/cache/clear", headers=headers)).status_code

    (asha, line_a), (ravi, line_r), file = new_token("asha"), new_token("ravi"), tmp_path / "tokens"
    async with running_app(tmp_path, admin_tokens_file=file, admin_token=f"{'à' * 32}\n") as tezi:
        assert await status("à" * 32) == 200
        assert await status(asha) == 403  # there is no file yet
        file.write_text(f"# those on duty\n{line_a}\n\n{line_r}\n")
        assert [await status(token) for token in (asha, ravi, "x")] == [200, 200, 403]
        file.write_text(line_r)
        assert [await status(token) for token in (asha, ravi)] == [403, 200]
        file.write_text("ravi not-a-hash")
        assert await status(ravi) == 403
        text = (await tezi.client.get("/metrics")).text
        assert 'admin_calls_total{outcome="allowed"} 4.0' in text
        assert 'admin_calls_total{outcome="refused"} 4.0' in text


def test_short_tokens_and_odd_names_are_refused() -> None:
    with pytest.raises(SettingsError, match="at least 32 characters") as refused:
        load_settings(admin_token="secret")
    assert "secret" not in str(refused.value)
    done = CliRunner().invoke(main, ["admin-token", "two words"])
    assert (done.exit_code, done.stdout) == (1, "")


async def test_refusals_are_slowed(admin: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.api.administrator.REFUSAL_S", 3600.0)
    for headers in ({}, {"authorization": "Bearer guess"}):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await admin.client.post("/api/v1/cache/clear", headers=headers)
    response = await admin.client.post("/api/v1/cache/clear", headers=AUTHORIZED)
    assert response.status_code == 200


async def ask(admin: Running, method: str, path: str, **more: Any) -> Any:
    return await admin.client.request(method, f"/api/v1/models/{path}", headers=AUTHORIZED, **more)


@pytest.fixture
def no_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    """No Triton runs here, and versions are without graphs: that they are intact is not asked."""
    monkeypatch.setattr("preprocess.repository.releases.require_intact", lambda *_: None)
    monkeypatch.setattr("preprocess.repository.releases.refresh_live_repository", lambda *_: None)


@pytest.mark.usefixtures("no_graphs")
async def test_activate_and_roll_back(admin: Running) -> None:
    found = (await ask(admin, "POST", "2/activate")).json()
    assert (found["stable"], found["previous"]) == (2, 1)
    assert read_labels(admin.settings.versions_dir).stable == 2
    assert (await admin.predict()).json()["model_version"] == 2  # this gateway follows at once
    found = (await ask(admin, "POST", "rollback")).json()
    assert (found["stable"], found["previous"]) == (1, 2)
    again = (await ask(admin, "POST", "1/activate")).json()
    assert again["generation"] == found["generation"]  # it is so already


@pytest.mark.usefixtures("no_graphs")
async def test_traffic_is_shared_and_taken_back(admin: Running) -> None:
    body = {"candidate": 2, "share": 5, "shadow": True}
    found = (await ask(admin, "PUT", "traffic", json=body)).json()
    assert (found["candidate"], found["share"], found["shadow"]) == (2, 5.0, True)
    assert found["versions"][1]["labels"] == ["candidate"]
    found = (await ask(admin, "PUT", "traffic", json={"candidate": None})).json()
    assert (found["candidate"], found["share"], found["shadow"]) == (None, 0.0, False)


async def test_unknown_versions_and_impossible_changes(admin: Running) -> None:
    response = await ask(admin, "POST", "9/activate")
    assert (response.status_code, response.json()) == (404, {"detail": "There is no version 9"})
    response = await ask(admin, "PUT", "traffic", json={"candidate": 9, "share": 5})
    assert response.status_code == 404
    response = await ask(admin, "POST", "rollback")
    assert response.status_code == 409
    assert "no previous version" in response.json()["detail"]
    response = await ask(admin, "PUT", "traffic", json={"candidate": 1, "share": 5})
    assert response.status_code == 409
    for number in ("x", "9" * 5000, "0" * 5000 + "2", "-2", "1_0", "%D9%A2"):
        response = await ask(admin, "POST", f"{number}/activate")
        assert response.status_code == 404, number
        assert len(response.text) < 100


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({}, "missing"),
        ({"candidate": 2}, "share_missing"),
        ({"candidate": 2, "share": 101}, "less_than_equal"),
        ({"candidate": 2, "share": -1}, "greater_than_equal"),
        ({"candidate": "2", "share": 5}, "int_type"),
        ({"candidate": 2, "share": 5, "shade": True}, "extra_forbidden"),
    ],
)
async def test_bad_bodies(admin: Running, body: dict[str, Any], kind: str) -> None:
    response = await ask(admin, "PUT", "traffic", json=body)
    assert response.status_code == 422
    assert [entry["type"] for entry in response.json()["detail"]] == [kind]


async def test_a_damaged_version_is_refused(admin: Running) -> None:
    response = await ask(admin, "POST", "2/activate")  # its graphs are not there
    assert response.status_code == 409
    assert str(admin.settings.home) not in response.text
    assert read_labels(admin.settings.versions_dir).stable == 1


def no_space(*_: Any, **__: Any) -> None:
    raise OSError(28, os.strerror(28), "/secret/labels.json")


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (ServerError("secret"), 409, "nothing was changed"),
        (TimeoutError("secret"), 409, "nothing was changed"),
        (PublishError("secret"), 409, "nothing was changed"),
        (OSError(30, "Read-only file system", "/secret"), 503, "Read-only file system"),
        (OSError(28, "No space left on device"), 503, "No space left on device"),
    ],
    ids=repr,
)
async def test_a_change_that_fails_says_why(
    admin: Running, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, reason: str
) -> None:
    async def fail(self: Releases) -> None:
        raise error

    monkeypatch.setattr(Releases, "reconcile", fail)
    response = await ask(admin, "POST", "reload")
    assert response.status_code == status
    assert ("retry-after" in response.headers) is (status == 503)
    assert reason in response.json()["detail"]
    assert "secret" not in response.text


@pytest.mark.usefixtures("no_graphs")
@pytest.mark.parametrize(
    "place", ["preprocess.repository.releases.write_labels", "filelock.AsyncFileLock.acquire"]
)
async def test_a_full_disk_is_a_503(
    admin: Running, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setattr(place, no_space)
    response = await ask(admin, "POST", "2/activate")
    assert response.status_code == 503
    assert "cannot be written here" in response.json()["detail"]
    assert "secret" not in response.text
    assert read_labels(admin.settings.versions_dir).stable == 1


@pytest.mark.usefixtures("no_graphs")
async def test_an_error_after_the_labels_are_written_does_not_hide_the_change(
    admin: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> None:
        raise ServerError("Triton does not answer")

    monkeypatch.setattr(Releases, "_followed", fail)
    response = await ask(admin, "POST", "2/activate")
    assert response.status_code == 409
    assert "version 2 is stable" in response.json()["detail"]
    assert (await admin.predict()).json()["model_version"] == 2


@pytest.mark.usefixtures("no_graphs")
async def test_a_change_that_takes_long_is_completed_and_recorded(
    admin: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, activate = asyncio.Event(), Releases.activate

    async def slow(self: Releases, number: int) -> Labels:
        labels = await activate(self, number)
        await release.wait()
        return labels

    monkeypatch.setattr(Releases, "activate", slow)
    monkeypatch.setattr("gateway.api.endpoints.admin.ANSWER_AFTER_S", 0.01)
    response = await ask(admin, "POST", "2/activate")
    assert response.status_code == 202
    audit = admin.settings.home / "logs" / "audit.jsonl"
    assert not audit.exists()
    release.set()
    await until(audit.exists)
    assert read_labels(admin.settings.versions_dir).stable == 2


@pytest.mark.usefixtures("no_graphs")
async def test_what_was_changed_by_whom_is_recorded(
    admin: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    await admin.client.post(
        "/api/v1/models/2/activate", headers={**AUTHORIZED, "x-request-id": "abc"}
    )
    await admin.client.post("/api/v1/cache/clear?type=features", headers=AUTHORIZED)
    audit = admin.settings.home / "logs" / "audit.jsonl"
    assert audit.stat().st_mode & 0o777 == 0o600
    first, second = map(json.loads, audit.read_text().splitlines())
    assert (first["who"], first["client"], first["request_id"]) == (
        "TEZI_ADMIN_TOKEN",
        "127.0.0.1",
        "abc",
    )
    assert first["what"] == "POST /api/v1/models/2/activate"
    assert (first["before"]["stable"], first["after"]["stable"], first["failure"]) == (1, 2, None)
    assert second["cleared"]["type"] == "features"
    assert ADMIN_TOKEN not in audit.read_text()
    monkeypatch.setattr("gateway.api.administrator.AUDIT_BYTES", 10)
    await admin.client.post("/api/v1/cache/clear", headers=AUTHORIZED)
    assert len(audit.read_text().splitlines()) == 1
    assert len(audit.with_suffix(".1.jsonl").read_text().splitlines()) == 2


async def test_reload_picks_up_what_was_published_meanwhile(
    admin: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("preprocess.repository.releases.refresh_live_repository", lambda *_: None)
    write_version(admin.settings, 3)
    put_labels(admin.settings, newest=3)
    found = (await ask(admin, "POST", "reload")).json()
    assert [version["model_version"] for version in found["versions"]] == [1, 2, 3]
    assert found["stable"] == 1
