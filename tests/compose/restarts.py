"""Each part restarted under load, and what became of the requests meanwhile."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tests.compose.load import Asked, Load, steady_load
from tests.compose.project import Project, engine


@dataclass(frozen=True)
class Restart:
    """How a part is restarted. It fails no request; or, where `may_refuse` says so, refuses some
    (503 with Retry-After, 504), or loses some, where `may_lose` does, until it is back."""

    act: Callable[[Project], object]
    may_refuse: bool = False
    may_lose: bool = False


def _in_place(service: str) -> Callable[[Project], object]:
    def act(project: Project) -> None:
        for container in project.containers(service):
            engine("restart", "-t", "40", container)

    return act


def _reload(project: Project) -> None:
    (container,) = project.containers("nginx")
    engine("kill", "--signal", "HUP", container)
    time.sleep(5)  # it leads callers to new connections first, for 3 s


RESTARTS: Mapping[str, Restart] = {
    "gateways, replaced one by one": Restart(lambda project: project.roll("gateway")),
    "Triton, replaced": Restart(lambda project: project.roll("triton")),
    "Redis": Restart(_in_place("redis")),
    "nginx, reloaded": Restart(_reload),
    "nginx, its container": Restart(_in_place("nginx"), may_lose=True),
    "PostgreSQL": Restart(_in_place("postgres"), may_refuse=True),
    "Triton, the only one": Restart(_in_place("triton"), may_refuse=True),
}


def restarted_under_load(
    project: Project, restart: Restart, expected: Sequence[Asked], *, per_second: float = 80.0
) -> Load:
    """What came of the requests while it was done, and until a second without a failure after it.

    None of them is answered out of a cache, if each of `expected` is asked once.
    """
    with steady_load(project.url, expected, per_second=per_second) as load:
        time.sleep(1)
        restart.act(project)
        deadline = time.monotonic() + 60
        failed, answered = -1, 0
        while failed != len(load.failures) or load.answered - answered < per_second / 2:
            if time.monotonic() > deadline:
                raise AssertionError(f"requests go on to fail:\n{project.logs()}")
            failed, answered = len(load.failures), load.answered
            time.sleep(1)
    return load
