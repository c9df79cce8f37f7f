"""Leftovers of killed runs are removed, and nothing that a process may still complete."""

import os
import time
from pathlib import Path

import pytest

from gateway.maintenance.leftovers import leftovers, remove
from preprocess.settings import Settings, load_settings

LONG_AGO = time.time() - 7_200


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(data_dir=tmp_path, database_url="")


def put(path: Path, *, fresh: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * 100)
    if not fresh:
        for entry in (path, path.parent):
            os.utime(entry, (LONG_AGO, LONG_AGO))
    return path


def test_what_is_left_over_is_found_and_removed(settings: Settings) -> None:
    home = settings.home
    kept = [
        put(home / "market.db"),
        put(home / "market.db.maintenance"),
        put(settings.models_dir / "20260814T120000-xgboost-3f2a9c" / "card.json"),
        put(settings.models_dir / ".staging" / "at-work-x1" / "card.json", fresh=True),
        put(settings.repository_dir / "features" / "config.pbtxt"),
        put(home / ".market.db.copy.4711", fresh=True),
        put(home / ".hidden" / "file"),
        put(settings.versions_dir / "3" / "version.json"),
    ]
    gone = [
        put(settings.models_dir / ".staging" / "killed-x2" / "model.ubj").parent,
        put(home / "staging" / "3-x3" / "model.onnx").parent,
        put(settings.versions_dir / ".staging" / "4-x4" / "fp32.onnx").parent,
        put(settings.repository_dir / "features" / ".config.pbtxt.4711"),
        put(settings.repository_dir / ".note.4711"),
        put(settings.versions_dir / ".dropped-2" / "version.json").parent,
        put(settings.versions_dir / ".labels.json.4711"),
        put(home / ".market.db.copy.4712-journal"),
    ]
    found = leftovers(settings)
    assert {leftover.path for leftover in found} == set(gone)
    assert remove(found) >= 600
    assert leftovers(settings) == []
    assert all(path.exists() for path in kept)
    assert not any(path.exists() for path in gone)


def test_a_link_is_removed_and_not_what_it_points_to(settings: Settings, tmp_path: Path) -> None:
    elsewhere = put(tmp_path / "elsewhere" / "precious")
    link = settings.home / "staging" / "link"
    link.parent.mkdir()
    link.symlink_to(elsewhere.parent)
    found = leftovers(settings, now=time.time() + 7_200)
    assert [leftover.path for leftover in found] == [link]
    remove(found)
    assert elsewhere.exists()
