"""The benchmark hotspots: a process is sampled while it runs."""

import subprocess
import sys
import time

import pytest

from preprocess.errors import TeziError
from tests.performance.bench_hotspots import watching


def test_a_process_is_sampled_while_it_runs() -> None:
    script = "def spin():\n    print(flush=True)\n    while True:\n        pass\n\nspin()\n"
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as spinning:
        try:
            assert spinning.stdout is not None
            spinning.stdout.readline()
            with watching([spinning.pid]) as functions:
                time.sleep(1.0)
        finally:
            spinning.kill()
    ((name, count),) = functions.most_common(1)
    assert name.startswith("spin (")
    assert count > 0.8 * functions.total()


def test_a_process_that_is_gone_is_an_error() -> None:
    with pytest.raises(TeziError, match="py-spy could not sample"), watching([2**22 - 1]):
        time.sleep(0.3)
