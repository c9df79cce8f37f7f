"""How long requests wait, by a formula.

Each pod is taken for a queue of its own with Poisson arrivals and exponential service times on c
cores (Erlang's C formula). Real service times vary less, which makes this too long; requests that
come over kept connections do not spread evenly, which makes it too short.
"""

import math


def erlang_c(cores: int, load: float) -> float:
    """The share of requests that wait, at `load` cores of work (0 <= load < cores)."""
    if load <= 0:
        return 0.0
    blocked = 1.0
    for busy in range(1, cores + 1):
        blocked = load * blocked / (busy + load * blocked)
    return blocked / (1 - load / cores * (1 - blocked))


def wait_quantile_s(quantile: float, *, arrivals: float, service_s: float, cores: int) -> float:
    """Seconds that a share `quantile` of the requests wait at most.

    `arrivals` a second reach the pod, each takes `service_s` seconds of one core. Infinite when
    more work arrives than is done.
    """
    load = arrivals * service_s
    if load >= cores:
        return math.inf
    waits = erlang_c(cores, load)
    if waits <= 1 - quantile:
        return 0.0
    return math.log(waits / (1 - quantile)) * service_s / (cores - load)


def mean_wait_s(*, arrivals: float, service_s: float, cores: int) -> float:
    """Seconds that a request waits on average; infinite when more work arrives than is done."""
    load = arrivals * service_s
    if load >= cores:
        return math.inf
    return erlang_c(cores, load) * service_s / (cores - load)
