"""lleaves, which compiles LightGBM's trees by LLVM: installed, compiling, measured."""

import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import IO

from preprocess.errors import TeziError
from preprocess.models.folder import MODEL_FILES
from preprocess.settings import PROJECT_ROOT
from tests.performance.held_out import Plan
from tests.performance.measure import Repetition, Times
from tests.performance.tool_folder import tool_folder

# LLVM takes about 30 ms a tree of 60 leaves.
_COMPILE_LIMIT_S = 3_600


@dataclass(frozen=True)
class LLeaves:
    """The folder that lleaves is installed in."""

    folder: Path

    @classmethod
    def installed(cls, home: Path) -> "LLeaves":
        """lleaves in the data folder's tools; installed if it is not there.

        Raises:
            TeziError: it cannot be installed.
        """
        return cls(tool_folder(home, "lleaves"))

    @property
    def versions(self) -> dict[str, str]:
        """Its version and that of its llvmlite."""
        return {found.name: found.version for found in distributions(path=[str(self.folder)])}

    def compiled(self, model: Path) -> Path:
        """The object file of a LightGBM model's text, compiled with lleaves's own defaults.

        Raises:
            TeziError: it does not compile.
        """
        target = model.with_name("lleaves.o")
        if not target.is_file():
            staged = target.with_name(f".{target.name}.{os.getpid()}")
            done = subprocess.run(
                self._command(model, staged),
                env=self._environment(),
                cwd=PROJECT_ROOT,
                capture_output=True,
                text=True,
                timeout=_COMPILE_LIMIT_S,
                check=False,
            )
            if done.returncode != 0:
                raise TeziError(f"lleaves does not compile {model}: {done.stderr[-500:]}")
            staged.replace(target)
        return target

    def repetition(self, compiled: Path, rows: Path, plan: Plan) -> Repetition:
        """A Way's setup: a worker that predicts the plan's rows on one thread."""
        model = compiled.with_name(MODEL_FILES["lightgbm"])
        worker = subprocess.Popen(
            self._command(model, compiled, rows),
            env=self._environment(),
            cwd=PROJECT_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

        def repetition(number: int) -> Times:
            assert worker.stdin is not None
            assert worker.stdout is not None
            return _exchange(worker.stdin, worker.stdout, plan.slices(number))

        return repetition

    def _command(self, *arguments: Path) -> list[str]:
        module = "tests.performance.lleaves_worker"
        return [sys.executable, "-m", module, *map(str, arguments)]

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": f"{self.folder}{os.pathsep}{PROJECT_ROOT}"}


def _exchange(stdin: IO[bytes], stdout: IO[bytes], parts: Sequence[slice]) -> Times:
    stdin.write(pickle.dumps(parts))
    stdin.flush()
    times: Times = pickle.load(stdout)  # from our own worker
    return times
