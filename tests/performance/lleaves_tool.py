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
from preprocess.training.folder import MODEL_FILES
from tests.paths import PROJECT_ROOT
from tests.performance.contenders import Plan
from tests.performance.measure import Repetition, Times
from tests.performance.tool_folder import tool_folder

_COMPILE_LIMIT_S = 3_600
# 2,000 trees took LLVM 467 s to put into one function, on a busy machine; many more were not tried.
MOST_INLINED = 5_000


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

    def compiled(self, model: Path, trees: int) -> Path:
        """The object file of a LightGBM model's text, compiled with lleaves's own defaults.

        Above MOST_INLINED trees each stays a function of its own.

        Raises:
            TeziError: it does not compile.
        """
        inlined = trees <= MOST_INLINED
        target = model.with_name("lleaves.o" if inlined else "lleaves-not-inlined.o")
        if not target.is_file():
            staged = target.with_name(f".{target.name}.{os.getpid()}")
            done = subprocess.run(
                self._command("inlined" if inlined else "not-inlined", model, staged),
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
            self._command("inlined", model, compiled, rows),
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

    def _command(self, *arguments: str | Path) -> list[str]:
        module = "tests.performance.lleaves_worker"
        return [sys.executable, "-m", module, *map(str, arguments)]

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": f"{self.folder}{os.pathsep}{PROJECT_ROOT}"}


def _exchange(stdin: IO[bytes], stdout: IO[bytes], parts: Sequence[slice]) -> Times:
    stdin.write(pickle.dumps(parts))
    stdin.flush()
    times: Times = pickle.load(stdout)  # from our own worker
    return times
