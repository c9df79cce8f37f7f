"""`tezi activate`, `rollback`, `traffic` and `models`, without a Triton: what they change."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from preprocess.repository.labels import read_labels
from preprocess.repository.releases import Releases
from preprocess.settings import Settings, load_settings
from tests.graphs import tiny_candidate
from tests.integration.stack import free_ports

Run = Callable[..., Result]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    (port,) = free_ports(1)
    monkeypatch.setenv("TEZI_TRITON_GRPC_PORT", str(port))
    monkeypatch.setenv("TEZI_DATA_DIR", str(tmp_path / "data"))
    return load_settings()


@pytest.fixture
def run(settings: Settings) -> Run:
    return lambda *arguments: CliRunner().invoke(main, [str(word) for word in arguments])


@pytest.fixture
def three(settings: Settings, tmp_path: Path) -> None:
    """Three published versions, the first of them stable."""
    candidate = tiny_candidate(tmp_path / "model", "fp32", "int8")

    async def publish() -> None:
        for _ in range(3):
            await Releases(settings).publish(candidate)

    asyncio.run(publish())


@pytest.mark.usefixtures("three")
def test_activate_and_roll_back(run: Run) -> None:
    assert run("activate", 2).output == "Stable: version 2; previous: 1.\n"
    assert run("rollback").output == "Stable: version 1; previous: 2.\n"


@pytest.mark.usefixtures("three")
def test_traffic_is_shared_shown_and_taken_back(run: Run, settings: Settings) -> None:
    shared = run("traffic", "--candidate", 3, "--share", 12.5)
    assert "Candidate: version 3 answers 12.5 % of stocks." in shared.output
    shadowed = run("traffic", "--candidate", 3, "--share", 5, "--shadow")
    assert "Candidate: version 3 shadows 5 % of stocks." in shadowed.output
    assert run("traffic").output == shadowed.output  # without options it only tells
    assert "Candidate" not in run("traffic", "--off").output
    assert read_labels(settings.versions_dir).candidate is None


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("activate", 9), "There is no version 9; there are: 1, 2, 3."),
        (("activate", "x"), "not a valid integer"),
        (("activate", 0), "x>=1"),
        (("rollback",), "no previous version"),
        (("traffic", "--candidate", 2), "go together"),
        (("traffic", "--share", 2), "go together"),
        (("traffic", "--shadow"), "go together"),
        (("traffic", "--off", "--share", 2), "no other option"),
        (("traffic", "--candidate", 1, "--share", 2), "already serves everything"),
        (("traffic", "--candidate", 2, "--share", 0), "0.0<x<=100.0"),
        (("publish", "--keep", 0), "1<=x<=1000"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(
    run: Run, settings: Settings, arguments: tuple[object, ...], words: str
) -> None:
    before = read_labels(settings.versions_dir)
    refused = run(*arguments)
    assert refused.exit_code != 0
    assert words in " ".join(refused.output.split())
    assert read_labels(settings.versions_dir) == before


@pytest.mark.usefixtures("three")
def test_models_are_listed(run: Run) -> None:
    run("activate", 2)
    run("traffic", "--candidate", 3, "--share", 5)
    lines = run("models").output.splitlines()
    rows = [line.split()[:3] for line in lines if line.strip()[:1].isdigit()]
    assert rows == [["1", "previous", "?"], ["2", "stable", "?"], ["3", "candidate", "?"]]
    assert "not running on this data folder" in lines[-1]
    document = json.loads(run("models", "--json").output)
    assert document["labels"]["stable"] == 2
    assert [version["labels"] for version in document["versions"]] == [
        ["previous"],
        ["stable"],
        ["candidate"],
    ]
    assert {version["loaded"] for version in document["versions"]} == {None}
    assert set(document["versions"][0]["variants"]) == {"fp32", "int8"}


def test_before_anything_is_published(run: Run) -> None:
    assert "tezi publish" in run("models").output
    assert run("traffic").output == "No version is stable.\n"
    assert json.loads(run("models", "--json").output)["versions"] == []
    assert run("rollback").exit_code == 1


@pytest.mark.usefixtures("three")
def test_old_versions_are_dropped_by_policy(run: Run, settings: Settings) -> None:
    path = settings.versions_dir / "labels.json"
    document = json.loads(path.read_text())
    document["changed_at"] = "2026-01-01T00:00:00Z"  # no gateway follows older labels
    path.write_text(json.dumps(document))
    done = run("activate", 3, "--keep", 1)
    assert "version 2 was deleted; the newest 1 are kept" in done.output
    assert "Stable: version 3; previous: 1." in done.output
