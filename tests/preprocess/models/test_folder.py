"""Folders of trained models: found, checked, refused."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from preprocess.errors import ModelError
from preprocess.training.folder import (
    CARD_FILE,
    HOLDOUT_FILE,
    MODEL_FILES,
    ModelFolder,
    find_model,
    model_ids,
    newest_model,
)


def change_card(model: ModelFolder, **changes: object) -> None:
    path = model.path / CARD_FILE
    path.write_text(json.dumps(json.loads(path.read_bytes()) | changes))


def test_a_folder_gives_its_card_its_model_and_its_rows(model: ModelFolder) -> None:
    opened = ModelFolder.open(model.path)
    assert opened == model
    assert opened.card["model_id"] == model.path.name
    rows = opened.holdout()
    assert rows.x.shape == (len(rows.y), 25)
    assert rows.x.dtype == np.float32
    p = opened.native().probabilities(rows.x)
    assert ((p > 0) & (p < 1)).all()


def test_the_newest_is_the_last_trained(model: ModelFolder) -> None:
    models = model.path.parent
    for name in ("20260815T000000-xgboost-ffffff", "20260101T000000-xgboost-000000"):
        shutil.copytree(model.path, models / name)
    # neither a run that was killed nor a stray file is a model
    shutil.copytree(model.path, models / ".staging" / "20270101T000000-xgboost-000000-k2")
    (models / "20280101T000000-notes").mkdir()
    (models / "zzz.txt").touch()
    assert model_ids(models) == [
        "20260101T000000-xgboost-000000",
        model.path.name,
        "20260815T000000-xgboost-ffffff",
    ]
    assert newest_model(models).path.name == "20260815T000000-xgboost-ffffff"
    assert find_model(models, model.path.name) == model


def test_of_two_in_one_second_the_later_one_is_newer(model: ModelFolder) -> None:
    second = model.path.name.partition("-")[0]
    for name, age in (("-aaa", 1), ("-zzz", 2)):
        folder = model.path.with_name(f"{second}{name}")
        shutil.copytree(model.path, folder)
        card = folder / CARD_FILE
        written = card.stat().st_mtime_ns - age * 1_000_000
        os.utime(card, ns=(written, written))
    assert newest_model(model.path.parent).path == model.path


def test_none_is_said_with_what_to_do(tmp_path: Path) -> None:
    for models in (tmp_path, tmp_path / "absent"):
        with pytest.raises(ModelError, match="make one with `tezi train`"):
            newest_model(models)
        with pytest.raises(ModelError, match=r"no model 'x' .* none; make one with `tezi train`"):
            find_model(models, "x")


def test_an_unknown_id_names_the_known_ones(model: ModelFolder) -> None:
    with pytest.raises(ModelError, match=f"there are: {model.path.name}"):
        find_model(model.path.parent, "../elsewhere")


def test_a_folder_without_card_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="contains no model"):
        ModelFolder.open(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"model_id": 3}'])
def test_a_damaged_card_is_refused(model: ModelFolder, content: str) -> None:
    (model.path / CARD_FILE).write_text(content)
    with pytest.raises(ModelError, match="card is damaged"):
        ModelFolder.open(model.path)


def test_another_feature_list_is_refused(model: ModelFolder) -> None:
    features = list(model.about.features)
    change_card(model, features=[features[1], features[0], *features[2:]])
    with pytest.raises(ModelError, match=r"'macd_line' as feature 1.*tezi train"):
        ModelFolder.open(model.path)
    change_card(model, features=features[:-1])
    with pytest.raises(ModelError, match="takes 24 features"):
        newest_model(model.path.parent)


def test_files_that_were_changed_are_refused(model: ModelFolder) -> None:
    name = MODEL_FILES[model.about.family]
    with (model.path / name).open("ab") as file:
        file.write(b"\n")
    with pytest.raises(ModelError, match=f"{name} is not the file that was trained"):
        model.native()
    with (model.path / HOLDOUT_FILE).open("r+b") as file:
        file.seek(200)
        file.write(b"x")
    with pytest.raises(ModelError, match="not the file that was trained"):
        model.holdout()


def test_files_that_are_gone_are_named(model: ModelFolder) -> None:
    name = MODEL_FILES[model.about.family]
    (model.path / name).unlink()
    with pytest.raises(ModelError, match=f"{name} cannot be read"):
        model.native()
