"""The configs of published versions, made from those in the project's model_repository/.

The project has one config per variant, for every version of it. A version gets its own classifier
and ensemble, so that loading one does not affect the others. The plain names, which clients call,
are ensembles that point to the stable version.
"""

from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from preprocess.errors import PublishError
from preprocess.models.names import classifier_name, ensemble_name

CONFIG_FILE = "config.pbtxt"
_HEAD = "# Written by Tezi from model_repository/{name}/config.pbtxt: edit that file instead.\n"


def version_classifier(source: Path, variant: str, number: int) -> str:
    """The config of one version's classifier."""
    config = read_config(source, classifier_name(variant))
    config.name = classifier_name(variant, number)
    return _text(config, classifier_name(variant))


def version_ensemble(source: Path, variant: str, number: int) -> str:
    """The config of one version's ensemble."""
    return _ensemble(source, variant, number, name=ensemble_name(variant, number))


def stable_ensemble(source: Path, variant: str, number: int) -> str:
    """The config of `predict_<variant>`, which points to version `number`."""
    return _ensemble(source, variant, number, name=ensemble_name(variant))


def stable_classifier(source: Path, variant: str, number: int) -> str:
    """The config of `classifier_<variant>`: an ensemble with one step, version `number`."""
    template = read_config(source, classifier_name(variant))
    step = model_config_pb2.ModelEnsembling.Step(
        model_name=classifier_name(variant, number),
        model_version=number,
        input_map={tensor.name: tensor.name for tensor in template.input},
        output_map={tensor.name: tensor.name for tensor in template.output},
    )
    config = model_config_pb2.ModelConfig(
        name=classifier_name(variant),
        platform="ensemble",
        max_batch_size=template.max_batch_size,
        input=template.input,
        output=template.output,
        ensemble_scheduling=model_config_pb2.ModelEnsembling(step=[step]),
    )
    return _text(config, classifier_name(variant))


def classifier_behind(config: model_config_pb2.ModelConfig) -> str:
    """The classifier that an ensemble points to."""
    return str(config.ensemble_scheduling.step[-1].model_name)


def _ensemble(source: Path, variant: str, number: int, *, name: str) -> str:
    config = read_config(source, ensemble_name(variant))
    config.name = name
    for step in config.ensemble_scheduling.step:
        if step.model_name == classifier_name(variant):
            step.model_name = classifier_name(variant, number)
            step.model_version = number
    return _text(config, ensemble_name(variant))


def read_config(source: Path, name: str) -> model_config_pb2.ModelConfig:
    """The config of a model of the project.

    Raises:
        PublishError: it is missing or malformed.
    """
    path = source / name / CONFIG_FILE
    try:
        return text_format.Parse(path.read_text("utf-8"), model_config_pb2.ModelConfig())
    except (OSError, text_format.ParseError) as error:
        raise PublishError(f"{path} cannot be read: {error}") from error


def _text(config: model_config_pb2.ModelConfig, made_from: str) -> str:
    return _HEAD.format(name=made_from) + text_format.MessageToString(config)
