"""Sampling: of a call in this process, and of another process between two signals."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from preprocess.profiling.frames import Frame, read_frame
from preprocess.profiling.sampled import SAMPLES_FILE, sampled
from preprocess.settings import PROJECT_ROOT

# Spins until its samples are there, and tells when the signals may come.
SPINNING = """
import sys
from pathlib import Path

def spin():
    return sum(range(2_000))

def before_the_signal():
    for _ in range(200):
        spin()

before_the_signal()
print("ready", flush=True)
while not Path({samples!r}).exists():
    spin()
print("done", sys.argv)
"""


def names(text: str) -> dict[str, float]:
    root: Frame = read_frame(json.loads(text)["root_frame"], requests=1)
    return {frame.name: frame.ms for frame in root.walk()}


def test_a_call_is_sampled() -> None:
    def spin() -> int:
        return sum(range(1_000))

    def work() -> None:
        end = time.perf_counter() + 0.1
        while time.perf_counter() < end:
            spin()

    found = names(sampled(work))
    assert found["work"] > 50
    assert "spin" in found


def test_a_process_is_sampled_between_two_signals(tmp_path: Path) -> None:
    samples = tmp_path / SAMPLES_FILE
    (tmp_path / "spinning.py").write_text(SPINNING.format(samples=str(samples)))
    process = subprocess.Popen(
        [sys.executable, "-m", "preprocess.profiling.sampled", str(tmp_path), "spinning"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=PROJECT_ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        for number in (signal.SIGUSR2, signal.SIGUSR1, signal.SIGUSR1):  # an end before a begin
            process.send_signal(number)
            time.sleep(0.1)
        assert not samples.exists()
        process.send_signal(signal.SIGUSR2)
        assert process.stdout.read() == "done ['{}']\n".format(tmp_path / "spinning.py")
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.wait(timeout=10)
        process.stdout.close()
    found = names(samples.read_text())
    assert found["spin"] > 10
    assert "before_the_signal" not in found
