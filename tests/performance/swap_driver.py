"""Changes versions as operators do, in a process of its own: `python -m ... SWAPS MODEL_ID...`.

Publishing goes through the library that `tezi publish` uses, everything else through the admin
calls of the REST API. Each change is printed as a line of JSON when it is done.
"""

import asyncio
import json
import sys
import time
from itertools import cycle
from typing import Any

import httpx

from preprocess.repository.golden_check import GoldenCheck
from preprocess.repository.publish import candidate_of
from preprocess.repository.releases import Releases
from preprocess.repository.serving import served_variants
from preprocess.settings import load_settings
from preprocess.training.folder import find_model

# Of 100 swaps every fifth is followed by a rollback, and every fifth by a canary.
_EVERY = 5
_PAUSE_S = 0.3


async def main(swaps: int, model_ids: list[str]) -> None:
    """Make the changes, one after another."""
    settings = load_settings()
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
        _tell(kind, time.perf_counter() - began, stable=response.json()["stable"])

    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(swaps):
        model_id, candidate = next(candidates)
        began = time.perf_counter()
        version = await releases.publish(candidate)
        published = version.model_version
        _tell("publish", time.perf_counter() - began, version=published, model_id=model_id)
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


def _tell(kind: str, seconds: float, **more: Any) -> None:
    print(json.dumps({"kind": kind, "seconds": seconds, **more}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2:]))
