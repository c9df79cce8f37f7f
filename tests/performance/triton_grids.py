"""What Triton makes of the models that it has loaded, by perf_analyzer over gRPC."""

import re
from pathlib import Path
from tempfile import TemporaryDirectory

from tritonclient.grpc import InferenceServerClient

from preprocess.cli.progress import progress_bar
from preprocess.settings import Settings
from tests.integration.stack import running
from tests.performance.evening import scored_stack
from tests.performance.market import BenchMarket, read_columns
from tests.performance.perf_analyzer import Load, PerfAnalyzer
from tests.performance.perf_input import write_features, write_pairs
from tests.performance.report_grid import Grid
from tests.performance.report_text import figure

_OF_A_VERSION = re.compile(r".+_v[0-9]+")

LOADS = (
    *(Load(in_flight=count) for count in (1, 2, 4, 8, 16)),
    *(Load(per_second=rate) for rate in (200, 500, 1_000)),
)


def triton_grids(home: Path, market: BenchMarket) -> list[Grid]:
    """A table for each ensemble and each classifier, of a stack of its own on the market."""
    analyzer = PerfAnalyzer.installed(home)
    settings = scored_stack(market, home / "bench" / "stack")
    columns = read_columns(market.database)
    with TemporaryDirectory() as folder, running(settings):
        inputs = {"predict": Path(folder) / "pairs.json", "classifier": Path(folder) / "rows.json"}
        write_pairs(columns, inputs["predict"])
        write_features(columns, inputs["classifier"])
        models = loaded_models(settings)
        with progress_bar("perf_analyzer") as advance:
            grids = []
            for number, model in enumerate(models):
                advance(number, len(models))
                rows = inputs[model.partition("_")[0]]
                grids.append(_grid(analyzer, settings.triton_grpc_address, model, rows))
            advance(len(models), len(models))
    return grids


def loaded_models(settings: Settings) -> list[str]:
    """The ensembles and classifiers that Triton is ready to answer with, ensembles first.

    By their plain names, which lead to the stable version.
    """
    with InferenceServerClient(settings.triton_grpc_address) as client:
        index = client.get_model_repository_index(client_timeout=10.0).models
    ready = {
        model.name
        for model in index
        if model.state == "READY" and not _OF_A_VERSION.fullmatch(model.name)
    }
    return [name for kind in ("predict_", "classifier_") for name in sorted(ready) if kind in name]


def _grid(analyzer: PerfAnalyzer, address: str, model: str, rows: Path) -> Grid:
    lines = []
    for load in LOADS:
        point = analyzer.measure(address, model, rows, load)
        latencies = (point.p50_ms, point.p95_ms, point.p99_ms)
        late = f"{point.delayed:.0%}" if load.per_second else ""
        lines.append([load.text, f"{point.rate:,.0f}", *map(figure, latencies), late])
    heads = ("load", "inferences/s", "p50, ms", "p95, ms", "p99, ms", "sent late")
    return Grid(f"{model} in Triton, gRPC, one row a request", heads, lines)
