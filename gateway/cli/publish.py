"""`tezi publish`: a trained model becomes the next version."""

import asyncio

import click

from gateway.cli.releases import keep_option, releases
from preprocess.repository.labels import read_labels
from preprocess.settings import load_settings
from preprocess.training.folder import find_model, newest_model


@click.command("publish")
@click.option("--model", "model_id", metavar="ID", help="A trained model; default: the newest.")
@click.option("--activate", is_flag=True, help="Make it the stable version at once.")
@keep_option
def publish_command(model_id: str | None, activate: bool, keep: int | None) -> None:
    """Make an exported model the next version, and load it where Triton is running.

    Every graph is compared with the trained model once more; one that differs is refused. A
    version that Triton refuses is taken out again. What served before serves on in any case: the
    new version answers nobody before it is activated, or given a share of the traffic. Only the
    first version of all becomes stable by itself.

    \b
    tezi publish
    tezi publish --activate
    tezi publish --model 20260814T120000-xgboost-3f2a9c --keep 5
    """
    from preprocess.repository.publish import candidate_of  # noqa: PLC0415 - slow to import

    settings = load_settings()
    model = (
        find_model(settings.models_dir, model_id) if model_id else newest_model(settings.models_dir)
    )
    version = asyncio.run(releases(settings, keep).publish(candidate_of(model), activate=activate))
    number = version.model_version
    click.echo(
        f"Version {number} of {version.model_id} is published: {', '.join(version.variants)}."
    )
    if read_labels(settings.versions_dir).stable == number:
        click.echo(f"Version {number} is stable.")
    else:
        click.echo(
            f"Next: `tezi activate {number}`, or `tezi traffic --candidate {number} --share 5`."
        )
