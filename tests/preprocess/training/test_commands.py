"""`tezi train` and `tezi export` as typed."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from preprocess.models.names import VARIANTS
from preprocess.models.proof import PROOF_FILE
from preprocess.models.variants import graph_file
from preprocess.repository.versions import version_numbers
from preprocess.settings import Settings, load_settings
from preprocess.store import open_store
from preprocess.training.folder import newest_model
from tests.preprocess.training.samples import fill


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("TEZI_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("TEZI_DATABASE_URL", raising=False)
    return load_settings()


def tezi(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, env={"COLUMNS": "120"})


def test_train_then_export(settings: Settings) -> None:
    store = open_store(settings, write=True)
    fill(store, isin="DEMO")
    store.close()

    done = tezi("train", "--target", "up_5pct", "--trees=20", "--seed=3", "--depth=4")
    assert done.exit_code == 0, done.output
    model = newest_model(settings.models_dir)
    about = model.about
    assert str(model.path / "card.md") in done.output
    for word in ("trivial rule", "base rate", f"{about.metrics['test'].roc_auc:.4f}", "made-up"):
        assert word in done.output
    assert (about.parameters["n_estimators"], about.parameters["max_depth"]) == (20, 4)
    assert about.parameters["random_state"] == 3

    options = ("--target=up_5pct", "--family=lightgbm", "--trees=10", "--learning-rate=0.3")
    other = tezi("train", *options)
    assert other.exit_code == 0, other.output
    assert newest_model(settings.models_dir).about.parameters["learning_rate"] == 0.3

    exported = tezi("export", "--model", about.model_id)
    assert exported.exit_code == 0, exported.output
    assert str(model.path) in exported.output
    assert "features exchanged" in exported.output
    for name in [*map(graph_file, VARIANTS), PROOF_FILE]:
        assert (model.path / name).is_file()

    with closing(sqlite3.connect(settings.database_path)) as database, database:
        database.execute("UPDATE sectors SET code = code + 1")
    refused = tezi("publish", "--model", about.model_id)
    assert refused.exit_code == 1
    assert f"{about.model_id} knows the sector" in refused.stderr
    assert version_numbers(settings.versions_dir) == []
