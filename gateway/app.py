"""Builds the gateway. Nothing happens on import, and nothing runs before the lifespan."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version as installed_version

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Route

from gateway import metrics as names
from gateway.api.administrator import Administrator
from gateway.api.assets import Assets
from gateway.api.directory import POLL_S, StockDirectory
from gateway.api.endpoints.admin import AdminEndpoints
from gateway.api.endpoints.announcements import AnnouncementsEndpoint
from gateway.api.endpoints.cache import CacheEndpoints, FeaturesModel
from gateway.api.endpoints.health import Health
from gateway.api.endpoints.metrics import MetricsEndpoint
from gateway.api.endpoints.models import ModelsEndpoint
from gateway.api.endpoints.predict import BatchPredictEndpoint, PredictEndpoint
from gateway.api.endpoints.stocks import StocksEndpoint
from gateway.api.middleware.access import AccessMiddleware
from gateway.api.middleware.body_limit import BodyLimitMiddleware
from gateway.api.middleware.host import HostMiddleware
from gateway.api.middleware.read_key import ReadKeyMiddleware
from gateway.api.middleware.request_id import RequestIdMiddleware
from gateway.api.middleware.unexpected import UnexpectedErrorMiddleware
from gateway.api.openapi import openapi_endpoint
from gateway.api.predictions import Predictions
from gateway.api.problems import on_gateway_error, on_http_exception
from gateway.background import PeriodicTask, running
from gateway.cache import warming
from gateway.cache.async_cache_manager import AsyncCacheManager
from gateway.cache.cached_predictor import CachedPredictor
from gateway.cache.keys import KINDS
from gateway.cache.market_changes import MarketChanges
from gateway.cache.plan import Plan
from gateway.cache.warming import Market, Warmer
from gateway.catalog.probe import Probe
from gateway.catalog.routing import POLL_S as LABELS_POLL_S
from gateway.catalog.routing import Router
from gateway.catalog.shadow import Shadow
from gateway.catalog.versions import REFRESH_S, ModelCatalog
from gateway.errors import GatewayError
from gateway.metrics import Metrics
from gateway.ports import Clock, PredictionSource, Predictor
from gateway.traffic import Traffic
from gateway.triton.failover import FailoverPredictor
from gateway.triton.limits import BatchingPredictor
from gateway.triton.metered import MeteredPredictor
from preprocess.market.calendar import exchange_today
from preprocess.market.sessions import named_days
from preprocess.models.names import VARIANTS, Variant
from preprocess.repository.releases import Releases
from preprocess.settings import Settings
from preprocess.store import Store


def utc_now() -> datetime:
    """The clock outside of tests."""
    return datetime.now(UTC)


class Gateway:
    """The parts of one gateway, and how they are connected."""

    def __init__(
        self,
        settings: Settings,
        *,
        predictor: Predictor,
        open_store: Callable[[], Store],
        clock: Clock,
        traffic: Traffic,
    ) -> None:
        self.settings = settings
        self.traffic = traffic
        self.metrics = Metrics()
        self.versions = ModelCatalog(settings.versions_dir)
        self.router = Router(settings.versions_dir, self.versions)
        self.directory = StockDirectory(
            open_store, clock=clock, named_days=named_days(settings.sessions_file)
        )
        self.limited = BatchingPredictor(
            MeteredPredictor(predictor, self.metrics.predictor_call),
            in_flight=settings.max_in_flight,
            waiting=settings.max_waiting,
        )
        self.cache = AsyncCacheManager.from_settings(settings)
        self.changes = MarketChanges(open_store, self.cache.core)
        self.shadow = Shadow(self._cached(predictor), self.versions, self.metrics.shadowed)
        self.predictions = Predictions(
            self._cached(FailoverPredictor(self.limited, self.router)),
            versions=self.versions,
            router=self.router,
            shadow=self.shadow,
            stocks=self.directory,
            clock=clock,
            trusted=lambda variant: not self.probes[variant].wrong,
            count=self.metrics.prediction,
            count_routed=self.metrics.routed,
        )
        # Probes bypass the limits: a full queue does not mean that results are wrong. They fail
        # over as requests do: a Triton that stops is no fault while another one answers.
        self.probes: dict[Variant, Probe] = {
            variant: Probe(
                variant,
                predictor=FailoverPredictor(predictor, self.router),
                versions=self.versions,
                router=self.router,
                interval_s=settings.probe_interval_s,
                clock=clock,
                on_wrong=self._distrust,
            )
            for variant in VARIANTS
        }
        self.health = Health(
            probes=self.probes,
            directory=self.directory,
            versions=self.versions,
            router=self.router,
            traffic=traffic,
            cache=self.cache.core,
            version=installed_version("tezi"),
        )
        self.administrator = Administrator(settings, clock=clock, count=self.metrics.admin_call)
        self.models = ModelsEndpoint(self.versions, self.router, self.probes)
        self.admin = AdminEndpoints(
            self.administrator,
            Releases(settings),
            router=self.router,
            versions=self.versions,
            models=self.models,
        )
        self._clock = clock
        self.warmer = self._warmer()
        self._watch()

    def _cached(
        self, predictor: Predictor, cache: AsyncCacheManager | None = None
    ) -> PredictionSource:
        if not self.settings.cache_predictions:
            return predictor
        return CachedPredictor(
            predictor,
            cache or self.cache,
            self.versions,
            ttl_s=self.settings.cache_predictions_ttl_s,
            timeout_s=self.settings.request_timeout_ms / 1e3,
            usable=lambda: self.changes.is_current,
            is_queued=self.limited.is_queued,
        )

    def _warmer(self) -> Warmer | None:
        settings = self.settings
        if not (settings.warm_cache and settings.cache_predictions and settings.redis_url):
            return None
        # Of its own, since its lookups are no requests; and without memory, which only the
        # follower of the market's changes would keep true.
        cache = AsyncCacheManager(replace(Plan.from_settings(settings), local_bytes=0, warns=False))
        return Warmer(
            self._cached(FailoverPredictor(self.limited, self.router), cache),
            cache,
            self.router,
            market=self._market,
            may_run=lambda: self.health.not_ready() is None,
            timeout_s=settings.request_timeout_ms / 1e3,
        )

    def _market(self) -> Market:
        """Today's predictions, and those of the newest day with prices, are asked for."""
        today = exchange_today(self._clock()).isoformat()
        days = sorted({today, self.directory.newest_day or today})
        mark = self.directory.mark
        return Market(f"{mark.sequence}:{mark.token}", days, self.directory.codes)

    async def _distrust(self) -> None:
        await self.cache.invalidate(kind="predictions")

    def _watch(self) -> None:
        statistics = self.cache.core.statistics
        statistics.subscribe(self.metrics.cache_request)
        for kind in KINDS:
            self.metrics.watch_hit_rate(kind, partial(self.cache.get_hit_rate, kind, recent=True))
        watch = self.metrics.watch
        watch(names.REQUESTS_IN_FLIGHT, "Requests in flight", lambda: self.traffic.in_flight)
        watch(
            names.PREDICTOR_IN_FLIGHT,
            "Requests to Triton in flight",
            lambda: self.limited.in_flight,
        )
        watch(names.PREDICTOR_WAITING, "Requests waiting for a slot", lambda: self.limited.waiting)
        watch(
            names.READY,
            "1 while predictions are answered correctly",
            lambda: self.health.not_ready() is None,
        )
        watch(names.STOCKS, "Stocks that can be predicted", lambda: len(self.directory))

    async def _probe(self, variant: Variant) -> None:
        probe = self.probes[variant]
        await probe()
        if probe.state.model_version is not None:
            self.metrics.model_version(variant, probe.state.model_version)

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Everything that runs in the background of the requests."""
        await self.versions.refresh()
        await self.router.refresh()
        await self.directory.refresh()
        await self.changes.start()
        interval = self.settings.probe_interval_s
        periodic = {
            "published versions": PeriodicTask(self.versions.refresh, REFRESH_S),
            "labels": PeriodicTask(self.router.refresh, LABELS_POLL_S),
            "shadow": PeriodicTask(self.shadow.run, 0.0),
            "stock directory": PeriodicTask(self.directory.refresh, POLL_S),
            **{
                f"probe of {variant}": PeriodicTask(partial(self._probe, variant), interval)
                for variant in VARIANTS
            },
        }
        if self.warmer is not None:
            periodic["cache warming"] = PeriodicTask(self.warmer.run, warming.POLL_S)
        try:
            async with running(periodic):
                yield
        finally:
            if self.warmer is not None:
                await self.warmer.close()
            await self.admin.close()
            await self.directory.close()
            await self.changes.close()
            await self.cache.close()
            await self.limited.close()

    def routes(self) -> list[Route]:
        """Every path. The busiest two come first, as the router tries them in order."""
        timeout_ms = self.settings.request_timeout_ms
        metrics = MetricsEndpoint(self.metrics).metrics
        features_model = (
            FeaturesModel(self.settings.triton_metrics_url)
            if self.settings.cache_features
            else None
        )
        cache = CacheEndpoints(self.administrator, self.cache, features_model)
        announcements = AnnouncementsEndpoint(
            self.directory, self.predictions, default_timeout_ms=timeout_ms
        )
        models, admin = self.models, self.admin
        assets = Assets()
        return [
            Route(
                "/api/v1/predict",
                PredictEndpoint(self.predictions, default_timeout_ms=timeout_ms),
                methods=["POST"],
            ),
            Route(
                "/api/v1/batch_predict",
                BatchPredictEndpoint(self.predictions, default_timeout_ms=timeout_ms),
                methods=["POST"],
            ),
            Route("/api/v1/stocks", StocksEndpoint(self.directory).stocks),
            Route("/api/v1/announcements", announcements.announcements),
            Route("/live", self.health.live),
            Route("/ready", self.health.ready),
            Route("/api/v1/health", self.health.health),
            Route("/metrics", metrics),
            Route("/api/v1/metrics", metrics),
            Route("/api/v1/models", models.models),
            Route("/api/v1/models/{version}/activate", admin.activate, methods=["POST"]),
            Route("/api/v1/models/rollback", admin.roll_back, methods=["POST"]),
            Route("/api/v1/models/traffic", admin.traffic, methods=["PUT"]),
            Route("/api/v1/models/reload", admin.reload, methods=["POST"]),
            Route("/api/v1/cache/clear", cache.clear, methods=["POST"]),
            Route("/api/v1/cache/stats", cache.stats),
            Route("/openapi.json", openapi_endpoint),
            Route("/", assets.console),
            Route("/docs", assets.swagger),
            Route("/redoc", assets.redoc),
            Route("/static/{name}", assets.own),
            Route("/static/docs/{name}", assets.installed),
        ]


def _host_check(settings: Settings) -> list[Middleware]:
    hosts = [host.strip() for host in settings.allowed_hosts.split(",") if host.strip()]
    if not hosts:
        return []
    # The supervisor asks the host that it listens on.
    return [Middleware(HostMiddleware, hosts=[*hosts, "localhost", settings.http_host])]


def create_app(
    settings: Settings,
    *,
    predictor: Predictor,
    open_store: Callable[[], Store],
    clock: Clock = utc_now,
    traffic: Traffic | None = None,
) -> Starlette:
    """The gateway as an ASGI application.

    `predictor` is closed when the application ends. `open_store` opens the market database for
    reading. `traffic` is shared with the server, which drains it. `app.state.gateway` gives
    access to the parts.
    """
    traffic = traffic or Traffic()
    gateway = Gateway(
        settings, predictor=predictor, open_store=open_store, clock=clock, traffic=traffic
    )
    app = Starlette(
        routes=gateway.routes(),
        middleware=[
            Middleware(RequestIdMiddleware),
            Middleware(
                AccessMiddleware,
                metrics=gateway.metrics,
                traffic=traffic,
                log_successes=settings.log_level == "debug",
            ),
            Middleware(UnexpectedErrorMiddleware, traffic=traffic),
            *_host_check(settings),
            *([Middleware(ReadKeyMiddleware, key=settings.read_key)] if settings.read_key else []),
            Middleware(BodyLimitMiddleware, limit=settings.max_body_bytes),
        ],
        exception_handlers={
            HTTPException: on_http_exception,
            GatewayError: on_gateway_error,
        },
        lifespan=gateway.lifespan,
    )
    app.state.gateway = gateway
    # A path with an extra slash is an unknown path: a redirect would lose a POST's body.
    app.router.redirect_slashes = False
    return app
