"""How much shared memory Triton's Python processes can come to need on one machine."""

from pathlib import Path

from preprocess.repository.configs import read_config
from preprocess.repository.live import SOURCE
from preprocess.repository.names import FEATURES, VARIANTS, classifier_name
from preprocess.runtime.triton import REGION_BYTES

# Stable, previous, candidate, and the newest, which waits to become one of these.
_VERSIONS = 4
# A region begins with one step, and grows by one when a full batch does not fit.
_STEPS = 2


def shared_memory_bytes(source: Path = SOURCE) -> int:
    """Bytes of /dev/shm that all regions take together when everything is loaded.

    `source` is the project's model repository: each instance of a Python model has a region, and
    an ONNX graph is one where the server has no backend of its own for it. While a model is loaded
    anew its former region may still be there, so the largest model counts once more.
    """
    features = _instances(source, FEATURES)
    classifiers = [_instances(source, classifier_name(variant)) for variant in VARIANTS]
    instances = features + _VERSIONS * sum(classifiers) + max(features, *classifiers)
    return instances * _STEPS * REGION_BYTES


def _instances(source: Path, model: str) -> int:
    return sum(group.count for group in read_config(source, model).instance_group)
