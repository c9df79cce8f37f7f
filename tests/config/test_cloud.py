"""The policy for clouds: valid by each cloud's own schemas, and the one of config/kubernetes."""

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from preprocess.settings import PROJECT_ROOT, load_settings
from tests.config.google_schema import schema_of
from tests.performance.scaling.policy import Policy, shipped, shipped_queue_time
from tests.performance.tool_folder import tool_folder

AWS = PROJECT_ROOT / "config" / "cloud" / "aws" / "autoscaling.yaml"
GCP = PROJECT_ROOT / "config" / "cloud" / "gcp" / "autoscaler.json"

# Mumbai.
REGION = "ap-south-1"


class _Template(yaml.SafeLoader):
    """CloudFormation's short forms become what they refer to."""


_Template.add_multi_constructor("!", lambda loader, _, node: loader.construct_scalar(node))


def resources() -> dict[str, Any]:
    template = yaml.load(AWS.read_text("utf-8"), Loader=_Template)
    found: dict[str, Any] = template["Resources"]
    return found


def test_aws_takes_the_template_and_not_one_with_a_slip(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text(AWS.read_text("utf-8").replace("ScaleInCooldown", "ScaleInCoolDown"))
    program = Path(sys.executable).with_name("cfn-lint")
    command = [str(program), "--regions", REGION, "--format", "json", "--", str(AWS), str(broken)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    found = [(each["Filename"], each["Message"]) for each in json.loads(done.stdout)]
    assert {name for name, _ in found} == {str(broken)}, done.stderr
    assert all("ScaleInCoolDown" in message for _, message in found)


def test_the_policy_of_aws_is_that_of_kubernetes() -> None:
    found = resources()
    gateway, queue = shipped("gateway"), shipped_queue_time()
    policies = [
        each["Properties"]["TargetTrackingScalingPolicyConfiguration"]
        for each in found.values()
        if each["Type"].endswith("ScalingPolicy")
    ]
    assert {policy["ScaleOutCooldown"] for policy in policies} == {gateway.up.window_s}
    assert {policy["ScaleInCooldown"] for policy in policies} == {gateway.down.window_s}
    targets = sorted(policy["TargetValue"] for policy in policies)
    assert gateway.cpu_target is not None
    assert targets == [70, 70, queue.queue_target_us]
    assert targets[0] == pytest.approx(100 * gateway.cpu_target)
    template = yaml.load(AWS.read_text("utf-8"), Loader=_Template)
    bounds = [template["Parameters"][name]["Default"] for name in ("Fewest", "Most")]
    assert bounds == [gateway.minimum, gateway.maximum]


def google_schema() -> dict[str, Any]:
    folder = tool_folder(load_settings().home, "google-schemas")
    return schema_of(folder, "compute.v1", "Autoscaler")


def test_google_takes_the_autoscaler() -> None:
    document, schema = json.loads(GCP.read_text("utf-8")), google_schema()
    jsonschema.validate(document, schema)
    for field, value in (("maxReplicas", 10), ("mode", "ALWAYS"), ("minNumReplicas", "2")):
        broken = copy.deepcopy(document)
        broken["autoscalingPolicy"][field] = value
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(broken, schema)


def test_the_policy_of_google_is_that_of_kubernetes() -> None:
    policy = json.loads(GCP.read_text("utf-8"))["autoscalingPolicy"]
    gateway, queue = shipped("gateway"), shipped_queue_time()
    found = Policy(
        policy["minNumReplicas"],
        policy["maxNumReplicas"],
        policy["cpuUtilization"]["utilizationTarget"],
    )
    assert found == Policy(gateway.minimum, gateway.maximum, gateway.cpu_target)
    assert policy["coolDownPeriodSec"] == gateway.up.window_s
    assert policy["stabilizationPeriodSec"] == gateway.down.window_s
    (metric,) = policy["customMetricUtilizations"]
    assert metric["utilizationTarget"] == queue.queue_target_us
