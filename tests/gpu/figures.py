"""What a run on the GPU found: a table to read, and JSON as the other benchmarks write it."""

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tests.gpu.comparison import BATCHES, Times
from tests.gpu.models import SEED
from tests.performance.machine import machine
from tests.performance.row import Row

GPU = "gpu variant"
FP32 = "FP32, ONNX Runtime on all cores"
LIBRARY = "training library on all cores"

GOAL_RATIO = 10.0
_PACKAGES = (
    "numpy",
    "onnx",
    "onnxruntime-gpu",
    "onnxruntime",
    "xgboost",
    "xgboost-cpu",
    "lightgbm",
)


@dataclass
class Figures:
    """Grows with each model. A dry run has times too, and no figure of a GPU."""

    command: str
    dry_run: bool
    rows: list[Row] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)

    def add(self, name: str, suffix: str, times: Times) -> None:
        """A model's rows and table."""
        self.tables.append(_table(name, times))
        for size in BATCHES:
            for other, metric in ((FP32, "cpu"), (LIBRARY, "library")):
                self.rows.append(
                    Row(
                        f"gpu_b{size}_vs_{metric}_{suffix}",
                        None if self.dry_run else times.median(GPU, size),
                        "ms",
                        times.median(other, size),
                        goal_ratio=GOAL_RATIO if (size, metric) == (BATCHES[-1], "cpu") else None,
                        note=f"{name}; baseline: {other}"
                        + ("; a dry run on the CPU, so nothing was measured" * self.dry_run),
                    )
                )

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "name": "gpu",
            "machine": machine() | {"gpu": gpu_names(), "cores_used": cores()},
            "versions": _versions(),
            "seed": SEED,
            "command": self.command,
            "settings": {"dry_run": self.dry_run},
            "rows": [{**asdict(row), "ratio": row.ratio, "met": row.met} for row in self.rows],
        }

    def text(self) -> str:
        """The tables, under what they were measured on."""
        document = self.document()
        head = [
            ", ".join(f"{key} {value}" for key, value in document[part].items())
            for part in ("machine", "versions")
        ]
        if self.dry_run:
            head.insert(0, "DRY RUN ON THE CPU: the parts work. No line below is a GPU's figure.")
        return "\n\n".join([*head, *self.tables])

    def write(self, path: Path) -> None:
        """The JSON file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.document(), indent=2) + "\n", encoding="utf-8")


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def gpu_names() -> str:
    """The GPUs with their drivers, as nvidia-smi has them; `none` without it."""
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return "none"
    return "; ".join(done.stdout.split("\n")).strip("; ") or "none"


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _table(name: str, times: Times) -> str:
    heads = ["rows/s in calls of", *(f"{size:,}" for size in BATCHES)]
    lines: list[Sequence[str]] = [heads]
    for contender in times.ms:
        rates = [size * 1e3 / times.median(contender, size) for size in BATCHES]
        lines.append([contender, *(f"{rate:,.0f}" for rate in rates)])
    widths = [max(len(line[place]) for line in lines) for place in range(len(heads))]
    body = [
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]
    return "\n".join([name, *body])
