"""The lock files of the images: the same versions as everywhere, by their hashes."""

import re
import subprocess
import sys
from importlib.metadata import packages_distributions

from tests.paths import PROJECT_ROOT

DOCKER = PROJECT_ROOT / "config" / "docker"


def pinned(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9._-]+)==([^ ;]+)", text, re.MULTILINE))


def locked(name: str) -> dict[str, str]:
    return pinned((DOCKER / f"{name}.lock").read_text("utf-8"))


def test_images_have_the_versions_that_were_tested_and_what_is_asked_for() -> None:
    everything = pinned((PROJECT_ROOT / "requirements.lock").read_text("utf-8"))
    assert locked("gateway").items() < locked("triton").items() <= everything.items()
    for name in ("gateway", "triton"):
        for line in (DOCKER / f"{name}.in").read_text("utf-8").splitlines():
            if line and not line.startswith(("#", "-r")):
                assert line.partition("[")[0].lower() in locked(name)


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
    assert {"onnxruntime", "pandas", "xgboost"} <= set(absent)
    done = subprocess.run(
        [sys.executable, "-c", _WITH_ONLY, *absent],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
