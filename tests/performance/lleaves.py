"""lleaves, which compiles LightGBM's trees by LLVM: compiled, and measured.

It needs an older llvmlite than numba does, which the benchmark's own process has: both functions
run in processes that import lleaves's folder first, and this module imports nothing of numba's.
"""

from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import distributions
from pathlib import Path

import numpy as np

from tests.performance.measure import Repetition, process, timed_calls

# 2,000 trees took LLVM 467 s to put into one function, on a busy machine; many more were not tried.
MOST_INLINED = 5_000


def versions(folder: Path) -> dict[str, str]:
    """The versions of lleaves and of its llvmlite."""
    return {found.name: found.version for found in distributions(path=[str(folder)])}


def compiled(folder: Path, model: Path, trees: int) -> Path:
    """The object file of a LightGBM model's text, compiled with lleaves's own defaults.

    Above MOST_INLINED trees each stays a function of its own.
    """
    inlined = trees <= MOST_INLINED
    target = model.with_name("lleaves.o" if inlined else "lleaves-not-inlined.o")
    if not target.is_file():
        staged = target.with_name(f".{target.name}")
        staged.unlink(missing_ok=True)
        with process(imports=folder) as pool:
            pool.submit(_compile, model, staged, inlined=inlined).result()
        staged.replace(target)
    return target


def repetition(
    model: Path, target: Path, rows: Path, parts: Sequence[Sequence[slice]]
) -> Repetition:
    """A Way's setup: predicts `parts` of the rows, those of each repetition, on one thread."""
    loaded = import_module("lleaves").Model(model_file=str(model))
    loaded.compile(cache=str(target))
    # lleaves takes float64: the conversion is left out, in its favour.
    held_out = np.load(rows).astype(np.float64)
    return lambda number: timed_calls(
        lambda x: loaded.predict(x, n_jobs=1), held_out, parts[number]
    )


def _compile(model: Path, target: Path, *, inlined: bool) -> None:
    import_module("lleaves").Model(model_file=str(model)).compile(
        cache=str(target), finline=inlined
    )
