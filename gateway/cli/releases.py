"""`tezi publish`, `activate`, `rollback`, `traffic`, `models`: versions and their traffic."""

import asyncio
import json
from contextlib import closing
from typing import Any

import click
import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from gateway.cli.training import chosen_model, model_option
from preprocess.features.stamps import require_sector_codes
from preprocess.repository.labels import Labels, read_labels
from preprocess.repository.model_server import ModelServer
from preprocess.repository.releases import Releases
from preprocess.repository.serving import models_of
from preprocess.repository.versions import ModelVersion, read_versions
from preprocess.settings import Settings, load_settings
from preprocess.store import open_store

_keep_option = click.option(
    "--keep",
    type=click.IntRange(1, 1000),
    help="How many of the newest versions to keep on disk besides those in use; default: "
    "TEZI_KEEP_VERSIONS.",
)


def _releases(settings: Settings, keep: int | None = None) -> Releases:
    return Releases(settings, keep=keep, notice=click.echo)


@click.command("publish")
@model_option
@click.option("--activate", is_flag=True, help="Also make it the stable version.")
@_keep_option
def publish_command(model_id: str | None, activate: bool, keep: int | None) -> None:
    """Make an exported model the next version, and load it where Triton is running.

    Every graph is compared with the trained model once more; one that differs is refused, and so is
    a model that was trained on a database with other sector codes than this one's. A
    version that Triton cannot load is removed again. The new version gets no traffic before it is
    activated or given a share; only the very first version becomes stable by itself.

    \b
    tezi publish
    tezi publish --activate
    tezi publish --model 20260814T120000-xgboost-3f2a9c --keep 5
    """
    from preprocess.repository.publish import candidate_of  # noqa: PLC0415 - slow to import

    settings = load_settings()
    model = chosen_model(settings, model_id)
    with closing(open_store(settings)) as store:
        require_sector_codes(
            model.about.sector_codes, store.sector_codes(), owner=f"Model {model.path.name}"
        )
    version = asyncio.run(_releases(settings, keep).publish(candidate_of(model), activate=activate))
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


@click.command("activate")
@click.argument("version", type=click.IntRange(1))
@_keep_option
def activate_command(version: int, keep: int | None) -> None:
    """Make VERSION the stable one, which answers everything that no candidate does.

    It gets traffic only after it is loaded and has answered correctly. The version that was stable
    stays loaded as the previous one, for `tezi rollback`.

    \b
    tezi activate 8
    """
    settings = load_settings()
    _show(asyncio.run(_releases(settings, keep).activate(version)))


@click.command("rollback")
def rollback_command() -> None:
    """Make the previous version stable again. It is still loaded, so this takes effect at once.

    \b
    tezi rollback
    """
    _show(asyncio.run(_releases(load_settings()).roll_back()))


@click.command("traffic")
@click.option("--candidate", type=click.IntRange(1), help="The version to try.")
@click.option(
    "--share",
    type=click.FloatRange(0.0, 100.0, min_open=True),
    help="Percentage of the stocks that the candidate answers.",
)
@click.option(
    "--shadow",
    is_flag=True,
    help="Only compare the candidate's predictions with those of the stable version.",
)
@click.option("--off", is_flag=True, help="Send everything to the stable version again.")
def traffic_command(candidate: int | None, share: float | None, shadow: bool, off: bool) -> None:
    """Send a share of the stocks to a candidate (canary), or shadow it. Without options: show it.

    While the share stays the same, each stock is always answered by the same version. Where the
    candidate fails, the stable version answers.

    \b
    tezi traffic --candidate 8 --share 5
    tezi traffic --candidate 8 --share 20 --shadow
    tezi traffic --off
    """
    settings = load_settings()
    if off:
        if candidate is not None or share is not None or shadow:
            raise click.UsageError("--off takes no other option.")
        labels = asyncio.run(_releases(settings).end_traffic())
    elif candidate is not None and share is not None:
        labels = asyncio.run(_releases(settings).share_traffic(candidate, share, shadow=shadow))
    elif candidate is not None or share is not None or shadow:
        raise click.UsageError("--candidate and --share go together.")
    else:
        labels = read_labels(settings.versions_dir)
    _show(labels)


@click.command("models")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
def models_command(as_json: bool) -> None:
    """List the published versions: labels, whether they are loaded, quality.

    \b
    tezi models
    tezi models --json
    """
    settings = load_settings()
    labels = read_labels(settings.versions_dir)
    versions = read_versions(settings.versions_dir)
    loaded = asyncio.run(_loaded(settings))
    if as_json:
        rows = [_document(settings, version, labels, loaded) for version in versions]
        document = {"labels": msgspec.to_builtins(labels), "versions": rows}
        click.echo(json.dumps(document, indent=2))
        return
    if not versions:
        click.echo("No version is published yet: run `tezi publish`.")
        return
    table = Table(box=SIMPLE_HEAD)
    for column in ("version", "labels", "loaded", "variants", "model", "published", "ROC-AUC"):
        table.add_column(column)
    for version in versions:
        row = _document(settings, version, labels, loaded)
        table.add_row(
            str(version.model_version),
            ", ".join(row["labels"]),
            {True: "yes", False: "no", None: "?"}[row["loaded"]],
            ", ".join(version.variants),
            version.model_id,
            version.published_at,
            f"{version.metrics.get('roc_auc', float('nan')):.3f}",
        )
    Console(width=None if Console().is_terminal else 160).print(table)
    _show(labels)
    if loaded is None:
        click.echo("What Triton has loaded is unknown: it is not running on this data folder.")


async def _loaded(settings: Settings) -> frozenset[str] | None:
    async with ModelServer(settings) as server:
        return await server.loaded() if server.has_key and await server.is_live() else None


def _document(
    settings: Settings, version: ModelVersion, labels: Labels, loaded: frozenset[str] | None
) -> dict[str, Any]:
    return {
        "model_version": version.model_version,
        "labels": labels.of(version.model_version),
        "loaded": None if loaded is None else loaded.issuperset(models_of(settings, version)),
        "model_id": version.model_id,
        "family": version.family,
        "published_at": version.published_at,
        "target": version.label.name,
        "threshold": version.threshold,
        "metrics": version.metrics,
        "variants": msgspec.to_builtins(version.variants),
    }


def _show(labels: Labels) -> None:
    """Print which version answers what, in a line or two."""
    if labels.stable is None:
        click.echo("No version is stable.")
        return
    click.echo(f"Stable: version {labels.stable}; previous: {labels.previous or 'none'}.")
    if labels.candidate is not None:
        verb = "shadows" if labels.shadow else "answers"
        click.echo(f"Candidate: version {labels.candidate} {verb} {labels.share:g} % of stocks.")
