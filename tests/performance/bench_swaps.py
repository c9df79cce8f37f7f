"""Versions change under load, and every answer is compared with what its version predicts."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from preprocess.models.names import GPU_VARIANT
from preprocess.repository.stable import stable_version
from preprocess.repository.versions import version_numbers
from preprocess.settings import Settings, load_settings
from preprocess.training.folder import find_model, model_ids
from tests.integration.stack import TEZI, environment, fresh_settings, running, tezi
from tests.performance.bench_serve import fresh_pairs
from tests.performance.market import SEED
from tests.performance.open_loop import Answer, Request, open_loop
from tests.performance.report import Report
from tests.performance.row import Row
from tests.performance.version_answers import VersionAnswers

WORST_MS = 250.0


@dataclass(frozen=True)
class Swaps:
    """What was changed, as the driver told it, and every answer meanwhile."""

    changes: list[dict[str, Any]]
    answers: list[Answer]
    wrong: list[Answer]

    @property
    def failed(self) -> list[Answer]:
        """Requests without a prediction."""
        return [answer for answer in self.answers if answer.status != 200]

    def count(self, kind: str) -> int:
        """Changes of one kind."""
        return sum(change["kind"] == kind for change in self.changes)


def run(*, quick: bool, command: str) -> Report:
    """Start a stack on the configured market, in a folder of its own, and swap under load."""
    configured = load_settings()
    settings = fresh_settings(
        configured.home / "bench" / "swaps",
        database_url=configured.database_url or f"sqlite:///{configured.database_path}",
        admin_token="swaps",
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
    found = Swaps(changes, answers, wrong)
    latencies = np.array([answer.latency_ms for answer in found.answers])
    over = {limit: int((latencies > limit).sum()) for limit in (WORST_MS, 100.0)}
    return Report(
        name="swaps",
        command=command,
        seed=SEED,
        rows=[
            Row("swap_requests", len(found.answers), "requests"),
            Row("swap_failed", len(found.failed), "failures", goal=0, note=_first(found.failed)),
            Row("swap_wrong", len(found.wrong), "failures", goal=0, note=_first(found.wrong)),
            *(Row(f"swap_over_{ms:g}_ms", n, "failures", goal=0) for ms, n in over.items()),
            Row("swap_worst", float(latencies.max()), "ms", goal=WORST_MS),
            Row("swap_p99", float(np.percentile(latencies, 99)), "ms"),
            *(
                Row(f"swap_{kind}s", found.count(kind), "changes", goal=goal)
                for kind, goal in (
                    ("activate", swaps),
                    ("rollback", swaps // 5),
                    ("canary", swaps // 5),
                )
            ),
        ],
        samples={
            "request": latencies.tolist(),
            **{
                kind: [c["seconds"] * 1e3 for c in found.changes if c["kind"] == kind]
                for kind in ("publish", "activate", "rollback", "canary")
            },
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
) -> tuple[list[dict[str, Any]], list[Answer]]:
    """The changes that were made, and every answer meanwhile."""
    stop = asyncio.Event()
    with _driver(settings, swaps, ids) as driver:
        load = asyncio.create_task(open_loop(settings.http_url, requests, rate=rate, until=stop))
        await asyncio.sleep(1.0)
        changes = await asyncio.to_thread(_changes, driver)
        await asyncio.sleep(1.0)
        stop.set()
        return changes, await load


@contextmanager
def _driver(
    settings: Settings, swaps: int, ids: Sequence[str]
) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [str(TEZI.with_name("python")), "-m", "tests.performance.swap_driver", str(swaps), *ids],
        env=environment(settings),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=sys.stderr,
        text=True,
    )
    assert process.stdout is not None
    try:
        if process.stdout.readline() != "ready\n":
            raise RuntimeError("the driver of the swaps did not start; see above")
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def _changes(driver: "subprocess.Popen[str]") -> list[dict[str, Any]]:
    assert driver.stdin is not None
    assert driver.stdout is not None
    driver.stdin.write("go\n")
    driver.stdin.flush()
    changes = [json.loads(line) for line in driver.stdout]
    if driver.wait() != 0:
        raise RuntimeError(f"a change failed after {len(changes)}; see above")
    return changes
