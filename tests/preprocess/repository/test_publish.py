"""Publishing: a version folder is there whole or not at all, and what it answers is known."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from preprocess.errors import ModelError, PublishError
from preprocess.features.manifest import FEATURE_NAMES
from preprocess.repository.labels import read_labels
from preprocess.repository.publish import Candidate, withdraw, write_version
from preprocess.repository.versions import (
    read_version,
    read_versions,
    require_intact,
    version_numbers,
)
from preprocess.settings import Settings, load_settings
from preprocess.training.folder import STAGING_FOLDER
from tests.graphs import tiny_candidate, tiny_card, tiny_graph

NOW = datetime(2026, 8, 14, 12, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(data_dir=tmp_path / "data")


@pytest.fixture
def candidate(tmp_path: Path) -> Candidate:
    return tiny_candidate(tmp_path / "model")


def test_versions_are_numbered_and_say_what_they_answer(settings: Settings, tmp_path: Path) -> None:
    candidate = tiny_candidate(tmp_path / "model", "fp32", "int8", "gpu")
    first = write_version(settings, candidate, now=NOW)
    second = write_version(settings, candidate, now=NOW)
    assert (first.model_version, second.model_version) == (1, 2)
    assert read_versions(settings.versions_dir) == [first, second]
    assert (second.threshold, second.metrics) == (0.25, {"roc_auc": 0.6})
    assert read_labels(settings.versions_dir).newest == 2
    for variant in ("fp32", "int8", "gpu"):
        graph = settings.versions_dir / "2" / f"{variant}.onnx"
        session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
        golden = np.array([second.golden.features], dtype=np.float32)
        probability, version = session.run(None, {"features": np.repeat(golden, 3, axis=0)})
        expected = second.variants[variant].golden_probability
        assert probability[:, 0].tolist() == [expected] * 3
        assert version[:, 0].tolist() == [2, 2, 2]
        assert second.variants[variant].size_bytes == graph.stat().st_size
    probabilities = {graph.golden_probability for graph in second.variants.values()}
    assert len(probabilities) == 3
    assert list((settings.versions_dir / STAGING_FOLDER).iterdir()) == []
    for version in (first, second):
        require_intact(settings.versions_dir, version)


def test_another_feature_list_is_refused(settings: Settings, candidate: Candidate) -> None:
    swapped = [FEATURE_NAMES[1], FEATURE_NAMES[0], *FEATURE_NAMES[2:]]
    for features, reason in (
        (swapped, "'macd_line' as feature 1"),
        (FEATURE_NAMES[:24], "24 features"),
    ):
        card = tiny_card(features=features)
        with pytest.raises(ModelError, match=reason):
            write_version(settings, Candidate(card, candidate.graphs, b""), now=NOW)
    graph = tiny_graph()
    onnx.helper.set_model_props(graph, {"tezi.feature_hash": "0123456789ab"})
    onnx.save(graph, str(candidate.graphs["fp32"]))
    with pytest.raises(PublishError, match="made for other features"):
        write_version(settings, candidate, now=NOW)
    assert version_numbers(settings.versions_dir) == []


def test_a_version_without_its_reference_is_refused(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(PublishError, match="needs the variant fp32"):
        write_version(settings, tiny_candidate(tmp_path / "model", "int8"), now=NOW)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "tezi export"),
        (b"", "cannot be served"),
        (b"\x08\x08garbage" * 50, "damaged|cannot be served"),
        (tiny_graph().SerializeToString()[:-40], "damaged|cannot be served"),
    ],
    ids=["absent", "empty", "garbage", "truncated"],
)
def test_a_damaged_graph_is_refused_and_leaves_nothing(
    settings: Settings, candidate: Candidate, content: bytes | None, reason: str
) -> None:
    write_version(settings, candidate, now=NOW)
    if content is None:
        candidate.graphs["fp32"].unlink()
    else:
        candidate.graphs["fp32"].write_bytes(content)
    with pytest.raises(PublishError, match=reason):
        write_version(settings, candidate, now=NOW)
    assert version_numbers(settings.versions_dir) == [1]


def test_a_graph_without_a_version_is_refused(settings: Settings, candidate: Candidate) -> None:
    graph = tiny_graph()
    graph.graph.initializer[1].name = "other"
    graph.graph.node[4].input[0] = "other"
    onnx.save(graph, str(candidate.graphs["fp32"]))
    with pytest.raises(PublishError, match="tezi export"):
        write_version(settings, candidate, now=NOW)


def test_a_graph_that_says_another_version_is_refused(
    settings: Settings, candidate: Candidate
) -> None:
    graph = tiny_graph()
    graph.graph.initializer.append(numpy_helper.from_array(np.array([7]), "seven"))
    graph.graph.node[4].input[0] = "seven"
    onnx.save(graph, str(candidate.graphs["fp32"]))
    with pytest.raises(PublishError, match=r"of version \[\[7\]\] for .* of version 1"):
        write_version(settings, candidate, now=NOW)
    assert version_numbers(settings.versions_dir) == []


def test_an_impossible_probability_is_refused(settings: Settings, candidate: Candidate) -> None:
    onnx.save(tiny_graph(scale=float("nan")), str(candidate.graphs["fp32"]))
    with pytest.raises(PublishError, match="golden row"):
        write_version(settings, candidate, now=NOW)


def test_a_number_that_was_withdrawn_is_not_given_out_again(
    settings: Settings, candidate: Candidate
) -> None:
    write_version(settings, candidate, now=NOW)
    for number in (2, 3):
        folder = withdraw(settings, write_version(settings, candidate, now=NOW))
        assert folder == settings.home / "refused" / str(number)
        assert (folder / "fp32.onnx").is_file()
        assert version_numbers(settings.versions_dir) == [1]


def test_damaged_descriptions_are_refused(settings: Settings, candidate: Candidate) -> None:
    write_version(settings, candidate, now=NOW)
    path = settings.versions_dir / "1" / "version.json"
    right = path.read_bytes()
    for wrong, reason in (
        (right.replace(b'"threshold"', b'"threshhold"'), "threshold"),
        (b"{", "Publish the model again"),
        (b"\xff", "Publish the model again"),
        (right.replace(b'"model_version": 1', b'"model_version": 2'), "it was moved"),
    ):
        path.write_bytes(wrong)
        with pytest.raises(ModelError, match=reason):
            read_version(settings.versions_dir, 1)


@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_a_graph_that_is_not_the_published_one_is_noticed(
    settings: Settings, candidate: Candidate, damage: str
) -> None:
    version = write_version(settings, candidate, now=NOW)
    path = settings.versions_dir / "1" / "fp32.onnx"
    right = path.read_bytes()
    match damage:
        case "cut":
            path.write_bytes(right[:-1])
        case "changed":
            path.write_bytes(bytes([right[0] ^ 1]) + right[1:])
        case _:
            path.unlink()
    with pytest.raises(ModelError, match=r"fp32\.onnx"):
        require_intact(settings.versions_dir, version)


def test_errors_of_other_kinds_are_not_hidden(
    settings: Settings, candidate: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(path: str) -> onnx.ModelProto:
        raise RuntimeError(path)

    monkeypatch.setattr("preprocess.repository.publish.onnx.load", broken)
    with pytest.raises(RuntimeError):
        write_version(settings, candidate, now=NOW)
