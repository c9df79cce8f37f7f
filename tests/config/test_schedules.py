"""The weekly maintenance and the evening run, each scheduled three ways at one hour."""

import configparser
import shutil
import subprocess
from pathlib import Path

import click
import pytest
import yaml

from gateway.cli import main
from tests.paths import PROJECT_ROOT

CONFIG = PROJECT_ROOT / "config"
JOBS = CONFIG / "kubernetes" / "base" / "jobs"
SCHEDULES = [
    ("maintain", "30 3 * * 0", "Sun *-*-* 03:30:00"),
    ("predict-all", "30 19 * * 1-5", "Mon..Fri *-*-* 19:30:00"),
]


def assert_command(words: list[str]) -> None:
    """That `tezi` takes these words, which begin with its own name."""
    assert Path(words[0]).name == "tezi"
    command = main.get_command(click.Context(main), words[1])
    assert command is not None
    command.make_context(words[1], words[2:], resilient_parsing=False)


def unit(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",), strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # systemd minds the case
    parser.read(CONFIG / "systemd" / name, encoding="utf-8")
    return parser


@pytest.mark.parametrize(("job", "hour", "_"), SCHEDULES)
def test_cron(job: str, hour: str, _: str) -> None:
    text = (CONFIG / "cron" / f"tezi-{job}").read_text("utf-8")
    *times, user, command = text.splitlines()[-1].split(maxsplit=6)
    assert (" ".join(times), user) == (hour, "tezi")
    assert "CRON_TZ=Asia/Kolkata" in text
    assert "%" not in command  # cron would end the line there
    folder, *commands = command.split(" && ")
    assert folder == "cd /opt/tezi"
    for part in commands:
        timeout, _, *words = part.split()
        assert timeout == "timeout"
        assert_command(words)
    assert words[1] == {"predict-all": "evening"}.get(job, job)
    assert text.endswith("\n")  # cron ignores a last line without an end


@pytest.mark.parametrize(("job", "_", "calendar"), SCHEDULES)
def test_systemd(job: str, _: str, calendar: str) -> None:
    service, timer = unit(f"tezi-{job}.service")["Service"], unit(f"tezi-{job}.timer")["Timer"]
    assert service["User"] not in ("root", "0")
    for key in service.keys() & {"ExecStartPre", "ExecStart"}:
        assert_command(service[key].split())
    assert service["ReadWritePaths"] == f"{service['WorkingDirectory']}/data"
    assert timer["OnCalendar"] == f"{calendar} Asia/Kolkata"
    assert timer["Unit"] == f"tezi-{job}.service"


def test_systemd_accepts_all_units(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not here")
    for file in (CONFIG / "systemd").iterdir():
        text = file.read_text("utf-8")
        # The program of a real installation is not on this machine.
        (tmp_path / file.name).write_text(text.replace("/opt/tezi/.venv/bin/tezi", "/bin/true"))
    checked = subprocess.run(
        [analyze, "verify", "--man=no", *map(str, sorted(tmp_path.iterdir()))],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert [line for line in checked.stderr.splitlines() if "tezi-" in line] == []


@pytest.mark.parametrize(("job", "hour", "_"), SCHEDULES)
def test_kubernetes(job: str, hour: str, _: str) -> None:
    spec = yaml.safe_load((JOBS / f"{job}.yaml").read_text("utf-8"))["spec"]
    assert (spec["schedule"], spec["timeZone"]) == (hour, "Asia/Kolkata")
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] > 0
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    containers = [*pod.get("initContainers", []), *pod["containers"]]
    for container in containers:
        assert_command(container["command"])
    assert containers[-1]["command"][1] == {"predict-all": "evening"}.get(job, job)
