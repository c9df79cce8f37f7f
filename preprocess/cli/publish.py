"""`tezi publish`: a trained model becomes the next version in the model repository."""

import asyncio
from datetime import UTC, datetime

import click

from preprocess.errors import PublishError, ServerError
from preprocess.models.folder import find_model, newest_model
from preprocess.repository.loading import load_version, server_is_live
from preprocess.repository.publish import Candidate, publish, withdraw
from preprocess.settings import load_settings


@click.command("publish")
@click.option("--model", "model_id", metavar="ID", help="A trained model; default: the newest.")
def publish_command(model_id: str | None) -> None:
    """Write the next version into the model repository, and load it where Triton is running.

    A running server swaps without losing a request. A version that it refuses is taken out again
    and the one before it goes on serving.

    \b
    tezi publish
    tezi publish --model 20260814T120000-xgboost-3f2a9c
    """
    settings = load_settings()
    model = (
        find_model(settings.models_dir, model_id) if model_id else newest_model(settings.models_dir)
    )
    candidate = Candidate(card=model.card, graph=model.path / "model_fp32.onnx")
    version = publish(settings, candidate, now=datetime.now(UTC))
    click.echo(
        f"Version {version.model_version} of {version.model_id} is in {settings.repository_dir}."
    )
    if not asyncio.run(server_is_live(settings)):
        click.echo("Triton is not running: `tezi up` will serve it.")
        return
    try:
        asyncio.run(load_version(settings, version))
    except (ServerError, TimeoutError) as error:
        folder = withdraw(settings, version)
        raise PublishError(
            f"Triton refused version {version.model_version}; the one before it serves on. "
            f"{error} The refused version is kept in {folder}."
        ) from None
    click.echo(f"Triton at {settings.triton_grpc_address} serves it now.")
