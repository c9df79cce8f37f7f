"""Where the processor time goes while the whole stack is under load.

The stack of the load test, with the mix of the goals and then with nothing cached: what a request
takes of each component, and which functions of the gateways run most often, as py-spy sees them.
"""

import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from preprocess.errors import TeziError
from preprocess.settings import load_settings
from tests.performance.load_test.campaign import PAUSE_S, STOCKS_OF_A_REQUEST
from tests.performance.load_test.mix import Mix, Once
from tests.performance.load_test.processes import sampling
from tests.performance.load_test.scenario import constant
from tests.performance.load_test.whole_stack import CACHE, GATEWAYS, thresholds, whole_stack
from tests.performance.load_test.worker import load_source
from tests.performance.market import SEED, SMALL, WHOLE, generated_market, read_columns
from tests.performance.pairs import PastPairs, newest_pairs
from tests.performance.report import Report
from tests.performance.report_text import Grid
from tests.performance.row import Row

_RATES = {"mix": 500.0, "cold": 300.0}
_FUNCTIONS = 20
_LINE = re.compile(r":\d+\)$")


def run(*, quick: bool, command: str) -> Report:
    """Load the stack, and watch what the gateways run."""
    home = load_settings().home
    market = generated_market(home, SMALL if quick else WHOLE)
    seconds, warming = (2.0, 2.0) if quick else (20.0, 60.0)
    columns = read_columns(market.database)
    newest, past = newest_pairs(columns), PastPairs(columns, SEED)
    cold = past.take(int(_RATES["cold"] * seconds * STOCKS_OF_A_REQUEST) + 200)
    draws: dict[str, Mix | Once] = {"mix": Mix(newest, SEED, 1), "cold": Once(cold, SEED)}
    rows: list[Row] = []
    samples_ms: dict[str, list[float]] = {}
    grids: list[Grid] = []
    with (
        whole_stack(market, home / "bench" / "load") as whole,
        load_source(whole.stack.url, thresholds(whole.stack.url)) as source,
        sampling({**whole.roots(), "generator": source.pid}) as samples,
    ):
        source.send(Mix(newest, SEED), constant(_RATES["mix"], warming))
        for name, mix in draws.items():
            time.sleep(PAUSE_S)
            pids = [pid for pid, part in samples.components.items() if part == "gateway"]
            with watching(pids) as functions:
                outcome = source.send(mix, constant(_RATES[name], seconds))
                time.sleep(PAUSE_S)
            samples_ms[name] = outcome.latency_ms.tolist()
            for part in samples.names:
                cores = samples.cores(part, outcome.began, outcome.began + seconds)
                rows.append(Row(f"{name}_{part}_cpu", cores * 1e3 / _RATES[name], "ms"))
            lines = [
                [function, f"{count / functions.total():.1%}"]
                for function, count in functions.most_common(_FUNCTIONS)
            ]
            grids.append(Grid(f"{name}: what gateways run", ["function", "share"], lines))
    return Report(
        name="hotspots",
        command=command,
        seed=SEED,
        rows=rows,
        samples=samples_ms,
        grids=grids,
        settings={"stocks": len(newest), "gateways": GATEWAYS, **CACHE, **_RATES},
    )


@contextmanager
def watching(pids: Sequence[int]) -> Iterator[Counter[str]]:
    """Sample Python processes until the block ends; then there is how often each function ran.

    py-spy does not stop them: a sample now and then is of two moments, which shifts no share by
    much, while stopping them would show in every latency. Counted is who holds the interpreter.

    Raises:
        TeziError: py-spy is not installed, or may not look at the processes.
    """
    program = Path(sys.executable).with_name("py-spy")
    if not program.is_file():
        raise TeziError("hotspots needs py-spy: `make setup-dev` installs it.")
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{pid}.txt" for pid in pids]
        spies = [
            subprocess.Popen(
                f"{program} record --pid {pid} --nonblocking --gil --rate 200 --duration 600 "
                f"--format raw --output {file}".split(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            for pid, file in zip(pids, files, strict=True)
        ]
        try:
            yield found
            for spy in spies:
                spy.send_signal(signal.SIGINT)  # it writes what it has
                _, errors = spy.communicate(timeout=30.0)
                if spy.returncode != 0:
                    raise TeziError(f"py-spy could not sample: {errors.strip()[-300:]}")
        finally:
            for spy in spies:
                spy.kill()
                spy.communicate()
        for file in files:
            for line in file.read_text("utf-8").splitlines():
                stack, _, count = line.rpartition(" ")
                found[_LINE.sub(")", stack.rpartition(";")[2])] += int(count)
