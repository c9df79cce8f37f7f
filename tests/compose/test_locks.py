"""The lock files of the images: the same versions as everywhere, by their hashes."""

import re
import subprocess
import sys
from importlib.metadata import packages_distributions

import pytest

from preprocess.settings import PROJECT_ROOT

DOCKER = PROJECT_ROOT / "config" / "docker"


def pinned(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9._-]+)==([^ ;]+)", text, re.MULTILINE))


def locked(name: str) -> dict[str, str]:
    return pinned((DOCKER / f"{name}.lock").read_text("utf-8"))


@pytest.mark.parametrize("name", ["gateway", "triton"])
def test_an_image_has_the_versions_that_were_tested(name: str) -> None:
    everything = pinned((PROJECT_ROOT / "requirements.lock").read_text("utf-8"))
    assert locked(name)
    assert locked(name).items() <= everything.items()


def test_a_package_that_is_asked_for_is_locked() -> None:
    for name in ("gateway", "triton"):
        for line in (DOCKER / f"{name}.in").read_text("utf-8").splitlines():
            if line and not line.startswith(("#", "-r")):
                assert line.partition("[")[0].lower() in locked(name)


def test_each_image_holds_more_than_the_one_below() -> None:
    assert locked("gateway").items() < locked("triton").items()


# A gateway in a Python that has not the modules which it is given as words.
_WITH_ONLY = """
import sys
absent = set(sys.argv[1:])

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"no {name} in the image", name=name)

sys.meta_path.insert(0, Absent())
import gateway.__main__
"""


def test_a_gateway_starts_with_what_is_in_its_image() -> None:
    held = {*locked("gateway"), "tezi", "coverage"}
    absent = [
        module
        for module, packages in packages_distributions().items()
        if not held & {re.sub(r"[-_.]+", "-", package).lower() for package in packages}
    ]
    assert "onnxruntime" in absent
    done = subprocess.run(
        [sys.executable, "-c", _WITH_ONLY, *absent],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("package", ["nvidia-pytriton", "onnxruntime", "xgboost-cpu", "pandas"])
def test_a_gateway_does_without(package: str) -> None:
    assert package not in locked("gateway")
