"""Answers of a load are held against what the model says."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest

from preprocess.features.service import FeatureService
from preprocess.settings import Settings, load_settings
from preprocess.store import open_store
from tests.gateway.fakes import put_labels, write_version
from tests.graphs import tiny_graph
from tests.performance.load_test.checks import Range
from tests.performance.load_test.generator import Outcome
from tests.performance.load_test.mix import Pair
from tests.performance.load_test.truth import wrong_answers

DAY = "2026-08-14"


@pytest.fixture
def settings(demo_database: Path, tmp_path: Path) -> Settings:
    """The small demo market with a tiny stable version."""
    settings = load_settings(data_dir=tmp_path / "home", database_url=f"sqlite:///{demo_database}")
    write_version(settings)
    put_labels(settings, stable=1)
    folder = settings.models_dir / "20260101T000000-tiny-000001"
    folder.mkdir(parents=True)
    onnx.save(tiny_graph(), str(folder / "model_fp32.onnx"))
    return settings


def said(settings: Settings) -> dict[Pair, float]:
    """What the tiny graph says of stocks of which nothing is missing."""
    store = open_store(settings)
    codes = store.bse_codes()
    store.close()
    service = FeatureService(lambda: open_store(settings))
    rows = service.rows([code.encode() for code in codes], [DAY.encode()] * len(codes)).values
    service.close()
    scores = rows.astype(np.float64).mean(axis=1) / 1e3
    return {
        (code, DAY): float(1 / (1 + np.exp(-score)))
        for code, score in zip(codes, scores, strict=True)
        if not np.isnan(score)
    }


def outcome(seen: Mapping[Pair, Range]) -> Outcome:
    nothing = np.zeros(0)
    return Outcome(0.0, nothing, nothing, nothing, nothing.astype(bool), {}, seen, len(seen), 0.0)


def test_each_question_with_a_wrong_answer_is_counted(settings: Settings) -> None:
    right = said(settings)
    first, second, third, *_ = right
    alright = {pair: Range(right[pair], right[pair]) for pair in (first, second, third)}
    assert wrong_answers(settings, [outcome(alright)]) == (3, 0)
    low = alright | {second: Range(right[second] - 0.001, right[second])}
    later = {third: Range(right[third], right[third] + 0.001)}
    assert wrong_answers(settings, [outcome(low), outcome(later)]) == (3, 2)
