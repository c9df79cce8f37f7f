"""A whole stack in a folder of its own, on free ports, run by `tezi` as users run it."""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx

from gateway.stack import ports
from preprocess.settings import Settings, load_settings

TEZI = Path(sys.executable).with_name("tezi")


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens on."""
    return ports.free_ports(ports.LOOPBACK, count)


def ports_in_a_row(count: int) -> int:
    """The first of `count` ports that nobody listens on, below those that clients get."""
    while True:
        first = random.randrange(20_000, 32_000)
        with ExitStack() as held, suppress(OSError):
            for port in range(first, first + count):
                held.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first


def fresh_settings(home: Path, **overrides: object) -> Settings:
    """Settings of a stack of its own in `home`."""
    http, triton_http, triton_grpc, triton_metrics, nginx_status = free_ports(5)
    return load_settings(
        **{
            "data_dir": home,
            "http_port": http,
            "triton_http_port": triton_http,
            "triton_grpc_port": triton_grpc,
            "triton_metrics_port": triton_metrics,
            "nginx_status_port": nginx_status,
            "gateway_base_port": ports_in_a_row(int(str(overrides.get("gateways", 1)))),
            **overrides,
        }
    )


def copied(home: Path, target: Path, **overrides: object) -> Settings:
    """Settings of a stack of its own in `target`, on a copy of the data folder `home`."""
    left_out = shutil.ignore_patterns("logs", "*.lock", "*.sock")
    shutil.copytree(home, target, ignore=left_out, dirs_exist_ok=True)
    return fresh_settings(target, **overrides)


def environment(settings: Settings, *, covered: bool = True) -> dict[str, str]:
    """The environment in which `tezi` runs on these settings.

    Where the same lines run in other tests, `covered=False` spares the process the counting of
    its branches, if they are being counted.
    """
    left_out = ("TEZI_",) if covered else ("TEZI_", "COVERAGE_PROCESS_")
    inherited: Mapping[str, str] = {
        name: value for name, value in os.environ.items() if not name.startswith(left_out)
    }
    return {**inherited, **settings.environment()}


def tezi(
    settings: Settings, *arguments: object, check: bool = True, covered: bool = True
) -> "subprocess.CompletedProcess[str]":
    """Run one `tezi` command to its end."""
    done = subprocess.run(
        [str(TEZI), *map(str, arguments)],
        env=environment(settings, covered=covered),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if check and done.returncode != 0:
        raise AssertionError(f"tezi {arguments} ended with {done.returncode}:\n{done.stderr}")
    return done


class RunningStack:
    """`tezi up` at work, and everything that it has printed."""

    def __init__(self, settings: Settings, process: "subprocess.Popen[str]") -> None:
        self.settings = settings
        self.process = process
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())

    @property
    def url(self) -> str:
        """Address of the REST API."""
        return self.settings.http_url

    def output(self) -> str:
        """What it has printed so far."""
        return "\n".join(self.lines)

    def is_ready(self) -> bool:
        """Whether /ready says yes now."""
        try:
            return httpx.get(f"{self.url}/ready", timeout=2.0, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def wait(self, *, ready: bool = True, seconds: float = 60.0) -> float:
        """Wait until /ready says yes (or no); the seconds it took."""
        began = time.monotonic()
        while self.is_ready() is not ready:
            if self.process.poll() is not None:
                raise AssertionError(f"tezi up ended:\n{self.output()}")
            if time.monotonic() - began > seconds:
                raise AssertionError(f"not within {seconds} s:\n{self.output()}")
            time.sleep(0.02)
        return time.monotonic() - began

    def stop(self) -> int:
        """What Ctrl-C does; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        code = self.process.wait(timeout=40)
        self._reader.join(timeout=5)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code


@contextmanager
def running(
    settings: Settings, *, covered: bool = True, program: Path = TEZI, folder: Path | None = None
) -> Iterator[RunningStack]:
    """`tezi up` on these settings, ready, and stopped at the end.

    `program` is the `tezi` that is run, in `folder` (None: the current one).
    """
    process = subprocess.Popen(
        [str(program), "up", "--verbose"],
        cwd=folder,
        env=environment(settings, covered=covered),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    stack = RunningStack(settings, process)
    try:
        stack.wait()
        while "triton: up after" not in stack.output():  # now it is watched as well
            time.sleep(0.02)
        yield stack
    finally:
        stack.stop()
