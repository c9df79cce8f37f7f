"""The evening run, scheduled three ways: each file says what its reader understands."""

import re

import yaml

from tests.config.test_schedules import CONFIG, JOBS, assert_command, unit


def test_cron_runs_it_on_weekday_evenings() -> None:
    text = (CONFIG / "cron" / "tezi-predict-all").read_text("utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    variables = [line for line in lines if re.fullmatch(r"[A-Z_]+=\S*", line)]
    (job,) = [line for line in lines if line not in variables]
    *times, user, command = job.split(maxsplit=6)
    assert times == ["30", "19", "*", "*", "1-5"]
    assert "CRON_TZ=Asia/Kolkata" in variables
    assert user == "tezi"
    assert "%" not in command  # cron would end the line there
    folder, *commands = command.split(" && ")
    assert folder == "cd /opt/tezi"
    for part in commands:
        limit, *words = part.split(" ", 2)[1:]
        assert limit.endswith("m")
        assert_command(words[0].split())
    assert commands[-1].endswith("tezi predict-all")
    assert text.endswith("\n")  # cron leaves out a last line without an end


def test_the_service_imports_first_and_is_tried_again_a_few_times() -> None:
    parsed = unit("tezi-predict-all.service")
    service = parsed["Service"]
    assert service["Type"] == "oneshot"
    assert service["User"] not in ("root", "0")
    assert service["ExecStart"].endswith("tezi predict-all")
    for key in ("ExecStartPre", "ExecStart"):
        assert_command(service[key].split())
    assert service["Restart"] == "on-failure"
    assert int(parsed["Unit"]["StartLimitBurst"]) > 1
    assert service["ReadWritePaths"] == f"{service['WorkingDirectory']}/data"


def test_the_timer_keeps_the_hour_of_cron() -> None:
    timer = unit("tezi-predict-all.timer")
    assert timer["Timer"]["OnCalendar"] == "Mon..Fri *-*-* 19:30:00 Asia/Kolkata"
    assert timer["Timer"]["Unit"] == "tezi-predict-all.service"
    assert timer["Install"]["WantedBy"] == "timers.target"


def test_the_cron_job_of_kubernetes_imports_first_and_keeps_the_hour() -> None:
    job = yaml.safe_load((JOBS / "predict-all.yaml").read_text("utf-8"))
    spec = job["spec"]
    assert (spec["schedule"], spec["timeZone"]) == ("30 19 * * 1-5", "Asia/Kolkata")
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["jobTemplate"]["spec"]["backoffLimit"] > 1
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    commands = [pod[kind][0]["command"] for kind in ("initContainers", "containers")]
    assert [command[1] for command in commands] == ["import", "predict-all"]
    for command in commands:
        assert_command(command)
    imported = pod["initContainers"][0]
    assert imported["command"][-1] in [mount["mountPath"] for mount in imported["volumeMounts"]]
