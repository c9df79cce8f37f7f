"""The scaling policy for clouds: 2 to 10 instances at 70 % of the CPU."""

import json
import subprocess
import sys
from pathlib import Path

import yaml

from tests.paths import PROJECT_ROOT

AWS = PROJECT_ROOT / "config" / "cloud" / "aws" / "autoscaling.yaml"
GCP = PROJECT_ROOT / "config" / "cloud" / "gcp" / "autoscaler.json"

# Mumbai.
REGION = "ap-south-1"


class _Template(yaml.SafeLoader):
    """CloudFormation's short forms become what they refer to."""


_Template.add_multi_constructor("!", lambda loader, _, node: loader.construct_scalar(node))


def test_the_aws_template_is_valid(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text(AWS.read_text("utf-8").replace("ScaleInCooldown", "ScaleInCoolDown"))
    program = Path(sys.executable).with_name("cfn-lint")
    command = [str(program), "--regions", REGION, "--format", "json", "--", str(AWS), str(broken)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    found = [(each["Filename"], each["Message"]) for each in json.loads(done.stdout)]
    assert {name for name, _ in found} == {str(broken)}, done.stderr
    assert all("ScaleInCoolDown" in message for _, message in found)


def test_both_scale_as_kubernetes_does() -> None:
    autoscaler = PROJECT_ROOT / "config" / "kubernetes" / "base" / "gateway" / "autoscaler.yaml"
    spec = yaml.safe_load(autoscaler.read_text("utf-8"))["spec"]
    target = spec["metrics"][0]["resource"]["target"]["averageUtilization"]
    size = (spec["minReplicas"], spec["maxReplicas"])
    cool_down_s = spec["behavior"]["scaleDown"]["stabilizationWindowSeconds"]

    google = json.loads(GCP.read_text("utf-8"))["autoscalingPolicy"]
    assert google["cpuUtilization"]["utilizationTarget"] * 100 == target
    assert (google["minNumReplicas"], google["maxNumReplicas"]) == size
    assert google["stabilizationPeriodSec"] == cool_down_s

    template = yaml.load(AWS.read_text("utf-8"), Loader=_Template)
    policies = [
        each["Properties"]["TargetTrackingScalingPolicyConfiguration"]
        for each in template["Resources"].values()
        if each["Type"].endswith("ScalingPolicy")
    ]
    assert target in {policy["TargetValue"] for policy in policies}
    assert {policy["ScaleInCooldown"] for policy in policies} == {cool_down_s}
    assert tuple(template["Parameters"][name]["Default"] for name in ("Fewest", "Most")) == size
