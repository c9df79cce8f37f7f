"""Scaling by the queue: KEDA takes the object, the query reads metrics that Triton has."""

import copy
import json
import os
import re
import subprocess
import sys
from typing import Any

import pytest

from preprocess.models.names import VARIANTS, classifier_name, ensemble_name
from preprocess.settings import load_settings
from tests.config.kubernetes.kustomize import Document, built
from tests.config.kubernetes.manifests import Manifests
from tests.performance.tool_folder import tool_folder

OVERLAYS = ("cpu-queue-time", "gpu")

# Each document as the class understood it, without the fields that the class does not know; null
# where it refuses.
_READ = """
import json, sys
from cloudcoil.models.keda.v1alpha1 import ScaledObject
from pydantic import ValidationError
def read(document):
    try:
        found = ScaledObject.model_validate(document)
    except ValidationError:
        return None
    return found.model_dump(mode="json", by_alias=True, exclude_unset=True)
json.dump([read(document) for document in json.load(sys.stdin)], sys.stdout)
"""


def scaled_object() -> Document:
    return copy.deepcopy(Manifests(built(OVERLAYS[0])).one("ScaledObject", "tezi-triton"))


def as_keda_reads(*documents: Document) -> Any:
    folder = tool_folder(load_settings().home, "keda")
    done = subprocess.run(
        [sys.executable, "-c", _READ],
        input=json.dumps(documents),
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_keda_accepts_the_object_and_knows_every_field() -> None:
    document, unknown, empty = (scaled_object() for _ in range(3))
    unknown["spec"]["noSuchField"] = 1
    del empty["spec"]["triggers"]
    assert as_keda_reads(document, unknown, empty) == [document, document, None]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_it_replaces_the_plain_autoscaler(overlay: str) -> None:
    all_ = Manifests(built(overlay))
    assert all_.names("HorizontalPodAutoscaler") == {"tezi-gateway"}
    assert all_.names("ScaledObject") == {"tezi-triton"}


def test_the_query_counts_each_request_and_each_queue_once() -> None:
    queue, load = scaled_object()["spec"]["triggers"]
    assert (queue["type"], queue["metricType"]) == ("prometheus", "Value")
    query = queue["metadata"]["query"]
    waits, requests = query.split(" / ")
    (left_out,) = re.findall(r'model!~"([^"]+)"', waits)
    (counted,) = re.findall(r'model=~"([^"]+)"', requests)
    assert left_out == counted
    for variant in VARIANTS:
        for number in (None, 7):
            assert re.fullmatch(counted, ensemble_name(variant, number))
            assert not re.fullmatch(counted, classifier_name(variant, number))
    assert not re.fullmatch(counted, "features")
    assert load == {"type": "cpu", "metricType": "Utilization", "metadata": {"value": "70"}}
