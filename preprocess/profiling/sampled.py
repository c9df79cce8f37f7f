"""Runs a module as `python -m` does, and samples its main thread between two signals.

python -m preprocess.profiling.sampled FOLDER MODULE

SIGUSR1 begins, SIGUSR2 ends and writes FOLDER/samples.json. Work in C libraries is counted to the
Python function that called it.
"""

import runpy
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyinstrument import Profiler
from pyinstrument.renderers import JSONRenderer

from preprocess.files import atomic_write

SAMPLES_FILE = "samples.json"

# A few samples of each single request. Each takes about 20 us: more would measure themselves.
_INTERVAL_S = 0.0002


def sampled(work: Callable[[], Any]) -> str:
    """Samples of `work` in this thread, in pyinstrument's JSON."""
    profiler = _profiler()
    profiler.start()
    try:
        work()
    finally:
        profiler.stop()
    return _document(profiler)


def _profiler() -> Profiler:
    return Profiler(interval=_INTERVAL_S, async_mode="disabled")


def _document(profiler: Profiler) -> str:
    return profiler.output(JSONRenderer(show_all=True))


def main(folder: str, module: str) -> None:
    """Run `module` with the signals in place."""
    running: list[Profiler] = []

    def begin(*_: object) -> None:
        if not running:
            running.append(_profiler())
            running[0].start()

    def end(*_: object) -> None:
        if running:
            profiler = running.pop()
            profiler.stop()
            atomic_write(Path(folder) / SAMPLES_FILE, _document(profiler).encode())

    signal.signal(signal.SIGUSR1, begin)
    signal.signal(signal.SIGUSR2, end)
    sys.argv = [module]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
