"""NVIDIA's perf_analyzer: load on a running Triton by gRPC, apart from our own load generator.

Its binary comes in an old tritonclient wheel. Two libraries that it needs are in the wheel that
carries Triton, under longer names.

    python -m tests.performance.perf_analyzer --pairs FILE

installs it, prints where it is, and writes stocks and days of the market as its input.
"""

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import click

from gateway.stack.wheel import find_wheel
from preprocess.errors import TeziError
from preprocess.market.columns import MarketColumns
from preprocess.settings import load_settings
from preprocess.store import open_store
from tests.performance.market import SEED
from tests.performance.pairs import random_pairs
from tests.performance.tool_folder import tool_folder

# What the binary asks the loader for, and what Triton's wheel calls it.
LIBRARIES = {"libb64.so.0d": "libb64-*.so.0d", "libcudart.so.12": "libcudart-*.so.12*"}

PAIRS = 20_000


def install(home: Path) -> Path:
    """The command, in the data folder's tools; it finds its libraries by itself.

    Raises:
        TeziError: it cannot be installed, or does not start on this machine.
    """
    folder = tool_folder(home, "perf-analyzer").resolve()
    (folder / "lib").mkdir(exist_ok=True)
    wheel = find_wheel().libraries
    for name, pattern in LIBRARIES.items():
        found = sorted(wheel.glob(pattern))
        if not found:
            raise TeziError(f"{wheel} has no {pattern}: run `make clean setup`.")
        staged = folder / "lib" / f".{name}.{os.getpid()}"
        staged.symlink_to(found[0])
        staged.replace(folder / "lib" / name)
    command = folder / "perf_analyzer"
    command.write_text(
        f'#!/bin/sh\nLD_LIBRARY_PATH="{folder}/lib" exec "{folder}/bin/perf_analyzer" "$@"\n',
        encoding="utf-8",
    )
    command.chmod(0o755)
    started = subprocess.run(
        [command, "--version"], capture_output=True, text=True, timeout=30, check=False
    )
    if started.returncode != 0:
        raise TeziError(f"{command} does not start: {started.stderr.strip()}")
    return command


def write_pairs(columns: MarketColumns, target: Path, count: int = PAIRS) -> None:
    """An input file: stocks and trading days with enough history, so that none comes again soon."""
    rows = [
        {"bse_code": [code], "prediction_date": [day]}
        for code, day in random_pairs(columns, count, SEED)
    ]
    target.write_text(json.dumps({"data": rows}), encoding="utf-8")


@click.command()
@click.option(
    "--pairs",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write 20,000 stocks and days of the configured market there, as its input.",
)
def main(pairs: Path | None) -> None:
    """Install perf_analyzer into the data folder, and print its path."""
    settings = load_settings()
    command = install(settings.home)
    if pairs:
        with closing(open_store(settings)) as store:
            write_pairs(store.columns(), pairs)
    print(command)


if __name__ == "__main__":
    try:
        main()
    except TeziError as error:
        sys.exit(str(error))
