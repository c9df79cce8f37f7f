"""The lock files of the images: the same versions as everywhere, by their hashes."""

import re
import subprocess
import sys
from importlib.metadata import packages_distributions

import pytest

from tests.paths import PROJECT_ROOT

DOCKER = PROJECT_ROOT / "config" / "docker"


def pinned(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9._-]+)==([^ ;]+)", text, re.MULTILINE))


def locked(name: str) -> dict[str, str]:
    return pinned((DOCKER / f"{name}.lock").read_text("utf-8"))


def test_images_have_the_versions_that_were_tested() -> None:
    everything = pinned((PROJECT_ROOT / "requirements.lock").read_text("utf-8"))
    assert locked("gateway").items() < locked("triton").items() <= everything.items()
    for name in ("gateway", "triton"):
        for line in (DOCKER / f"{name}.in").read_text("utf-8").splitlines():
            if line and not line.startswith(("#", "-r")):
                assert line.partition("[")[0].lower() in locked(name)


# A Python that has not the modules which it is given as words, after those that it imports.
_WITH_ONLY = """
import importlib, sys
wanted, absent = sys.argv[1].split(","), set(sys.argv[2:])

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"no {name} in the image", name=name)

sys.meta_path.insert(0, Absent())
for name in wanted:
    importlib.import_module(name)
"""


@pytest.mark.parametrize(
    ("image", "modules"),
    [
        ("gateway", "gateway.__main__"),
        ("triton", "gateway.cli.stack,preprocess.serving.service,preprocess.features.kernel"),
    ],
)
def test_the_packages_of_an_image_suffice(image: str, modules: str) -> None:
    held = {*locked(image), "tezi", "coverage"}
    absent = [
        module
        for module, packages in packages_distributions().items()
        if not held & {re.sub(r"[-_.]+", "-", package).lower() for package in packages}
    ]
    assert {"pandas", "xgboost"} <= set(absent)
    done = subprocess.run(
        [sys.executable, "-c", _WITH_ONLY, modules, *absent],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
