"""`tezi train` and `tezi export`: from the market database to a graph that can be published."""

from contextlib import closing
from datetime import UTC, datetime

import click
from rich.console import Console
from rich.table import Table

from gateway.cli.progress import progress_bar
from preprocess.market.values import Target
from preprocess.settings import Settings, load_settings
from preprocess.store import open_store
from preprocess.training.card import Family
from preprocess.training.folder import CARD_TEXT_FILE, ModelFolder, find_model, newest_model
from preprocess.training.markdown import predictors, score_rows

model_option = click.option(
    "--model", "model_id", metavar="ID", help="ID of a trained model; default: the newest."
)


def chosen_model(settings: Settings, model_id: str | None) -> ModelFolder:
    """The trained model of that ID; None: the newest."""
    models_dir = settings.models_dir
    return find_model(models_dir, model_id) if model_id else newest_model(models_dir)


@click.command("train")
@click.option(
    "--family",
    type=click.Choice(["xgboost", "lightgbm"]),
    default="xgboost",
    show_default=True,
    help="Library that trains the model.",
)
@click.option(
    "--trees",
    type=click.IntRange(1, 20_000),
    default=500,
    show_default=True,
    help="Number of trees.",
)
@click.option(
    "--depth",
    type=click.IntRange(1, 8),
    default=6,
    show_default=True,
    help="Greatest depth of a tree.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**31 - 1),
    default=42,
    show_default=True,
    help="The same seed on the same data gives the same model, byte for byte.",
)
@click.option(
    "--learning-rate",
    type=click.FloatRange(0.0, 1.0, min_open=True),
    help="Weight of each tree; default: 5 / trees, at most 0.1.",
)
@click.option(
    "--target",
    type=click.Choice(["upper_circuit", "up_5pct"]),
    default="upper_circuit",
    show_default=True,
    help="What it predicts of the next session: a close at the upper price limit, or a close "
    "TEZI_CIRCUIT_PCT percent higher.",
)
def train_command(  # noqa: PLR0917 - one for each option
    family: Family,
    trees: int,
    depth: int,
    seed: int,
    learning_rate: float | None,
    target: Target,
) -> None:
    """Train a model on every announcement in the database whose outcome is known.

    The data are split by date: the model learns from the oldest 70 %, its threshold is chosen on
    the next 15 %, and it is evaluated on the newest 15 %. The model, its card and its plots go
    into a folder of their own; nothing is served before `tezi export` and `tezi publish`.

    \b
    tezi train
    tezi train --family lightgbm --seed 7
    tezi train --trees 2000 --target up_5pct
    """
    from preprocess.training.learner import Parameters  # noqa: PLC0415 - takes seconds
    from preprocess.training.run import train  # noqa: PLC0415 - the same

    settings = load_settings()
    parameters = Parameters(family, trees, depth, seed, learning_rate)
    with closing(open_store(settings)) as store:
        model = train(store, settings, parameters, target=target, now=datetime.now(UTC))
    _show(model)


@click.command("export")
@model_option
def export_command(model_id: str | None) -> None:
    """Convert a trained model into the ONNX graphs that Triton serves: fp32, int8 and gpu.

    Nothing is written unless each graph agrees with the model: on its hold-out rows, on rows that
    lie exactly on a split point or next to it, on extreme values and with missing features. The
    comparison is printed, and written to proof.json next to the graphs.

    \b
    tezi export
    tezi export --model 20260814T120000-xgboost-3f2a9c
    """
    from preprocess.inference_optimizer import InferenceOptimizer  # noqa: PLC0415 - takes seconds
    from preprocess.models.variants import graph_file  # noqa: PLC0415 - the same

    model = chosen_model(load_settings(), model_id)
    optimizer = InferenceOptimizer(model)
    with progress_bar("Graphs") as progress:
        proof = optimizer.export(progress=progress)
    click.echo(proof.table())
    rows = model.holdout().x
    for variant in ("fp32", "int8"):
        if variant not in proof.left_out:
            session = optimizer.load_onnx_model(model.path / graph_file(variant))
            timing = optimizer.benchmark_inference(session, rows)
            click.echo(
                f"{variant}: {timing.p50:.3f} ms a row at the median, {timing.p99:.3f} ms at p99, "
                "on one thread"
            )
    click.echo(f"The graphs are in {model.path} and agree with the model.")
    click.echo("Next: `tezi publish`.")


def _show(model: ModelFolder) -> None:
    about = model.about
    parts = Table("part", "first day", "last day", "samples", "positive")
    for part_name, part in about.parts.items():
        positives = f"{part.positives:,} ({part.positive_share:.1%})"
        days = str(part.first_day), str(part.last_day)
        parts.add_row(part_name, *days, f"{part.samples:,}", positives)
    scores = Table(title=f"on the test part, threshold {about.threshold:g}", title_justify="left")
    scores.add_column("")
    for name in predictors(about, "test"):
        scores.add_column(name, justify="right")
    for row in score_rows(about, "test"):
        scores.add_row(*row)
    console = Console()
    console.print(f"Target {about.label.name}: {about.label.meaning}.")
    console.print(parts)
    console.print(scores)
    if about.market == "demo":
        console.print(f"[yellow]{about.limits[0]}[/yellow]")
    click.echo(f"Model {about.model_id}. Its card: {model.path / CARD_TEXT_FILE}")
    click.echo("Next: `tezi export`, then `tezi publish`.")
