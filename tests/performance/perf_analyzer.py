"""NVIDIA's perf_analyzer: load on a running Triton by gRPC, apart from our own load generator.

Its binary comes in an old tritonclient wheel. Two libraries that it needs are in the wheel that
carries Triton, under longer names.

    python -m tests.performance.perf_analyzer --pairs FILE

installs it, prints where it is, and writes stocks and days of the market as its input.
"""

import csv
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import click

from preprocess.errors import TeziError
from preprocess.runtime.wheel import find_wheel
from preprocess.settings import load_settings
from preprocess.store import open_store
from tests.performance.perf_input import write_pairs
from tests.performance.tool_folder import tool_folder

# What the binary asks the loader for, and what Triton's wheel calls it.
LIBRARIES = {"libb64.so.0d": "libb64-*.so.0d", "libcudart.so.12": "libcudart-*.so.12*"}

_LIMIT_S = 180
_DELAYED = re.compile(r"([\d.]+)% of the requests were delayed")


@dataclass(frozen=True)
class Load:
    """Either so many requests in flight, or a Poisson process of so many a second on average."""

    in_flight: int | None = None
    per_second: int | None = None

    @property
    def text(self) -> str:
        """For a table."""
        return f"{self.in_flight} in flight" if self.in_flight else f"{self.per_second} /s, Poisson"

    def options(self) -> list[str]:
        """For the command line."""
        if self.in_flight:
            return ["--concurrency-range", str(self.in_flight)]
        # Asynchronous: a thread that waits for an answer could not send the next in time.
        rate = ["--request-rate-range", str(self.per_second), "--async"]
        return [*rate, "--request-distribution", "poisson"]


@dataclass(frozen=True)
class Point:
    """What one load came to: inferences a second, latencies in ms, the share sent too late."""

    rate: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    delayed: float

    @classmethod
    def parse(cls, table: str, output: str) -> Self:
        """From the CSV that it writes, whose last line counts, and from what it prints."""
        last = list(csv.DictReader(table.splitlines()))[-1]
        late = _DELAYED.search(output)
        return cls(
            rate=float(last["Inferences/Second"]),
            p50_ms=float(last["p50 latency"]) / 1e3,
            p95_ms=float(last["p95 latency"]) / 1e3,
            p99_ms=float(last["p99 latency"]) / 1e3,
            delayed=float(late[1]) / 100 if late else 0.0,
        )


@dataclass(frozen=True)
class PerfAnalyzer:
    """The command, which finds its libraries by itself."""

    command: Path

    @classmethod
    def installed(cls, home: Path) -> Self:
        """perf_analyzer in the data folder's tools; installed if it is not there.

        Raises:
            TeziError: it cannot be installed, or does not start on this machine.
        """
        folder = tool_folder(home, "perf-analyzer").resolve()
        libraries = folder / "lib"
        for name, target in _libraries().items():
            _link(libraries / name, target)
        command = folder / "perf_analyzer"
        command.write_text(
            f'#!/bin/sh\nLD_LIBRARY_PATH="{libraries}" exec "{folder}/bin/perf_analyzer" "$@"\n',
            encoding="utf-8",
        )
        command.chmod(0o755)
        started = subprocess.run(
            [command, "--version"], capture_output=True, text=True, timeout=30, check=False
        )
        if started.returncode != 0:
            raise TeziError(f"{command} does not start: {started.stderr.strip()}")
        return cls(command)

    def measure(
        self, address: str, model: str, rows: Path, load: Load, *, window_ms: int = 1_000
    ) -> Point:
        """Three windows of one load, together. `rows` is an input file; its rows take turns.

        Raises:
            TeziError: perf_analyzer failed; the message has its words.
        """
        with TemporaryDirectory() as folder:
            table = Path(folder) / "table.csv"
            command = [str(self.command), "-m", model, "-u", address, "-i", "grpc"]
            command += [*load.options(), "--input-data", str(rows)]
            # It would go on, or give up, until windows are alike: noise is to be seen instead.
            command += ["--measurement-interval", str(window_ms), "--max-trials", "3"]
            command += ["--stability-percentage", "1000", "-f", str(table)]
            try:
                done = subprocess.run(
                    command, capture_output=True, text=True, timeout=_LIMIT_S, check=False
                )
            except subprocess.TimeoutExpired:
                raise TeziError(
                    f"perf_analyzer has not measured {model} within {_LIMIT_S} s: does Triton at "
                    f"{address} answer?"
                ) from None
            if done.returncode != 0 or not table.is_file():
                words = (done.stderr.strip() or done.stdout.strip())[-500:]
                raise TeziError(f"perf_analyzer could not measure {model} at {address}: {words}")
            return Point.parse(table.read_text(encoding="utf-8"), done.stdout)


def _libraries() -> Mapping[str, Path]:
    folder = find_wheel().libraries
    found = {name: sorted(folder.glob(pattern)) for name, pattern in LIBRARIES.items()}
    missing = [LIBRARIES[name] for name, paths in found.items() if not paths]
    if missing:
        raise TeziError(f"{folder} has no {' and no '.join(missing)}: run `make clean setup`.")
    return {name: paths[0] for name, paths in found.items()}


def _link(link: Path, target: Path) -> None:
    if link.is_symlink() and link.readlink() == target:
        return
    link.parent.mkdir(exist_ok=True)
    staged = link.with_name(f".{link.name}.{os.getpid()}")
    staged.unlink(missing_ok=True)
    staged.symlink_to(target)
    staged.replace(link)


@click.command()
@click.option(
    "--pairs",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write 20,000 stocks and days of the configured market there, as its input.",
)
def main(pairs: Path | None) -> None:
    """Install perf_analyzer into the data folder, and print its path."""
    settings = load_settings()
    command = PerfAnalyzer.installed(settings.home).command
    if pairs:
        store = open_store(settings)
        try:
            write_pairs(store.columns(), pairs)
        finally:
            store.close()
    print(command)


if __name__ == "__main__":
    try:
        main()
    except TeziError as error:
        sys.exit(str(error))
