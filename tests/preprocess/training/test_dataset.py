"""Samples from a store."""

from dataclasses import replace
from datetime import date, timedelta
from functools import partial

import numpy as np
import pytest

from preprocess.errors import TrainingError
from preprocess.market.calendar import day_number
from preprocess.market.values import CircuitLabel, Stock
from preprocess.store import Store
from preprocess.training.dataset import build_dataset
from tests.builders import bars, weekdays
from tests.preprocess.features.definition import feature_row

DAYS = weekdays(80)
KNOWN = ((40, 0), (50, 1), (60, None))
samples_of = partial(build_dataset, circuit_pct=5.0, target="up_5pct")


def label(day: date, positive: int) -> CircuitLabel:
    following = next(later for later in DAYS if later > day)
    return CircuitLabel(day, following, 7.0 if positive else 1.0, positive)


@pytest.fixture
def market(store: Store) -> Store:
    closes = [100.0 + (place * 7) % 13 for place in range(len(DAYS))]
    with store.transaction() as writer:
        for code in ("500002", "500001"):
            writer.put_prices(bars(code, closes))
        writer.put_stocks([Stock("500003")])
        writer.replace_labels("500002", [label(DAYS[60], 1), label(DAYS[50], 0)])
        writer.replace_labels("500001", [label(DAYS[60], 0), label(DAYS[10], 1)])
        writer.replace_labels("500003", [label(DAYS[60], 0)])
    return store


def test_one_sample_a_label_by_date_then_code(market: Store) -> None:
    samples = samples_of(market)
    assert samples.bse_codes.tolist() == ["500002", "500001", "500002"]
    assert samples.days.tolist() == [day_number(DAYS[i]) for i in (50, 60, 60)]
    assert samples.outcome_days.tolist() == [day_number(DAYS[i]) for i in (51, 61, 61)]
    assert samples.y.tolist() == [0, 0, 1]
    assert samples.positives == 1


def test_announcements_without_features_are_counted(market: Store) -> None:
    samples = samples_of(market)
    # 500001 had 11 rows on its first announcement, 500003 has no price at all.
    assert samples.skipped == {"SHORT_HISTORY": 2}


def test_features_are_those_of_the_day_in_float32(market: Store) -> None:
    samples = samples_of(market)
    history = market.history("500001")
    assert history is not None
    expected = feature_row(history, DAYS[60]).values.astype(np.float32)
    assert samples.x.dtype == np.float32
    assert samples.x[1].tobytes() == expected.tobytes()


def test_prices_after_the_day_do_not_move_a_sample(market: Store) -> None:
    before = samples_of(market)
    with market.transaction() as writer:
        later = bars("500001", [999.0] * 5, DAYS[61]) + bars("500002", [999.0] * 5, DAYS[61])
        writer.put_prices(later)
    after = samples_of(market)
    assert after.x.tobytes() == before.x.tobytes()
    assert after.sha256() == before.sha256()


def test_any_change_of_a_sample_changes_the_hash(market: Store) -> None:
    samples = samples_of(market)
    hashes = {samples.sha256(), samples[np.array([True, True, False])].sha256()}
    with market.transaction() as writer:
        writer.put_prices(bars("500001", [101.0], DAYS[60]))
    hashes.add(samples_of(market).sha256())
    with market.transaction() as writer:
        writer.replace_labels("500002", [label(DAYS[60], 0), label(DAYS[50], 0)])
    hashes.add(samples_of(market).sha256())
    assert len(hashes) == 4


def test_labels_made_with_another_circuit_are_refused(market: Store) -> None:
    with pytest.raises(TrainingError, match=r"500001 after .* TEZI_CIRCUIT_PCT=7\.5"):
        build_dataset(market, circuit_pct=7.5, target="up_5pct")


def test_a_store_without_labels_gives_an_empty_data_set(store: Store) -> None:
    with store.transaction() as writer:
        writer.put_prices(bars("500001", [1.0] * 40, date(2024, 1, 1) + timedelta(days=1)))
    samples = samples_of(store)
    assert (len(samples), samples.x.shape, samples.skipped) == (0, (0, 25), {})


def test_a_target_that_cannot_be_known_gives_no_sample(market: Store) -> None:
    upper_circuit = partial(build_dataset, circuit_pct=7.5, target="upper_circuit")
    with pytest.raises(TrainingError, match=r"upper_circuit.*tezi maintain.*--target up_5pct"):
        upper_circuit(market)
    with market.transaction() as writer:
        known = [replace(label(DAYS[day], 1), upper_circuit=outcome) for day, outcome in KNOWN]
        writer.replace_labels("500002", known)
    samples = upper_circuit(market)
    assert samples.y.tolist() == [0, 1]
    assert samples.skipped == {"SHORT_HISTORY": 2, "UNKNOWN_OUTCOME": 2}
