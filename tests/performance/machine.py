"""The machine and the versions that a figure belongs to."""

import os
import platform
import sqlite3
from importlib.metadata import version
from pathlib import Path
from typing import Any

_PACKAGES = (
    "numpy",
    "numba",
    "ta-lib",
    "pandas",
    "onnxruntime",
    "xgboost-cpu",
    "lightgbm",
    "onnxmltools",
    "starlette",
    "uvicorn",
    "tritonclient",
)


def machine() -> dict[str, Any]:
    """Processor, cores, memory, system, Python."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def versions() -> dict[str, str]:
    """What a figure depends on most."""
    return {name: version(name) for name in _PACKAGES} | {"sqlite": sqlite3.sqlite_version}


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
