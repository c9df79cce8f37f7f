"""Versions change under load, and every answer is compared with what its version predicts."""

import asyncio
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from itertools import islice

import numpy as np

from preprocess.models.names import GPU_VARIANT
from preprocess.repository.stable import stable_version
from preprocess.repository.versions import version_numbers
from preprocess.settings import Settings, load_settings
from preprocess.training.folder import find_model, model_ids
from tests.integration.stack import fresh_settings, running, tezi
from tests.performance.bench_serve import fresh_pairs
from tests.performance.market import SEED
from tests.performance.open_loop import Answer, Request, open_loop
from tests.performance.report import Report
from tests.performance.row import Row
from tests.performance.swap_driver import Change, make_changes
from tests.performance.version_answers import VersionAnswers

WORST_MS = 250.0
# The metric of each kind of change, if it has one, and of how many swaps one is such.
_METRICS = {
    "publish": ("", 1),
    "activate": ("swap_activates", 1),
    "rollback": ("swap_rollbacks", 5),
    "canary": ("swap_canaries", 5),
}


def run(*, quick: bool, command: str) -> Report:
    """Start a stack on the configured market, in a folder of its own, and swap under load."""
    configured = load_settings()
    settings = fresh_settings(
        configured.home / "bench" / "swaps",
        database_url=configured.database_url or f"sqlite:///{configured.database_path}",
        admin_token="swaps" * 8,
        cache_predictions=False,  # every request is to meet a version, not what one has said
    )
    rate, swaps, models, trees = (100.0, 5, 2, 20) if quick else (500.0, 100, 3, 60)
    ids = _models(settings, models, trees)
    first = stable_version(settings.versions_dir)
    variants = [variant for variant in first.variants if variant != GPU_VARIANT]
    expected = VersionAnswers(
        settings, _requests(settings, 3_000, variants), {*ids, first.model_id}
    )
    with running(settings):
        changes, answers = asyncio.run(_swap(settings, expected.requests, rate, swaps, ids))
    model_of = {change["version"]: change["model_id"] for change in changes if "version" in change}
    wrong = [
        answer
        for answer in answers
        if answer.status == 200
        and not expected.is_right(answer, model_of.get(answer.version, first.model_id))
    ]
    failed = [answer for answer in answers if answer.status != 200]
    latencies = np.array([answer.latency_ms for answer in answers])
    over = {limit: int((latencies > limit).sum()) for limit in (WORST_MS, 100.0)}
    seconds = {kind: [c["seconds"] for c in changes if c["kind"] == kind] for kind in _METRICS}
    return Report(
        name="swaps",
        command=command,
        seed=SEED,
        rows=[
            Row("swap_requests", len(answers), "requests"),
            Row("swap_failed", len(failed), "failures", goal=0, note=_first(failed)),
            Row("swap_wrong", len(wrong), "failures", goal=0, note=_first(wrong)),
            *(Row(f"swap_over_{ms:g}_ms", n, "failures", goal=0) for ms, n in over.items()),
            Row("swap_worst", float(latencies.max()), "ms", goal=WORST_MS),
            Row("swap_p99", float(np.percentile(latencies, 99)), "ms"),
            *(
                Row(metric, len(seconds[kind]), "changes", goal=swaps // each)
                for kind, (metric, each) in _METRICS.items()
                if metric
            ),
        ],
        samples={
            "request": latencies.tolist(),
            **{kind: [second * 1e3 for second in took] for kind, took in seconds.items()},
        },
        settings={
            "rate": rate,
            "models": len(ids),
            "trees": trees,
            "variants": " and ".join(variants),
        },
    )


def _first(answers: Sequence[Answer]) -> str:
    return str(answers[0]) if answers else ""


def _models(settings: Settings, count: int, trees: int) -> list[str]:
    """Small models whose answers differ, trained and exported once; the first is published."""
    before = model_ids(settings.models_dir)
    models = [
        model_id
        for model_id in before
        if find_model(settings.models_dir, model_id).about.parameters["n_estimators"] == trees
    ]

    def train(seed: int) -> None:
        tezi(settings, "train", "--trees", trees, "--seed", seed, "--depth", 3 + seed)

    # Nothing is measured yet, and each command is a process of its own.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(train, range(len(models) + 1, count + 1)))
        made = [model_id for model_id in model_ids(settings.models_dir) if model_id not in before]
        list(pool.map(lambda model_id: tezi(settings, "export", "--model", model_id), made))
    models += made
    if not version_numbers(settings.versions_dir):
        tezi(settings, "publish", "--model", models[0])
    return models[:count]


def _requests(settings: Settings, count: int, variants: Sequence[str]) -> list[Request]:
    pairs = islice(fresh_pairs(settings, count), count)
    return [
        Request(code, day, variants[index % len(variants)])
        for index, (code, day) in enumerate(pairs)
    ]


async def _swap(
    settings: Settings, requests: Sequence[Request], rate: float, swaps: int, ids: Sequence[str]
) -> tuple[list[Change], list[Answer]]:
    """The changes that were made, and every answer meanwhile."""
    stop = asyncio.Event()
    # Spawned, so that publishing takes nothing from the process that sends the load.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        pool.submit(make_changes, settings, 0, ids).result()  # imports what it needs
        load = asyncio.create_task(open_loop(settings.http_url, requests, rate=rate, until=stop))
        await asyncio.sleep(1.0)
        changes = await asyncio.wrap_future(pool.submit(make_changes, settings, swaps, ids))
        await asyncio.sleep(1.0)
        stop.set()
        return changes, await load
