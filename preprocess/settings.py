"""Every setting of Tezi in one frozen model, read from TEZI_* variables and a `.env` file."""

import os
import re
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from preprocess.admin_tokens import SHORTEST_TOKEN
from preprocess.database_url import DatabaseURL, SQLiteURL, parse_database_url
from preprocess.errors import SettingsError
from preprocess.redis_url import check_redis_url

# Settings that may hold a password: their values are never printed.
SECRET = frozenset({"admin_token", "database_url", "read_key", "redis_url"})

# A server that listens on all addresses of a family is reached by the loopback of that family.
_LOOPBACK_OF = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound

Port = Annotated[int, Field(ge=1, le=65535)]
# A name or an address: it is written into nginx's configuration and into URLs.
Host = Annotated[str, Field(pattern=r"^[A-Za-z0-9.:_-]+$")]
_HOST_NAME = re.compile(r"\*|(\*\.)?[A-Za-z0-9][A-Za-z0-9._-]*")
Seconds = Annotated[float, Field(gt=0, le=3600)]


class Settings(BaseSettings):
    """One stack's settings. Two stacks with other folders and ports run side by side.

    `.env` and relative paths are those of the folder in which the process was started.
    """

    model_config = SettingsConfigDict(
        env_prefix="TEZI_", env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True
    )

    data_dir: Path = Field(
        Path("data"),
        description="Folder of everything that a run makes. A relative path counts from the folder "
        "in which the command runs, where `.env` is read, too.",
    )
    database_url: str = Field(
        "",
        description="sqlite:///PATH or postgresql://USER:PASSWORD@HOST:PORT/NAME; empty: market.db "
        "in the data folder.",
        repr=False,
    )
    postgres_pool_size: Annotated[int, Field(ge=1, le=100)] = Field(
        10, description="Most connections to PostgreSQL per process."
    )
    postgres_pool_wait_s: Seconds = Field(
        5, description="Seconds that a thread waits for a free connection."
    )
    postgres_statement_timeout_s: Seconds = Field(
        60, description="Timeout in seconds of one statement of a reader in PostgreSQL."
    )
    price_exchange: Literal["BSE", "NSE"] = Field(
        "BSE",
        description="Whose daily prices are taken of stocks that are on both exchanges: BSE or "
        "NSE. A stock's series turns once to the exchange that is named here, never back.",
    )
    redis_url: str = Field(
        "",
        description="redis://HOST:PORT/DB of a cache shared by all processes; empty disables it.",
        repr=False,
    )
    redis_timeout_ms: Annotated[int, Field(ge=1, le=10_000)] = Field(
        50,
        description="Timeout in milliseconds of connecting to Redis and of each command; after it "
        "Tezi goes on without Redis.",
    )
    redis_retry_s: Seconds = Field(
        30, description="Seconds between attempts to reach a Redis that does not answer."
    )
    cache_predictions: bool = Field(True, description="Whether predictions are cached.")
    cache_predictions_ttl_s: Seconds = Field(
        3600,
        description="TTL in seconds of cached predictions; new prices or results invalidate them "
        "earlier.",
    )
    warm_cache: bool = Field(
        True,
        description="Whether gateways put the predictions of every stock into Redis before they "
        "are asked for: for today, and for the newest day with prices.",
    )
    cache_features: bool = Field(
        False,
        description="Whether Triton's features model caches computed rows; see "
        "caching.md for when that pays.",
    )
    cache_features_ttl_s: Seconds = Field(
        300,
        description="TTL in seconds of these rows; new prices or results invalidate them earlier.",
    )
    cache_queries: bool = Field(True, description="Whether query results are cached.")
    cache_queries_ttl_s: Seconds = Field(300, description="TTL in seconds of cached query results.")
    cache_local_ttl_s: Seconds = Field(
        60,
        description="TTL in seconds of cached values in the memory of a process; at most the TTLs "
        "above.",
    )
    cache_local_entries: Annotated[int, Field(ge=1)] = Field(
        1_000, description="Most cached values in the memory of a process."
    )
    cache_local_mb: Annotated[int, Field(ge=1)] = Field(
        64, description="Most megabytes that these values take."
    )
    http_host: Host = Field("127.0.0.1", description="Address that the REST API listens on.")
    http_port: Port = Field(8080, description="Port of the REST API.")
    gateways: Annotated[int, Field(ge=1, le=64)] = Field(
        1,
        description="Gateways that `tezi up` starts; with two or more, nginx runs in front.",
    )
    gateway_base_port: Port = Field(
        8081,
        description="Port of the first gateway behind nginx, on 127.0.0.1; the others follow it.",
    )
    nginx_status_port: Port = Field(8090, description="Port of nginx's own counters, on 127.0.0.1.")
    triton_host: Host = Field(
        "127.0.0.1",
        description="Host of Triton; `tezi up` starts it on this address. Any but a loopback "
        "address opens it to the network: see SECURITY.md.",
    )
    triton_http_port: Port = Field(8000, description="Triton's HTTP port.")
    triton_grpc_port: Port = Field(8001, description="Triton's gRPC port.")
    triton_metrics_port: Port = Field(8002, description="Triton's metrics port.")
    triton_root: str = Field(
        "",
        description="Folder of an installed Triton, such as /opt/tritonserver in NVIDIA's "
        "container; empty: the one in the nvidia-pytriton wheel.",
    )
    triton_start_timeout_s: Seconds = Field(
        90, description="Seconds that Triton may take to start until its golden row is correct."
    )
    triton_max_connection_age_s: Annotated[int, Field(ge=0, le=86_400)] = Field(
        0,
        description="Age in seconds at which gateways reconnect to Triton, and Triton makes gRPC "
        "clients reconnect, so that they find Tritons added behind one name; 0 disables it.",
    )
    gpu: Literal["auto", "on", "off"] = Field(
        "auto",
        description="Whether the `gpu` variant is loaded into Triton; `auto`: if the machine "
        "has an NVIDIA GPU.",
    )
    keep_versions: Annotated[int, Field(ge=1, le=1000)] = Field(
        3, description="Newest model versions that stay on disk, in addition to those in use."
    )
    admin_token: str = Field(
        "",
        description="A token, of at least 32 characters, that admin calls of the REST API may send "
        "as `Authorization: Bearer TOKEN`. Without this and the next one there are no admin calls.",
        repr=False,
    )
    admin_tokens_file: Path | None = Field(
        None,
        description="File of further admin tokens, each a line NAME SHA-256 as `tezi admin-token "
        "NAME` prints it. Read at each admin call: tokens change without a restart.",
    )
    read_key: str = Field(
        "",
        description="A key, of at least 32 characters, that calls of the REST API must send as "
        "`X-API-Key`, health and metrics excepted; empty: they are open.",
        repr=False,
    )
    trusted_proxies: str = Field(
        "",
        description="Addresses and networks, with commas between, of proxies in front of Tezi: "
        "the client is whom their X-Forwarded-For names.",
    )
    allowed_hosts: str = Field(
        "",
        description="Host names, with commas between, that requests may name (`*.example.com` "
        "too) besides addresses; empty: any.",
    )
    max_connections: Annotated[int, Field(ge=1)] = Field(
        1_000, description="Most client connections of a gateway; further ones get 503."
    )
    request_timeout_ms: Annotated[int, Field(ge=1, le=60_000)] = Field(
        2_000, description="Deadline in milliseconds of a request without X-Request-Timeout-Ms."
    )
    max_body_bytes: Annotated[int, Field(ge=1024)] = Field(
        262_144, description="Largest request body in bytes; larger ones get 413."
    )
    max_in_flight: Annotated[int, Field(ge=1)] = Field(
        1,
        description="In-flight requests of a gateway to one version of one variant in Triton; "
        "callers beyond that wait and are batched.",
    )
    max_waiting: Annotated[int, Field(ge=0)] = Field(
        256, description="Callers that wait for a slot of one version; more get 503."
    )
    keep_alive_s: Annotated[int, Field(ge=1)] = Field(
        75,
        description="Seconds that an idle client connection stays open; must be above nginx's 60.",
    )
    drain_s: Seconds = Field(
        10, description="Seconds that in-flight requests have to finish when a server stops."
    )
    probe_interval_s: Seconds = Field(
        1.0, description="Seconds between two golden-row inferences, on which readiness depends."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Lowest level that is logged; `debug` adds a line for each request."
    )
    log_format: Literal["json", "text"] = Field(
        "json", description="One JSON object per line, or text for a terminal."
    )
    max_price_age_sessions: Annotated[int, Field(ge=0)] = Field(
        5,
        description="Sessions that a stock's newest price may be old for `tezi predict-all` to "
        "score it.",
    )
    sessions_file: Path | None = Field(
        None,
        description="File of days that the exchange's calendar has wrong or does not know, a line"
        " each: 2026-11-08,open or 2026-12-04,closed.",
    )
    circuit_pct: Annotated[float, Field(gt=0, le=100)] = Field(
        5.0, description="Rise of the next close in percent that the target up_5pct means."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        ports = {
            "http_port": self.http_port,
            "triton_http_port": self.triton_http_port,
            "triton_grpc_port": self.triton_grpc_port,
            "triton_metrics_port": self.triton_metrics_port,
        }
        if self.gateways > 1:
            ports["nginx_status_port"] = self.nginx_status_port
            for number, port in enumerate(self.gateway_ports, start=1):
                ports[f"gateway {number}"] = port
        if max(ports.values()) > 65535:
            raise ValueError(f"there is no port above 65535, got {ports}")
        if len(set(ports.values())) != len(ports):
            raise ValueError(f"every server needs a port of its own, got {ports}")
        if self.keep_alive_s <= 60:
            raise ValueError("keep_alive_s must be above 60, nginx's own keep-alive")
        if self.cache_features and self.redis_url.startswith("rediss:"):
            raise ValueError(
                "cache_features needs a Redis without TLS: the Python of Triton's wheel has none"
            )
        for kind in ("predictions", "features", "queries"):
            ttl_s = getattr(self, f"cache_{kind}_ttl_s")
            if ttl_s < self.cache_local_ttl_s:
                raise ValueError(
                    f"cache_local_ttl_s ({self.cache_local_ttl_s:g}) must not be above the time to "
                    f"live in Redis, cache_{kind}_ttl_s ({ttl_s:g})"
                )
        return self

    @field_validator("database_url", "redis_url")
    @classmethod
    def _well_formed(cls, url: str, field: ValidationInfo) -> str:
        if url:
            try:
                (parse_database_url if field.field_name == "database_url" else check_redis_url)(url)
            except SettingsError as error:
                raise ValueError(str(error)) from None
        return url

    @field_validator("admin_token", "read_key")
    @classmethod
    def _long_enough(cls, token: str) -> str:
        token = token.strip()  # a file made by `echo` ends with a newline
        if 0 < len(token) < SHORTEST_TOKEN:
            raise ValueError(
                f"a token has at least {SHORTEST_TOKEN} characters; `tezi admin-token NAME` makes "
                "one"
            )
        return token

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, text: str) -> str:
        for network in filter(None, map(str.strip, text.split(","))):
            ip_network(network)  # its ValueError says what is wrong
        return text

    @field_validator("allowed_hosts")
    @classmethod
    def _host_names(cls, text: str) -> str:
        for host in filter(None, map(str.strip, text.split(","))):
            if not _HOST_NAME.fullmatch(host):
                raise ValueError(f"{host!r} is no name of a host, and not *.NAME")
        return text

    @cached_property
    def home(self) -> Path:
        """The data folder as an absolute path."""
        return self.data_dir.resolve()

    @property
    def database(self) -> DatabaseURL:
        """The database that `database_url` names. As text it shows no password."""
        if self.database_url:
            return parse_database_url(self.database_url)
        return SQLiteURL(self.home / "market.db")

    @property
    def database_path(self) -> Path:
        """The SQLite file that `database_url` names.

        Raises:
            SettingsError: the database is not a file.
        """
        database = self.database
        if not isinstance(database, SQLiteURL):
            raise SettingsError(f"TEZI_DATABASE_URL must name a SQLite file here, not {database}.")
        return database.path

    @property
    def models_dir(self) -> Path:
        """One folder a trained model: the model, its card, plots and ONNX graphs."""
        return self.home / "models"

    @property
    def versions_dir(self) -> Path:
        """One folder a published version, and the labels; see preprocess.repository.versions."""
        return self.home / "versions"

    @property
    def cache_dir(self) -> Path:
        """Where processes tell one another what is no longer to be answered out of caches."""
        return self.home / "cache"

    @property
    def repository_dir(self) -> Path:
        """The live model repository that Triton loads from, made from the versions."""
        return self.home / "model_repository"

    @property
    def http_url(self) -> str:
        """Address of the REST API as a client on this machine would write it."""
        host = _LOOPBACK_OF.get(self.http_host, self.http_host)
        return f"http://{in_url(host)}:{self.http_port}"

    @property
    def gateway_ports(self) -> list[int]:
        """Ports of the gateways behind nginx."""
        return list(range(self.gateway_base_port, self.gateway_base_port + self.gateways))

    @property
    def nginx_dir(self) -> Path:
        """What nginx runs on and in: its configuration, made at each start, and its own files."""
        return self.home / "nginx"

    @property
    def triton_http_address(self) -> str:
        """host:port of Triton's HTTP service."""
        return f"{in_url(self.triton_host)}:{self.triton_http_port}"

    @property
    def triton_grpc_address(self) -> str:
        """host:port of Triton's gRPC service."""
        return f"{in_url(self.triton_host)}:{self.triton_grpc_port}"

    @property
    def triton_metrics_url(self) -> str:
        """Address of Triton's metrics."""
        return f"http://{in_url(self.triton_host)}:{self.triton_metrics_port}/metrics"

    def environment(self) -> dict[str, str]:
        """These settings as TEZI_* variables, for the processes that a command starts."""
        dumped = self.model_dump(mode="json")
        dumped["data_dir"] = str(self.home)
        if self.admin_tokens_file is not None:
            dumped["admin_tokens_file"] = str(self.admin_tokens_file.resolve())
        return {
            f"TEZI_{name.upper()}": str(value)
            for name, value in dumped.items()
            if value is not None
        }


def in_url(host: str) -> str:
    """A host as written before a port: an IPv6 address in brackets."""
    return f"[{host}]" if isinstance(_address(host), IPv6Address) else host


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None  # a name


def unknown_variables(environ: dict[str, str] | None = None) -> list[str]:
    """TEZI_* variables that are not a setting: most likely misspelt."""
    known = {f"TEZI_{name.upper()}" for name in Settings.model_fields}
    names = os.environ if environ is None else environ
    return sorted(name for name in names if name.startswith("TEZI_") and name not in known)


def load_settings(**overrides: object) -> Settings:
    """Settings from the environment and `.env`, with `overrides` on top.

    Raises:
        SettingsError: names every wrong setting, its value and what is allowed.
    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type]  # values are checked by pydantic
    except ValidationError as error:
        lines = [
            f"  {_wrong_setting(str(problem['loc'][0]), problem['input'])}: {problem['msg']}"
            if problem["loc"]
            else f"  {problem['msg']}"
            for problem in error.errors()
        ]
        raise SettingsError("Settings are wrong:\n" + "\n".join(lines)) from None


def _wrong_setting(name: str, value: object) -> str:
    variable = f"TEZI_{name.upper()}"
    return variable if name in SECRET else f"{variable}={value!r}"


def settings_table() -> str:
    """All settings as a Markdown table, for docs/settings.md."""
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "(empty)" if field.default in ("", None) else f"`{field.default}`"
        lines.append(f"| `TEZI_{name.upper()}` | {default} | {field.description} |")
    return "\n".join(lines) + "\n"
