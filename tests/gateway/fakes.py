"""A predictor without a model, a published version without a graph, and an app on both."""

import asyncio
import hashlib
import inspect
import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette

from gateway.app import create_app
from gateway.ports import InferenceResult, PredictionQuery
from gateway.traffic import Traffic
from preprocess.features.manifest import FEATURE_COUNT, FEATURE_NAMES, feature_hash
from preprocess.features.row import Status
from preprocess.market.golden_row import GOLDEN_CODE, GOLDEN_DATE
from preprocess.market.values import Bar, Stock
from preprocess.models.names import Variant
from preprocess.repository.labels import Labels, read_labels, write_labels
from preprocess.repository.versions import (
    VERSION_FILE,
    Golden,
    Graph,
    ModelVersion,
    version_folder,
)
from preprocess.settings import Settings, load_settings
from preprocess.store import open_store
from preprocess.training.card import LabelDefinition

NOW = datetime(2026, 8, 14, 12, tzinfo=UTC)
TODAY = "2026-08-14"
ADMIN_TOKEN = "open sesame, open sesame, open sesame"
AUTHORIZED = {"authorization": f"Bearer {ADMIN_TOKEN}"}
MISSING = 3  # this feature is NaN in every fake answer


async def until(condition: Callable[[], Any]) -> Any:
    """Wait until the condition, which may be a coroutine function, gives something true; this.

    The bound is there for a test that fails: it is no measure of how quick anything is.
    """
    async with asyncio.timeout(60):
        while True:
            found = condition()
            if inspect.isawaitable(found):
                found = await found
            if found:
                return found
            await asyncio.sleep(0.005)


def fake_probability(code: str, day: str) -> float:
    """A float32 between 0 and 1 that the code and the day decide."""
    digest = hashlib.sha256(f"{code} {day}".encode()).digest()
    return int.from_bytes(digest[:2], "big") / 65_536


def fake_features(code: str, day: str) -> tuple[float, ...]:
    """25 float32 values, one of them missing."""
    first = fake_probability(day, code)
    values = [first + place for place in range(FEATURE_COUNT)]
    values[MISSING] = float("nan")
    return tuple(values)


def answer(
    code: str, day: str, *, probability: float | None = None, model_version: int = 1
) -> InferenceResult:
    """What the fake says of a stock that it knows."""
    return InferenceResult(
        Status.OK,
        day,
        fake_probability(code, day) if probability is None else probability,
        model_version,
        fake_features(code, day),
    )


def without(status: Status, model_version: int = 1) -> InferenceResult:
    """An answer without a prediction."""
    return InferenceResult(status, None, 0.5, model_version, (float("nan"),) * FEATURE_COUNT)


@dataclass
class FakePredictor:
    """Deterministic. What it is to do wrong is set from outside, and every call is kept.

    The version that is asked answers, version 1 when none is, unless `model_version` says another.
    All but the golden row waits for `release`, if there is one.
    """

    statuses: dict[str, Status] = field(default_factory=dict)
    probabilities: dict[str, float] = field(default_factory=dict)
    error: Exception | None = None
    errors: dict[str | int | None, Exception] = field(default_factory=dict)
    release: asyncio.Event | None = None
    model_version: int | None = None
    golden_shift: float = 0.0
    calls: list[list[PredictionQuery]] = field(default_factory=list)
    timeouts: list[float] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    closed: bool = False

    async def predict(
        self, queries: Sequence[PredictionQuery], timeout_s: float
    ) -> list[InferenceResult]:
        golden = queries[0].bse_code == GOLDEN_CODE
        if not golden:
            self.calls.append(list(queries))
            self.timeouts.append(timeout_s)
        error = self.errors.get(queries[0].version, self.errors.get(queries[0].variant, self.error))
        if error is not None:
            raise error
        self.in_flight += not golden
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            if self.release is not None and not golden:
                await self.release.wait()
        finally:
            self.in_flight -= not golden
        return [self._answer(query) for query in queries]

    def _answer(self, query: PredictionQuery) -> InferenceResult:
        code, day = query.bse_code, query.prediction_date
        version = self.model_version or query.version or 1
        if code == GOLDEN_CODE:
            right = fake_probability(code, day)
            return answer(
                code,
                day,
                probability=right + self.golden_shift,
                model_version=version,
            )
        status = self.statuses.get(code, Status.OK)
        if status is not Status.OK:
            return without(status, version)
        return answer(
            code,
            day,
            probability=self.probabilities.get(code),
            model_version=version,
        )

    async def close(self) -> None:
        self.closed = True


def write_version(
    settings: Settings,
    number: int = 1,
    *,
    variants: Sequence[Variant] = ("fp32",),
    probability: float | None = None,
    **changes: Any,
) -> Path:
    """A version folder as `tezi publish` leaves it, without graphs, which a gateway never reads.

    `probability` is what it must answer the golden row with.
    """
    day = GOLDEN_DATE.isoformat()
    golden = answer(GOLDEN_CODE, day)
    version = ModelVersion(
        model_version=number,
        model_id=f"20260101T000000-tiny-{number:06d}",
        family="xgboost",
        trained_at="2026-01-01T00:00:00+00:00",
        published_at="2026-01-02T00:00:00+00:00",
        threshold=0.5,
        features=FEATURE_NAMES,
        feature_hash=feature_hash(),
        label=LabelDefinition("upper_circuit", None, "a close at the upper price limit"),
        sector_codes={"Steel": 0},
        metrics={"roc_auc": 0.6},
        golden=Golden(
            GOLDEN_CODE,
            day,
            tuple(None if math.isnan(value) else value for value in golden.features),
        ),
        variants={
            variant: Graph(
                "00" * 32, 1000, golden.probability if probability is None else probability
            )
            for variant in variants
        },
    )
    folder = version_folder(settings.versions_dir, number)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / VERSION_FILE).write_bytes(replace(version, **changes).to_json())
    return folder


def put_labels(settings: Settings, **labels: Any) -> Labels:
    """Put these labels in the place of those that there are."""
    before = read_labels(settings.versions_dir)
    return write_labels(settings.versions_dir, before, replace(before, **labels), now=NOW)


STOCKS = (
    Stock("500001", "ALPHA", "Alpha Steel Ltd"),
    Stock("500002", "BETA", "Beta Bank"),
    Stock("500003", None, "Gamma alphabets"),
    Stock("590004", None, None),
)


def write_market(settings: Settings) -> None:
    """A database of four stocks with one price each."""
    store = open_store(settings, write=True)
    try:
        with store.transaction() as writer:
            writer.put_stocks(STOCKS)
            writer.put_prices(
                [Bar(s.bse_code, date(2026, 8, 13), 10, 10, 10, 10, 5) for s in STOCKS]
            )
    finally:
        store.close()


@dataclass
class Running:
    """An application at work in this process."""

    app: Starlette
    client: httpx.AsyncClient
    predictor: FakePredictor
    settings: Settings
    traffic: Traffic

    async def predict(self, **body: Any) -> httpx.Response:
        """POST /api/v1/predict, with a right code and date unless given."""
        given = {"bse_code": "500001", "prediction_date": TODAY, **body}
        return await self.client.post("/api/v1/predict", json=given)

    async def batch(self, *items: Any) -> httpx.Response:
        """POST /api/v1/batch_predict."""
        return await self.client.post("/api/v1/batch_predict", json={"predictions": list(items)})

    async def until_ready(self) -> None:
        """Wait for the first golden row."""
        await self.until_status(200)

    async def until_status(self, status: int) -> httpx.Response:
        """Wait until this is the status of /ready."""

        async def ready() -> httpx.Response | None:
            response = await self.client.get("/ready")
            return response if response.status_code == status else None

        found: httpx.Response = await until(ready)
        return found


def item(code: str = "500001", day: str = TODAY, **more: Any) -> dict[str, Any]:
    """One item of a batch."""
    return {"bse_code": code, "prediction_date": day, **more}


@dataclass(frozen=True)
class Built:
    """An application that does not run yet, and what it is made of."""

    app: Starlette
    predictor: FakePredictor
    settings: Settings
    traffic: Traffic


def build_app(
    tmp_path: Path,
    *,
    predictor: FakePredictor | None = None,
    publish: bool = True,
    variants: Sequence[Variant] = ("fp32",),
    market: bool = True,
    now: datetime = NOW,
    **overrides: object,
) -> Built:
    """An app on the fake; version 1 published and four stocks known unless said otherwise."""
    settings = load_settings(
        **{
            "data_dir": tmp_path / "data",
            "probe_interval_s": 0.05,
            "request_timeout_ms": 60_000,  # a busy machine is no reason for a 504
            "cache_predictions": False,  # most tests count what the predictor is asked
            **overrides,
        }
    )
    predictor = predictor or FakePredictor()
    traffic = Traffic()
    if publish:
        write_version(settings, variants=variants)
        put_labels(settings, stable=1)
    if market:
        write_market(settings)
    app = create_app(
        settings,
        predictor=predictor,
        open_store=lambda: open_store(settings),
        clock=lambda: now,
        traffic=traffic,
    )
    return Built(app, predictor, settings, traffic)


@asynccontextmanager
async def running_app(tmp_path: Path, **options: Any) -> AsyncIterator[Running]:
    """What `build_app` makes, with its lifespan and a client."""
    built = build_app(tmp_path, **options)
    transport = httpx.ASGITransport(built.app)
    async with (
        built.app.router.lifespan_context(built.app),
        httpx.AsyncClient(transport=transport, base_url="http://tezi") as client,
    ):
        yield Running(built.app, client, built.predictor, built.settings, built.traffic)
