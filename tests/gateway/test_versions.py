"""The catalog of versions: what is published, and what is known of the one that answers."""

from pathlib import Path

import pytest
import structlog

from gateway.catalog.versions import ModelCatalog
from preprocess.settings import Settings, load_settings
from tests.gateway.fakes import write_version


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(data_dir=tmp_path / "data")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def catalog(settings: Settings, clock: Clock) -> ModelCatalog:
    return ModelCatalog(settings.versions_dir, monotonic=clock)


async def test_there_need_be_no_repository(catalog: ModelCatalog) -> None:
    await catalog.refresh()
    assert catalog.published == []
    assert catalog.get(None) is None
    assert await catalog.look_up("fp32", 1) is None


def numbers(catalog: ModelCatalog) -> list[int]:
    return [version.model_version for version in catalog.published]


async def test_versions_are_listed_by_number(settings: Settings, catalog: ModelCatalog) -> None:
    for number in (10, 2, 1):
        write_version(settings, number)
    assert numbers(catalog) == []  # nothing is read until somebody asks for it
    await catalog.refresh()
    assert numbers(catalog) == [1, 2, 10]
    assert catalog.get(10) == catalog.published[-1]
    assert catalog.get(3) is None


async def test_a_variant_that_a_version_lacks_has_not_answered(
    settings: Settings, catalog: ModelCatalog
) -> None:
    write_version(settings, 1, variants=("fp32", "int8"))
    assert await catalog.look_up("int8", 1) == catalog.get(1)
    assert catalog.answered("fp32", 1) == catalog.get(1)
    assert catalog.answered("gpu", 1) is None
    with structlog.testing.capture_logs():
        assert await catalog.look_up("gpu", 1) is None


async def test_a_new_number_is_looked_up_when_it_answers(
    settings: Settings, catalog: ModelCatalog
) -> None:
    await catalog.refresh()
    write_version(settings, 1, threshold=0.125)
    assert catalog.answered("fp32", 1) is None
    version = await catalog.look_up("fp32", 1)
    assert version is not None
    assert version.threshold == 0.125
    assert catalog.answered("fp32", 1) == version
    assert catalog.answered("int8", 1) is None


async def test_a_version_that_is_written_anew_is_read_anew(
    settings: Settings, catalog: ModelCatalog
) -> None:
    write_version(settings, 1, threshold=0.25)
    await catalog.refresh()
    write_version(settings, 1, threshold=0.75)
    version = await catalog.look_up("fp32", 1)
    assert version is not None
    assert version.threshold == 0.75
    write_version(settings, 1, threshold=0.5)
    await catalog.refresh()
    again = catalog.answered("fp32", 1)
    assert again is not None
    assert again.threshold == 0.5


async def test_a_version_that_is_gone_from_disk_is_remembered_for_its_last_answers(
    settings: Settings, catalog: ModelCatalog
) -> None:
    folder = write_version(settings, 1)
    write_version(settings, 2)
    await catalog.look_up("fp32", 1)
    (folder / "version.json").unlink()
    await catalog.refresh()
    assert numbers(catalog) == [2]
    assert catalog.answered("fp32", 1) is not None


async def test_an_unknown_number_is_not_looked_for_on_every_answer(
    settings: Settings, catalog: ModelCatalog, clock: Clock
) -> None:
    with structlog.testing.capture_logs() as lines:
        assert await catalog.look_up("fp32", 5) is None
        write_version(settings, 5)
        clock.now += 0.5
        assert await catalog.look_up("fp32", 5) is None
        clock.now += 0.6
        assert await catalog.look_up("fp32", 5) is not None
    assert [line["event"] for line in lines] == ["an unknown model version answers"]


@pytest.mark.parametrize("content", ["{", "[]", '{"model_version": 2}', "\udcff"])
async def test_a_damaged_version_does_not_hide_the_others(
    settings: Settings, catalog: ModelCatalog, content: str
) -> None:
    write_version(settings, 1)
    folder = write_version(settings, 2)
    (folder / "version.json").write_text(content, encoding="utf-8", errors="surrogateescape")
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            await catalog.refresh()
    assert numbers(catalog) == [1]
    assert len(lines) == 1  # once, not every few seconds
    assert await catalog.look_up("fp32", 2) is None


async def test_a_version_of_another_feature_list_is_none(
    settings: Settings, catalog: ModelCatalog
) -> None:
    write_version(settings, 1, features=("rsi_14",))
    with structlog.testing.capture_logs():
        assert await catalog.look_up("fp32", 1) is None


async def test_a_repository_that_cannot_be_read_is_an_empty_one(
    settings: Settings, catalog: ModelCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> list[int]:
        raise PermissionError("no")

    monkeypatch.setattr("gateway.catalog.versions.version_numbers", refuse)
    with structlog.testing.capture_logs() as lines:
        await catalog.refresh()
    assert catalog.published == []
    assert {line["log_level"] for line in lines} == {"warning"}
