"""Versions in a running stack: all gateways and direct clients follow, a restart forgets nothing.

The tests of this module share a stack and go on from one another's versions.
"""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from preprocess.features.row import MINIMUM_ROWS
from preprocess.repository.labels import read_labels
from preprocess.settings import Settings
from preprocess.store import open_store
from tests.gateway.fakes import ADMIN_TOKEN
from tests.integration.clients import Pairs, triton_grpc
from tests.integration.stack import (
    RunningStack,
    copied,
    environment,
    free_ports,
    running,
    tezi,
)

pytestmark = pytest.mark.triton

FOLLOWS_WITHIN_S = 1.0


@pytest.fixture(scope="module")
def settings(demo_market: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    home = tmp_path_factory.mktemp("versions") / "home"
    settings = copied(
        # Each answer is to come from a version, and not from what one has said before.
        demo_market.home,
        home,
        admin_token=ADMIN_TOKEN,
        cache_predictions=False,
    )
    tezi(settings, "train", "--trees", 20, "--seed", 7, covered=False)
    tezi(settings, "export", covered=False)
    return settings


@pytest.fixture(scope="module")
def stack(settings: Settings) -> Iterator[RunningStack]:
    with running(settings) as found:
        tezi(settings, "publish")
        yield found


@pytest.fixture(scope="module")
def pairs(settings: Settings) -> Pairs:
    store = open_store(settings)
    newest = {each.stock.bse_code: each.newest_price.isoformat() for each in store.listings()}
    long_enough = [h.bse_code for h in store.histories() if len(h.prices.days) >= MINIMUM_ROWS]
    store.close()
    return [(code, newest[code]) for code in long_enough[:100]]


@contextmanager
def another_gateway(settings: Settings) -> Iterator[str]:
    """A second gateway before the same Triton, on a port of its own; its address."""
    own = settings.model_copy(update={"http_port": free_ports(1)[0]})
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway"], env=environment(own), stdout=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 30
        while not _is_ready(own.http_url):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield own.http_url
    finally:
        process.terminate()
        process.wait(timeout=20)


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ready", timeout=2.0, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def batch(url: str, pairs: Pairs, variant: str = "fp32") -> list[tuple[int, float]]:
    """Version and probability of each."""
    items = [{"bse_code": c, "prediction_date": d, "variant": variant} for c, d in pairs]
    response = httpx.post(
        f"{url}/api/v1/batch_predict", json={"predictions": items}, timeout=20, trust_env=False
    )
    return [(item["model_version"], item["probability"]) for item in response.json()]


def admin(stack: RunningStack, method: str, path: str, **more: object) -> httpx.Response:
    return httpx.request(
        method,
        f"{stack.url}/api/v1/models/{path}",
        headers={"authorization": f"Bearer {ADMIN_TOKEN}"},
        timeout=60,
        trust_env=False,
        **more,  # type: ignore[arg-type]  # the body, of a type that httpx knows
    )


def test_every_gateway_and_every_direct_client_follow(stack: RunningStack, pairs: Pairs) -> None:
    with another_gateway(stack.settings) as other:
        urls = (stack.url, other)
        for change, stable in ((("activate", 2), 2), (("rollback",), 1)):
            tezi(stack.settings, *change)
            changed = time.monotonic()
            for url in urls:
                while batch(url, pairs[:1])[0][0] != stable:
                    assert time.monotonic() - changed < FOLLOWS_WITHIN_S
            direct = triton_grpc(stack.settings, pairs)
            assert set(direct["model_version"][:, 0].tolist()) == {stable}
            first, second = (batch(url, pairs) for url in urls)
            assert first == second
            assert [version for version, _ in first] == [stable] * len(pairs)
            assert direct["probability"][:, 0].tolist() == pytest.approx(
                [probability for _, probability in first], abs=1e-6
            )


def test_all_gateways_share_the_traffic_alike(stack: RunningStack, pairs: Pairs) -> None:
    with another_gateway(stack.settings) as other:
        found = admin(stack, "PUT", "traffic", json={"candidate": 2, "share": 30})
        assert found.status_code == 200, found.text
        time.sleep(FOLLOWS_WITHIN_S)
        first, second = batch(stack.url, pairs), batch(other, pairs)
        assert [version for version, _ in first] == [version for version, _ in second]
        assert 0.1 < sum(version == 2 for version, _ in first) / len(pairs) < 0.5
        assert admin(stack, "PUT", "traffic", json={"candidate": None}).status_code == 200
        time.sleep(FOLLOWS_WITHIN_S)
        assert {version for version, _ in batch(other, pairs)} == {1}


@pytest.mark.parametrize("variant", ["fp32", "int8"])
def test_a_shadow_answers_nobody_and_is_compared(
    stack: RunningStack, pairs: Pairs, variant: str
) -> None:
    body = {"candidate": 2, "share": 100, "shadow": True}
    assert admin(stack, "PUT", "traffic", json=body).status_code == 200
    assert {version for version, _ in batch(stack.url, pairs, variant)} == {1}
    total = f'shadow_probability_difference_count{{variant="{variant}"}} {len(pairs)}.0'
    deadline = time.monotonic() + 10
    while total not in httpx.get(f"{stack.url}/metrics", trust_env=False).text:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert admin(stack, "PUT", "traffic", json={"candidate": None}).status_code == 200


def test_a_damaged_version_is_refused_and_the_running_one_untouched(
    stack: RunningStack, pairs: Pairs
) -> None:
    settings = stack.settings
    before = batch(stack.url, pairs)
    tezi(settings, "publish")
    graph = settings.versions_dir / "3" / "int8.onnx"
    whole = graph.read_bytes()
    graph.unlink()  # Triton's own name of the file goes on
    graph.write_bytes(whole[: len(whole) // 2])
    refused = tezi(settings, "activate", 3, check=False)
    assert refused.returncode == 1
    assert "is not the graph that was published" in refused.stderr
    assert admin(stack, "POST", "3/activate").status_code == 409
    assert batch(stack.url, pairs) == before
    shutil.rmtree(settings.versions_dir / "3")


def test_labels_survive_a_restart(stack: RunningStack, pairs: Pairs) -> None:
    settings = stack.settings
    tezi(settings, "activate", 2)
    labels = read_labels(settings.versions_dir)
    assert (labels.stable, labels.previous) == (2, 1)
    stack.stop()
    with running(settings) as again:
        assert {version for version, _ in batch(again.url, pairs)} == {2}
        deadline = time.monotonic() + 30
        while "no " in _row_of(tezi(settings, "models").stdout, 1):  # it is loaded beside
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert tezi(settings, "rollback").stdout == "Stable: version 1; previous: 2.\n"
        time.sleep(FOLLOWS_WITHIN_S)
        assert {version for version, _ in batch(again.url, pairs)} == {1}


def _row_of(listing: str, number: int) -> str:
    return next(line for line in listing.splitlines() if line.split()[:1] == [str(number)])
