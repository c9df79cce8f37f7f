"""The mix of the load test, and how its responses are checked."""

import json
from collections import Counter
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from preprocess.errors import TeziError
from preprocess.market.columns import columns_of
from preprocess.serving.service import FeatureService
from preprocess.settings import load_settings
from preprocess.store import open_store
from preprocess.store.sqlite.store import SQLiteStore
from tests.gateway.fakes import put_labels, write_version
from tests.graphs import tiny_graph
from tests.performance.load_test.checks import Checks
from tests.performance.load_test.judgement import wrong_answers
from tests.performance.load_test.mix import Call, Mix, Once
from tests.performance.pairs import PastPairs, newest_pairs
from tests.performance.small_service import DAY, THRESHOLD, right

PAIRS = [(f"{500_000 + number}", DAY) for number in range(11_000)]


def test_the_mix_is_seven_singles_to_three_batches_by_zipfs_law() -> None:
    calls = list(islice(Mix(PAIRS, 1).calls(), 40_000))
    batches = [call for call in calls if call.is_batch]
    assert 0.28 < len(batches) / len(calls) < 0.32
    assert all(len(set(call.pairs)) == len(call.pairs) == 10 for call in batches)
    assert calls[:1_000] == list(islice(Mix(PAIRS, 1).calls(), 1_000))
    singles = [call.pairs[0] for call in calls if not call.is_batch]
    counts = [count for _, count in Counter(singles).most_common()]
    harmonic = float(np.sum(1 / np.arange(1, len(PAIRS) + 1)))
    for rank in (1, 2, 10):
        assert counts[rank - 1] == pytest.approx(len(singles) / rank / harmonic, rel=0.2)


def test_cold_calls_repeat_nothing_and_end() -> None:
    pairs = [pair for call in Once(PAIRS, 1).calls() for pair in call.pairs]
    assert len(pairs) == len(set(pairs)) > len(PAIRS) - 10


def test_past_pairs_are_taken_once(demo_store: SQLiteStore) -> None:
    columns = columns_of(list(demo_store.histories()))
    pairs = PastPairs(columns, 1)
    taken = pairs.take(100) + pairs.take(50)
    assert len(set(taken)) == 150
    newest = max(day for _, day in newest_pairs(columns))
    assert all(day < newest for _, day in taken)
    with pytest.raises(TeziError, match="choose a smaller --scale"):
        pairs.take(columns.prices.rows)


def found(call: Call, answers: list[dict[str, Any]], checks: Checks | None = None) -> str:
    body = json.dumps(answers if call.is_batch else answers[0]).encode()
    return (checks or Checks({7: THRESHOLD})).finding(call, 200, body)


ONE = Call((PAIRS[0],), is_batch=False)
MANY = Call(tuple(PAIRS[:3]), is_batch=True)


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ({"bse_code": "999999"}, "another stock"),
        ({"prediction_date": "2020-01-01"}, "another stock or day"),
        ({"probability": 1.5}, "beyond 0 and 1"),
        ({"probability": None}, "no probability"),
        ({"model_version": 8}, "model version 8"),
        ({"predicted_label": 2}, "label"),
        ({"predicted_label": "1"}, "no prediction"),
    ],
)
def test_what_is_wrong_with_a_prediction_is_said(change: dict[str, Any], finding: str) -> None:
    assert found(ONE, [right(*PAIRS[0])]) == ""
    assert finding in found(ONE, [right(*PAIRS[0]) | change])


def test_batches_must_be_whole_and_in_order() -> None:
    answers = [right(*pair) for pair in MANY.pairs]
    assert found(MANY, answers) == ""
    assert "another stock" in found(MANY, answers[::-1])
    assert "3 stocks were requested, and 2 answered" in found(MANY, answers[:2])


def test_answers_that_differ_are_remembered() -> None:
    checks = Checks({7: 0.0})
    for probability in (0.5, 0.25, 0.75):
        answer = right(*PAIRS[0]) | {"probability": probability, "predicted_label": 1}
        assert found(ONE, [answer], checks) == ""
    assert checks.seen == {PAIRS[0]: (0.25, 0.75)}


def test_each_pair_with_a_wrong_answer_is_counted(demo_database: Path, tmp_path: Path) -> None:
    """The small demo market with a tiny stable version, whose answers are computed here."""
    settings = load_settings(data_dir=tmp_path / "home", database_url=f"sqlite:///{demo_database}")
    write_version(settings)
    put_labels(settings, stable=1)
    folder = settings.models_dir / "20260101T000000-tiny-000001"
    folder.mkdir(parents=True)
    onnx.save(tiny_graph(), str(folder / "model_fp32.onnx"))
    with closing(open_store(settings)) as store:
        codes = store.bse_codes()
    with closing(FeatureService(lambda: open_store(settings))) as service:
        rows = service.rows([code.encode() for code in codes], [DAY.encode()] * len(codes)).values
    scores = rows.astype(np.float64).mean(axis=1) / 1e3
    said = {
        (code, DAY): float(1 / (1 + np.exp(-score)))
        for code, score in zip(codes, scores, strict=True)
        if not np.isnan(score)
    }
    first, second, *_ = said
    seen = {pair: (said[pair], said[pair]) for pair in (first, second)}
    assert wrong_answers(settings, seen) == (2, 0)
    seen[second] = (said[second], said[second] + 0.001)
    assert wrong_answers(settings, seen) == (2, 1)
