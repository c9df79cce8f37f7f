"""The whole stack on PostgreSQL: the same answers, new prices at once, and a server that goes."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date, timedelta

import httpx
import numpy as np
import pytest

from preprocess.database_url import PostgresURL
from preprocess.feature_optimizer import FeatureOptimizer
from preprocess.market.values import Bar
from preprocess.settings import Settings
from preprocess.store import open_database, open_store
from tests.integration.clients import rest
from tests.integration.stack import RunningStack, fresh_settings, running, tezi
from tests.postgres import PostgresServer, running_server, written_out

pytestmark = pytest.mark.triton


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server of this module's own: it is stopped on the way."""
    with running_server() as started:
        yield started


@pytest.fixture(scope="module")
def stack(
    demo_stack: RunningStack, server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningStack]:
    """The demo market and its model, copied to PostgreSQL and served from there."""
    home = tmp_path_factory.mktemp("on-postgres")
    shutil.copytree(demo_stack.settings.versions_dir, home / "versions")
    with server.database() as url:
        settings = fresh_settings(home, database_url=written_out(url))
        demo = f"sqlite:///{demo_stack.settings.database_path}"
        tezi(settings, "copy-db", demo, written_out(url))
        with running(settings) as started:
            yield started


def newest(settings: Settings) -> list[tuple[str, date]]:
    with closing(open_store(settings)) as store:
        listings = store.listings()[::50]
    return [(listing.stock.bse_code, listing.newest_price) for listing in listings]


def wait_for(condition: Callable[[], bool], seconds: float) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds
        time.sleep(0.02)
    return time.monotonic() - began


def test_answers_are_those_of_sqlite(demo_stack: RunningStack, stack: RunningStack) -> None:
    pairs = [(code, day.isoformat()) for code, day in newest(demo_stack.settings)]
    pairs += [
        (code, (day - timedelta(days=90)).isoformat()) for code, day in newest(stack.settings)
    ]
    told = [
        [(answer["as_of"], answer["probability"], answer["features"]) for answer in answers]
        for answers in (rest(demo_stack.settings, pairs), rest(stack.settings, pairs))
    ]
    assert told[0] == told[1]
    assert sum(probability is not None for _, probability, _ in told[1]) > len(pairs) / 2
    database = stack.settings.database
    assert isinstance(database, PostgresURL)
    assert str(database.password) not in stack.output()


def test_a_corrected_price_is_visible_within_a_second(stack: RunningStack) -> None:
    code, day = newest(stack.settings)[1]
    pair = (code, day.isoformat())
    before = rest(stack.settings, [pair])[0]["features"]["momentum_5d"]
    with closing(open_store(stack.settings, write=True)) as store, store.transaction() as writer:
        writer.put_prices([Bar(code, day, 50.0, 5000.0, 49.0, 4999.5, 7_000)])
    with closing(open_store(stack.settings)) as store:
        frame = FeatureOptimizer(store).batch_extract_features([code], day)
    expected = float(np.float32(frame["momentum_5d"].iloc[0]))
    assert expected != before
    wait_for(
        lambda: rest(stack.settings, [pair])[0]["features"]["momentum_5d"] == expected,
        seconds=1.0,
    )


def test_without_its_database_it_gives_no_answer_and_then_the_right_one(
    stack: RunningStack, server: PostgresServer
) -> None:
    code, day = newest(stack.settings)[2]
    pair = {"bse_code": code, "prediction_date": day.isoformat()}

    def ask() -> httpx.Response:
        return httpx.post(f"{stack.url}/api/v1/predict", json=pair, timeout=10.0, trust_env=False)

    before = ask().json()["probability"]
    server.stop()
    wait_for(lambda: ask().status_code == 503, seconds=10.0)
    stack.wait(ready=False, seconds=10.0)
    server.start()
    stack.wait(seconds=30.0)
    assert ask().json()["probability"] == before


def test_the_evening_run_writes_to_it(stack: RunningStack) -> None:
    codes = [code for code, _ in newest(stack.settings)]
    day = max(day for _, day in newest(stack.settings))
    tezi(stack.settings, "predict-all", "--date", day, "--codes", ",".join(codes))
    with closing(open_database(stack.settings.database, stack.settings)) as store:
        found = store.predictions(day, 1)
    assert {prediction.bse_code for prediction in found} <= set(codes)
    assert len(found) > len(codes) / 2
