"""Changes versions as operators do, in a process of its own.

Publishing goes through the library that `tezi publish` uses, everything else through the admin
calls of the REST API.
"""

import asyncio
import time
from collections.abc import Sequence
from itertools import cycle
from typing import Any

import httpx

from preprocess.repository.golden_check import GoldenCheck
from preprocess.repository.publish import candidate_of
from preprocess.repository.releases import Releases
from preprocess.repository.serving import served_variants
from preprocess.settings import Settings
from preprocess.training.folder import find_model

# Of 100 swaps every fifth is followed by a rollback, and every fifth by a canary.
_EVERY = 5
_PAUSE_S = 0.3

Change = dict[str, Any]


def make_changes(settings: Settings, swaps: int, model_ids: Sequence[str]) -> list[Change]:
    """Publish and activate `swaps` versions; each change has its kind and its seconds."""
    return asyncio.run(_make_changes(settings, swaps, model_ids))


async def _make_changes(settings: Settings, swaps: int, model_ids: Sequence[str]) -> list[Change]:
    changes: list[Change] = []
    releases = Releases(settings)
    models = [find_model(settings.models_dir, model_id) for model_id in model_ids]
    candidates = cycle([(model.about.model_id, candidate_of(model)) for model in models])
    client = httpx.Client(
        base_url=f"{settings.http_url}/api/v1/models",
        headers={"authorization": f"Bearer {settings.admin_token}"},
        timeout=60.0,
        trust_env=False,
    )

    def call(kind: str, method: str, path: str, **more: Any) -> None:
        began = time.perf_counter()
        response = client.request(method, path, **more)
        response.raise_for_status()
        changes.append({"kind": kind, "seconds": time.perf_counter() - began})

    for number in range(swaps):
        model_id, candidate = next(candidates)
        began = time.perf_counter()
        version = await releases.publish(candidate)
        published = version.model_version
        took = {"kind": "publish", "seconds": time.perf_counter() - began}
        changes.append(took | {"version": published, "model_id": model_id})
        if number % _EVERY == _EVERY - 2:
            shadow = number % (2 * _EVERY) < _EVERY
            body = {"candidate": published, "share": 5.0 + number % 50, "shadow": shadow}
            call("canary", "PUT", "/traffic", json=body)
            await asyncio.sleep(_PAUSE_S)
            call("canary ends", "PUT", "/traffic", json={"candidate": None})
        call("activate", "POST", f"/{published}/activate")
        for variant in served_variants(settings, version):
            answered = await GoldenCheck(settings, version, variant=variant)(10.0)
            if answered != published:
                raise AssertionError(f"predict_{variant} of Triton answers with {answered}")
        await asyncio.sleep(_PAUSE_S)
        if number % _EVERY == _EVERY - 1:
            call("rollback", "POST", "/rollback")
            await asyncio.sleep(_PAUSE_S)
    client.close()
    return changes
