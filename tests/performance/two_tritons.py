"""Two Tritons behind one name, as in a cluster: one comes, one goes, one is killed, under load.

python -m tests.performance.two_tritons    # as root, about two minutes, on a demo market of its own
"""

import asyncio
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import httpx
import numpy as np
import psutil

from preprocess.runtime.service import triton_alone
from preprocess.settings import Settings, load_settings
from tests.integration.stack import environment, fresh_settings, tezi
from tests.performance.bench_serve import fresh_pairs
from tests.performance.open_loop import Request, open_loop

FIRST, SECOND = "127.0.0.1", "127.0.0.2"
RATE = 40.0
AGE_S = 5
# What a connection may live longer, what a name is kept, and a margin.
LEAVE_S = 1.1 * AGE_S + 4

_UP = "serving"
_ASKED = re.compile(r'nv_inference_request_success\{model="predict_\w+_v\d+".*?\} (\S+)')


class Hosts:
    """A hosts file for one process, with one name, whose addresses change when they are told to."""

    NAME = "tezi-triton.test"

    def __init__(self, file: Path) -> None:
        self.file = file

    def lead_to(self, *addresses: str) -> None:
        """From now on the name leads there."""
        # In place: the process has this very file mounted.
        lines = ["127.0.0.1 localhost", *(f"{address} {self.NAME}" for address in addresses)]
        self.file.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def seen_by(self, *command: str) -> tuple[str, ...]:
        """The command that runs `command` with this file as its /etc/hosts."""
        script = 'mount --bind "$0" /etc/hosts && exec "$@"'
        return ("unshare", "--mount", "sh", "-c", script, str(self.file), *command)


class Cluster:
    """The name, the gateway's settings, and the load."""

    def __init__(self, settings: Settings, hosts: Hosts) -> None:
        self.settings = settings
        self.hosts = hosts
        pairs = islice(fresh_pairs(settings, 20_000), 20_000)
        self._requests = [Request(code, day) for code, day in pairs]

    def answered(self, host: str) -> float:
        """Inferences of gateways that the Triton on `host` has answered; 0 while it does not say.

        They ask for a version by its number; the supervisor's golden rows do not.
        """
        url = f"http://{host}:{self.settings.triton_metrics_port}/metrics"
        try:
            text = httpx.get(url, trust_env=False, timeout=5).text
        except httpx.TransportError:
            return 0.0
        counts = _ASKED.findall(text)
        return sum(map(float, counts))

    def under_load(self, what: str, act: Callable[[], str]) -> None:
        """Print what became of the requests that came while `act` was done, and what it says."""

        async def both() -> None:
            done = asyncio.Event()
            load = asyncio.create_task(
                open_loop(self.settings.http_url, self._requests, rate=RATE, until=done)
            )
            try:
                said = await asyncio.to_thread(act)
            finally:
                done.set()
                answers = await load
            failed = [answer for answer in answers if answer.status != 200]
            p50, p99 = np.percentile([answer.latency_ms for answer in answers], (50, 99))
            print(
                f"{what}: {len(answers)} requests, {len(failed)} failed, p50 {p50:.0f} ms, "
                f"p99 {p99:.0f} ms. {said}",
                flush=True,
            )

        asyncio.run(both())


def main() -> None:
    """Make the market, start everything, and let things happen."""
    with tempfile.TemporaryDirectory(prefix="two-tritons-") as folder:
        settings = fresh_settings(Path(folder) / "first", triton_max_connection_age_s=AGE_S)
        tezi(settings, "demo")
        other = Path(folder) / "second"
        other.mkdir()
        (other / "versions").symlink_to(settings.versions_dir)
        second = load_settings(
            **{
                **settings.model_dump(),
                "data_dir": other,
                "database_url": f"sqlite:///{settings.database_path}",
            }
        )
        hosts = Hosts(Path(folder) / "hosts")
        hosts.lead_to(FIRST)
        with _triton(settings, FIRST), _gateway(settings, hosts):
            cluster = Cluster(settings, hosts)
            with _triton(second, SECOND) as process:
                cluster.under_load("the second comes into the name", lambda: _comes(cluster))
                cluster.under_load("it leaves the name first", lambda: _leaves(cluster, process))
            with _triton(second, SECOND) as process:
                _joined(cluster)
                cluster.under_load("it is told to end at once", lambda: _ends(cluster, process))
            with _triton(second, SECOND) as process:
                _joined(cluster)
                cluster.under_load("its server is killed", lambda: _killed(process))


def _comes(cluster: Cluster) -> str:
    before, began = cluster.answered(SECOND), time.monotonic()
    cluster.hosts.lead_to(FIRST, SECOND)
    while cluster.answered(SECOND) <= before + 3:
        time.sleep(0.2)
    seconds = time.monotonic() - began
    time.sleep(10)
    return f"It was asked after {seconds:.1f} s."


def _leaves(cluster: Cluster, process: "subprocess.Popen[str]") -> str:
    cluster.hosts.lead_to(FIRST)
    time.sleep(LEAVE_S)
    before = cluster.answered(SECOND)
    time.sleep(2)
    late = cluster.answered(SECOND) - before
    _stop(process)
    time.sleep(2)
    return f"Asked in its last two seconds: {late:.0f} times."


def _ends(cluster: Cluster, process: "subprocess.Popen[str]") -> str:
    cluster.hosts.lead_to(FIRST)
    _stop(process)
    time.sleep(2)
    return ""


def _killed(process: "subprocess.Popen[str]") -> str:
    time.sleep(1)
    for child in psutil.Process(process.pid).children():
        child.kill()
    time.sleep(6)
    return ""


def _waits() -> str:
    time.sleep(LEAVE_S)
    return ""


def _joined(cluster: Cluster) -> None:
    """Let the gateway find the second again."""
    cluster.hosts.lead_to(FIRST, SECOND)
    cluster.under_load("(the second is back)", _waits)


@contextmanager
def _triton(settings: Settings, host: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.performance.two_tritons", _UP],
        env={**environment(settings), "TEZI_TRITON_HOST": host},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        if process.stdout.readline().strip() != _UP:
            raise RuntimeError(f"the Triton on {host} did not come up")
        yield process
    finally:
        _stop(process)


@contextmanager
def _gateway(settings: Settings, hosts: Hosts) -> Iterator[None]:
    own = {"TEZI_TRITON_HOST": Hosts.NAME, "TEZI_LOG_LEVEL": "error"}
    process = subprocess.Popen(
        hosts.seen_by(sys.executable, "-m", "gateway"), env={**environment(settings), **own}
    )
    try:
        transport = httpx.HTTPTransport(retries=6)
        with httpx.Client(transport=transport, trust_env=False, timeout=10) as client:
            while client.get(f"{settings.http_url}/ready").status_code != 200:
                time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


def _stop(process: "subprocess.Popen[str]") -> None:
    process.terminate()
    process.wait(timeout=30)


async def _serve() -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    silent = (lambda *_: None, lambda _: None)
    async with triton_alone(load_settings(), lines=silent[0], notice=silent[1]):
        print(_UP, flush=True)
        await ended.wait()


if __name__ == "__main__":
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    if sys.argv[1:] == [_UP]:
        asyncio.run(_serve())
    else:
        main()
