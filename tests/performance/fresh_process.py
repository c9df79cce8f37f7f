"""What is only seen in a process of its own: the cost of compiled code, and peak memory."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from preprocess.settings import PROJECT_ROOT, Settings

_WARM_UP = """
import time
import tests.performance.feature_ways as ways
began = time.perf_counter()
ways.warm_up()
print(time.perf_counter() - began)
"""
# Imports what a program would that wants the features, and nothing of the benchmark.
_BATCH = """
import json, sys
from datetime import date
from pathlib import Path
from preprocess.feature_optimizer import FeatureOptimizer
from preprocess.settings import load_settings
from preprocess.store import open_store

store = open_store(load_settings())
day = date.fromisoformat(sys.argv[1])
frame = FeatureOptimizer(store).batch_extract_features(None, day)
lines = Path("/proc/self/status").read_text().splitlines()
sizes = {line.split(":")[0]: line.split()[1] for line in lines if line.endswith("kB")}
print(json.dumps([int(sizes[name]) * 1024 / 1e6 for name in ("VmHWM", "RssAnon", "RssFile")]))
"""


@dataclass(frozen=True)
class Compiling:
    """Seconds."""

    first_s: float
    from_cache_s: float


@dataclass(frozen=True)
class Memory:
    """MB of one process: the most it had, and at its end its own pages and those of files."""

    peak_mb: float
    own_mb: float
    mapped_mb: float


def measure_compiling() -> Compiling:
    """Warm up twice, in processes of their own that share an empty cache of numba's."""
    with tempfile.TemporaryDirectory(prefix="tezi-numba-") as folder:
        cache = {"NUMBA_CACHE_DIR": folder}
        return Compiling(_run(_WARM_UP, env=cache), _run(_WARM_UP, env=cache))


def batch_memory(settings: Settings, day: date) -> Memory:
    """One batch of all stocks; Python and the imports are in it."""
    sizes = _run(_BATCH, day.isoformat(), env=settings.environment())
    return Memory(*sizes)


def _run(script: str, *arguments: str, env: Mapping[str, str]) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, **env, "PYTHONPATH": str(PROJECT_ROOT)},
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"A process that was to be measured failed:\n{done.stderr}")
    return json.loads(done.stdout)
