"""The walk of docs/real-market.md: real data, three ways to ask, one answer, and it is right."""

import json
import pickle
from typing import Any

import numpy as np
import pytest

from preprocess.features.manifest import FEATURE_NAMES
from preprocess.features.row import MINIMUM_ROWS
from preprocess.repository.stable import stable_version
from preprocess.settings import Settings
from preprocess.training.folder import find_model
from tests.integration.clients import Pairs, rest, triton_grpc, triton_http
from tests.integration.stack import RunningStack, tezi
from tests.reference import ReferenceMarket, features
from tests.walk import documented_commands

pytestmark = [pytest.mark.market_data, pytest.mark.triton]

SEED = 20260814
WALKED = [("500325", "2026-08-14"), ("532540", "2026-08-14"), ("500180", "2026-08-14")]


@pytest.fixture(scope="module")
def reference(market_data: Any) -> ReferenceMarket:
    return ReferenceMarket.load(market_data)


@pytest.fixture(scope="module")
def pickled_model(real_market: Settings) -> Any:
    """The model as `tezi train` pickled it, without anything of Tezi round it."""
    version = stable_version(real_market.versions_dir)
    folder = find_model(real_market.models_dir, version.model_id).path
    with (folder / "model.pickle").open("rb") as file:
        return pickle.load(file)  # made by this very test run


def offline(model: Any, reference: ReferenceMarket, pairs: Pairs) -> tuple[Any, Any]:
    """Features by plain TA-Lib calls [n, 25] and the pickled model's probabilities [n]."""
    rows = np.array([features(reference, code, day) for code, day in pairs])
    return rows, model.predict_proba(rows.astype(np.float32))[:, 1]


def test_three_ways_give_one_answer_and_it_is_the_models_own(
    real_stack: RunningStack, reference: ReferenceMarket, pickled_model: Any
) -> None:
    settings = real_stack.settings
    gateway = rest(settings, WALKED)
    grpc, http = triton_grpc(settings, WALKED), triton_http(settings, WALKED)
    for name in grpc:
        assert grpc[name].dtype == http[name].dtype
        np.testing.assert_array_equal(grpc[name], http[name])
    over_rest = np.array([answer["probability"] for answer in gateway])
    assert over_rest.astype(np.float32).tobytes() == grpc["probability"][:, 0].tobytes()
    rest_features = np.array(
        [[answer["features"][name] for name in FEATURE_NAMES] for answer in gateway], dtype=float
    )
    np.testing.assert_array_equal(rest_features.astype(np.float32), grpc["features"])
    assert [answer["as_of"] for answer in gateway] == ["2026-08-14"] * 3
    assert [answer["nse_symbol"] for answer in gateway] == ["RELIANCE", "TCS", "HDFCBANK"]
    assert {answer["model_version"] for answer in gateway} == {1}
    _, expected = offline(pickled_model, reference, WALKED)
    np.testing.assert_allclose(over_rest, expected, rtol=0, atol=1e-5)


def test_a_thousand_random_pairs_equal_the_offline_computation(
    real_stack: RunningStack, reference: ReferenceMarket, pickled_model: Any
) -> None:
    rng = np.random.default_rng(SEED)
    codes = sorted(code for code in reference.prices if len(reference.prices[code]) > MINIMUM_ROWS)
    pairs = []
    for code in rng.choice(codes, 1000):
        days = reference.prices[code].date
        place = int(rng.integers(MINIMUM_ROWS, len(days)))
        pairs.append((str(code), days.sort_values().iloc[place].strftime("%Y-%m-%d")))
    rows, expected = offline(pickled_model, reference, pairs)
    answers = rest(real_stack.settings, pairs)
    assert [answer["error"] for answer in answers] == [None] * 1000
    found = np.array(
        [[answer["features"][name] for name in FEATURE_NAMES] for answer in answers], dtype=float
    )
    np.testing.assert_allclose(found, rows.astype(np.float32), rtol=1e-6, atol=0, equal_nan=True)
    probabilities = [answer["probability"] for answer in answers]
    np.testing.assert_allclose(probabilities, expected, rtol=0, atol=1e-5)
    grpc = triton_grpc(real_stack.settings, pairs)
    assert grpc["probability"][:, 0].astype(float).tolist() == probabilities


def test_the_documented_question_is_answered(real_stack: RunningStack) -> None:
    asked = next(command for command in documented_commands() if command[1] == "predict")
    table = tezi(real_stack.settings, *asked[1:]).stdout
    for symbol in ("RELIANCE", "TCS", "HDFCBANK"):
        assert symbol in table
    answers = json.loads(tezi(real_stack.settings, *asked[1:], "--json").stdout)
    assert [answer["bse_code"] for answer in answers] == ["500325", "532540", "500180"]


def test_a_stock_is_the_same_alone_and_in_a_batch(real_stack: RunningStack) -> None:
    rng = np.random.default_rng(SEED)
    pairs = [(code, "2026-08-14") for code in rng.choice(["500002", "500003", "500008"], 30)]
    pairs[7:10] = WALKED
    together = triton_grpc(real_stack.settings, pairs)
    for place in (0, 7, 8, 9):
        alone = triton_grpc(real_stack.settings, pairs[place : place + 1])
        for name, column in together.items():
            np.testing.assert_array_equal(alone[name][0], column[place])
