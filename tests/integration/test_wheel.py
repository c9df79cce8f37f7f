"""A wheel of this tree, installed for each Python that the machine has, away from the checkout."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.integration.stack import RunningStack, environment, fresh_settings, running
from tests.once import made_once
from tests.paths import PROJECT_ROOT

pytestmark = pytest.mark.triton

UV = Path(sys.executable).with_name("uv")


def interpreter(version: str) -> str | None:
    """A Python of this version that runs: pyenv puts names on PATH that lead to none."""
    found = shutil.which(f"python{version}") or ""
    candidates = [found, *map(str, Path.home().glob(f".pyenv/versions/{version}.*/bin/python3"))]
    for path in filter(None, candidates):
        tried = subprocess.run([path, "-c", ""], check=False, capture_output=True)
        if tried.returncode == 0:
            return path
    return None


def build_wheel(folder: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=PROJECT_ROOT, check=True, capture_output=True)


@pytest.mark.parametrize("version", ["3.11", "3.12"])
def test_an_installed_wheel_makes_a_market_and_serves_it(
    version: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    python = interpreter(version)
    if python is None:
        pytest.skip(f"this machine has no Python {version}")
    (wheel,) = made_once(tmp_path_factory, "wheel", build_wheel).glob("tezi-*.whl")
    home, elsewhere = tmp_path / "environment", tmp_path / "elsewhere"
    elsewhere.mkdir()
    steps: list[list[str | Path]] = [
        ["venv", "--python", python, home],
        ["pip", "install", "--python", home, "--require-hashes", "-r", "requirements.lock"],
        ["pip", "install", "--python", home, "--no-deps", wheel],
    ]
    for words in steps:
        done = subprocess.run(
            [UV, *words],
            cwd=PROJECT_ROOT,
            env={**os.environ, "UV_SYSTEM_CERTS": "1"},
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    tezi = home / "bin" / "tezi"
    settings = fresh_settings(elsewhere / "data")
    own = {**environment(settings, covered=False), "TEZI_DATA_DIR": "data"}
    own.pop("PYTHONPATH", None)
    made = subprocess.run(
        [tezi, "demo", "--stocks", "100"],
        cwd=elsewhere,
        env=own,
        check=False,
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    assert (elsewhere / "data" / "market.db").is_file()
    with running(settings, covered=False, program=tezi, folder=elsewhere) as stack:
        predict(stack)


def predict(stack: RunningStack) -> None:
    """Predictions over REST for the newest day; some stocks of the demo market are too young."""
    with httpx.Client(base_url=stack.url, timeout=30, trust_env=False) as client:
        stocks = client.get("/api/v1/stocks", params={"limit": 50}).json()["stocks"]
        items = [
            {"bse_code": stock["bse_code"], "prediction_date": stock["newest_price_date"]}
            for stock in stocks
        ]
        answer = client.post("/api/v1/batch_predict", json={"predictions": items})
    assert answer.status_code == 200, answer.text
    found = [row["probability"] for row in answer.json()]
    probabilities = [probability for probability in found if probability is not None]
    assert len(probabilities) > 25
    assert all(0 < probability < 1 for probability in probabilities)
