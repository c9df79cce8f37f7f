"""What compiled code costs a new process: the first time on a machine, and every time after."""

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass

from preprocess.settings import PROJECT_ROOT

_SCRIPT = """
import time
import tests.performance.feature_ways as ways
began = time.perf_counter()
ways.warm_up()
print(time.perf_counter() - began)
"""


@dataclass(frozen=True)
class Compiling:
    """Seconds."""

    first_s: float
    from_cache_s: float


def measure_compiling() -> Compiling:
    """Warm up twice, in processes of their own that share an empty cache of numba's."""
    with tempfile.TemporaryDirectory(prefix="tezi-numba-") as folder:
        return Compiling(_warm_up_s(folder), _warm_up_s(folder))


def _warm_up_s(cache: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT],
        env={**os.environ, "NUMBA_CACHE_DIR": cache, "PYTHONPATH": str(PROJECT_ROOT)},
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return float(done.stdout)
