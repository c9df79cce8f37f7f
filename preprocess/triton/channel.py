"""How a gRPC channel to Triton is opened."""

from typing import Any

import grpc

_OPTIONS = [
    # A peer that went without a word is noticed while something is asked of it.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 0),
    # gRPC would wait up to two minutes before it tries again; Triton restarts in seconds.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    # A new container of Triton may have a new address under its name, and gRPC would look a name up
    # no more than twice a minute.
    ("grpc.dns_min_time_between_resolutions_ms", 500),
    # Triton stands beside us: a proxy of the environment is meant for the world outside.
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
    # A name may lead to several Tritons; with one address this is what happens anyway.
    ("grpc.lb_policy_name", "round_robin"),
]


def open_channel(address: str) -> Any:
    """A `grpc.aio.Channel` to host:port; it connects when it is first used.

    Where the host's name has several addresses, each takes its turn.
    """
    return grpc.aio.insecure_channel(address, options=_OPTIONS)
