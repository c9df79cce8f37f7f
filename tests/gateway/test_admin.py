"""The admin calls: who may make them, what they answer, and that they are made under the lock."""

from pathlib import Path
from typing import Any

import pytest

from preprocess.errors import ServerError
from preprocess.repository.labels import read_labels
from preprocess.repository.releases import Releases
from tests.gateway.fakes import Running, put_labels, running_app, write_version

TOKEN = {"authorization": "Bearer open sesame"}
CALLS = [
    ("POST", "/api/v1/models/1/activate"),
    ("POST", "/api/v1/models/rollback"),
    ("PUT", "/api/v1/models/traffic"),
    ("POST", "/api/v1/models/reload"),
    ("POST", "/api/v1/cache/clear"),
]


@pytest.fixture
async def admin(tmp_path: Path) -> Any:
    async with running_app(tmp_path, admin_token="open sesame") as running:
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
    assert "TEZI_ADMIN_TOKEN" in response.json()["detail"]


async def ask(admin: Running, method: str, path: str, **more: Any) -> Any:
    return await admin.client.request(method, f"/api/v1/models/{path}", headers=TOKEN, **more)


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
    assert (await ask(admin, "POST", "x/activate")).status_code == 404


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


@pytest.mark.usefixtures("no_graphs")
async def test_what_triton_refuses_is_refused(
    admin: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(self: Releases) -> None:
        raise ServerError("secret")

    assert (await ask(admin, "POST", "reload")).status_code == 200
    monkeypatch.setattr(Releases, "reconcile", refuse)
    response = await ask(admin, "POST", "reload")
    assert response.status_code == 409
    assert "secret" not in response.text


async def test_reload_picks_up_what_was_published_meanwhile(
    admin: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("preprocess.repository.releases.refresh_live_repository", lambda *_: None)
    write_version(admin.settings, 3)
    put_labels(admin.settings, newest=3)
    found = (await ask(admin, "POST", "reload")).json()
    assert [version["model_version"] for version in found["versions"]] == [1, 2, 3]
    assert found["stable"] == 1
