"""Publishing: a version folder is there whole or not at all, and what it answers is known."""

import fcntl
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from preprocess.errors import ModelError, PublishError
from preprocess.features.manifest import FEATURE_NAMES
from preprocess.repository.files import staged_folder, write_atomically
from preprocess.repository.live import SOURCE, model_names, refresh_live_repository
from preprocess.repository.publish import Candidate, publish, withdraw
from preprocess.repository.versions import read_version, read_versions, version_numbers
from preprocess.settings import Settings, load_settings
from tests.graphs import tiny_card, tiny_graph

NOW = datetime(2026, 8, 14, 12, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(data_dir=tmp_path / "data")


@pytest.fixture
def candidate(tmp_path: Path) -> Candidate:
    path = tmp_path / "model_fp32.onnx"
    onnx.save(tiny_graph(), str(path))
    return Candidate(tiny_card(), path)


def test_versions_are_numbered_and_say_what_they_answer(
    settings: Settings, candidate: Candidate
) -> None:
    first = publish(settings, candidate, now=NOW)
    second = publish(settings, candidate, now=NOW)
    assert (first.model_version, second.model_version) == (1, 2)
    assert read_versions(settings.repository_dir) == [first, second]
    assert (second.threshold, second.metrics) == (0.25, {"roc_auc": 0.6})
    graph = settings.repository_dir / "classifier_fp32" / "2" / "model.onnx"
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    golden = np.array([second.golden.features], dtype=np.float32)
    probability, version = session.run(None, {"features": np.repeat(golden, 3, axis=0)})
    assert probability[:, 0].tolist() == [second.golden.probability] * 3
    assert version[:, 0].tolist() == [2, 2, 2]
    assert list((settings.home / "staging").iterdir()) == []


def test_another_feature_list_is_refused(settings: Settings, candidate: Candidate) -> None:
    swapped = [FEATURE_NAMES[1], FEATURE_NAMES[0], *FEATURE_NAMES[2:]]
    with pytest.raises(ModelError, match="'macd_line' as feature 1"):
        publish(settings, Candidate(tiny_card(features=swapped), candidate.graph), now=NOW)
    with pytest.raises(ModelError, match="24 features"):
        publish(
            settings, Candidate(tiny_card(features=FEATURE_NAMES[:24]), candidate.graph), now=NOW
        )
    assert version_numbers(settings.repository_dir) == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "tezi export"),
        (b"", "no graph that can be served"),
        (b"\x08\x08garbage" * 50, "damaged|no graph"),
        (tiny_graph().SerializeToString()[:-40], "damaged|no graph"),
    ],
    ids=["absent", "empty", "garbage", "truncated"],
)
def test_a_damaged_graph_is_refused_and_leaves_nothing(
    settings: Settings, candidate: Candidate, content: bytes | None, reason: str
) -> None:
    publish(settings, candidate, now=NOW)
    if content is None:
        candidate.graph.unlink()
    else:
        candidate.graph.write_bytes(content)
    with pytest.raises(PublishError, match=reason):
        publish(settings, candidate, now=NOW)
    assert version_numbers(settings.repository_dir) == [1]


def test_a_graph_without_a_version_is_refused(settings: Settings, candidate: Candidate) -> None:
    graph = tiny_graph()
    graph.graph.initializer[1].name = "other"
    graph.graph.node[4].input[0] = "other"
    onnx.save(graph, str(candidate.graph))
    with pytest.raises(PublishError, match="tezi export"):
        publish(settings, candidate, now=NOW)


def test_an_impossible_probability_is_refused(settings: Settings, candidate: Candidate) -> None:
    onnx.save(tiny_graph(scale=float("nan")), str(candidate.graph))
    with pytest.raises(PublishError, match="golden row"):
        publish(settings, candidate, now=NOW)


def test_two_publishers_do_not_meet(settings: Settings, candidate: Candidate) -> None:
    settings.home.mkdir(parents=True)
    with (settings.home / "publish.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(PublishError, match="Another"):
            publish(settings, candidate, now=NOW)
    assert publish(settings, candidate, now=NOW).model_version == 1


def test_a_withdrawn_version_is_kept_outside_the_repository(
    settings: Settings, candidate: Candidate
) -> None:
    publish(settings, candidate, now=NOW)
    for _ in range(2):
        folder = withdraw(settings, publish(settings, candidate, now=NOW))
        assert (folder / "model.onnx").is_file()
        assert version_numbers(settings.repository_dir) == [1]
    assert folder.name == "classifier_fp32-2.1"


_PUBLISH_AND_DIE = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from preprocess.repository import files
from preprocess.repository.publish import Candidate, publish
from preprocess.settings import load_settings
from tests.graphs import tiny_card
calls = 0
def dying_sync(path, real=files.sync):
    global calls
    calls += 1
    if calls == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
    real(path)
settings = load_settings(data_dir=Path(sys.argv[1]))
from preprocess.repository.live import refresh_live_repository
refresh_live_repository(settings.repository_dir)
files.sync = dying_sync
publish(settings, Candidate(tiny_card(), Path(sys.argv[2])), now=datetime(2026, 1, 1, tzinfo=UTC))
"""


@pytest.mark.parametrize("call", [1, 2, 3, 4])
def test_a_publisher_killed_at_any_sync_leaves_whole_versions_only(
    settings: Settings, candidate: Candidate, call: int
) -> None:
    publish(settings, candidate, now=NOW)
    arguments = [str(settings.home), str(candidate.graph), str(call)]
    killed = subprocess.run([sys.executable, "-c", _PUBLISH_AND_DIE, *arguments], check=False)
    assert killed.returncode == -9
    found = [version.model_version for version in read_versions(settings.repository_dir)]
    assert found in ([1], [1, 2])
    assert publish(settings, candidate, now=NOW).model_version == found[-1] + 1


def test_damaged_metadata_is_refused(settings: Settings, candidate: Candidate) -> None:
    publish(settings, candidate, now=NOW)
    folder = settings.repository_dir / "classifier_fp32" / "1"
    document = json.loads((folder / "metadata.json").read_text())
    del document["threshold"]
    (folder / "metadata.json").write_text(json.dumps(document))
    with pytest.raises(ModelError, match="threshold"):
        read_version(folder)
    (folder / "metadata.json").write_text("{")
    with pytest.raises(ModelError, match="Publish the version again"):
        read_version(folder)


def test_the_live_repository_keeps_versions_and_takes_changes(
    settings: Settings, candidate: Candidate, tmp_path: Path
) -> None:
    live = settings.repository_dir
    assert {path.name for path in refresh_live_repository(live)} == {"config.pbtxt", "model.py"}
    publish(settings, candidate, now=NOW)
    assert refresh_live_repository(live) == []
    (live / "features" / "config.pbtxt").write_text("name: 'old'")
    assert refresh_live_repository(live) == [live / "features" / "config.pbtxt"]
    assert version_numbers(live) == [1]
    assert (live / "predict_fp32" / "1").is_dir()
    assert model_names(SOURCE) == ["classifier_fp32", "features", "predict_fp32"]


def test_atomic_files_and_folders(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file"
    assert write_atomically(target, b"one")
    assert not write_atomically(target, b"one")
    assert write_atomically(target, b"two")
    assert target.read_bytes() == b"two"
    assert [path.name for path in target.parent.iterdir()] == ["file"]
    with pytest.raises(FileExistsError):
        _stage(target.parent, tmp_path / "staging")
    with pytest.raises(KeyError):
        _fail_to_stage(tmp_path / "new", tmp_path / "staging")
    assert not (tmp_path / "new").exists()
    assert list((tmp_path / "staging").iterdir()) == []


def _stage(target: Path, staging: Path) -> None:
    with staged_folder(target, staging=staging):
        pass


def _fail_to_stage(target: Path, staging: Path) -> None:
    with staged_folder(target, staging=staging) as folder:
        (folder / "half").write_text("x")
        raise KeyError("on purpose")


def test_errors_of_other_kinds_are_not_hidden(
    settings: Settings, candidate: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(path: str) -> onnx.ModelProto:
        raise RuntimeError(path)

    monkeypatch.setattr("preprocess.repository.publish.onnx.load", broken)
    with pytest.raises(RuntimeError):
        publish(settings, candidate, now=NOW)
