"""The recipes of docs/caching.md, run as they stand there."""

import subprocess
import time
from pathlib import Path

from gateway.cache.cache_manager import MISS, CacheManager
from tests.gateway.cache.conftest import quick
from tests.paths import PROJECT_ROOT
from tests.redis import running_redis

PAGE = (PROJECT_ROOT / "docs" / "caching.md").read_text("utf-8")
RECIPES = PAGE.split("## redis-cli")[1].split("```bash\n")[1]
LINES = [line for line in RECIPES.split("```")[0].splitlines() if not line.startswith("#")]


def run(line: str, port: int) -> str:
    """A line, on the test's own server."""
    line = line.replace("redis-cli", f"redis-cli -p {port}")
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    assert "ERR" not in done.stdout + done.stderr
    return done.stdout.strip()


def test_recipes(tmp_path: Path) -> None:
    count, show, one_stock, everything, free = LINES
    stock, other = (f"prediction:{code}:2024-01-01:1:fp32" for code in ("500325", "500002"))
    with running_redis(tmp_path) as server:
        one, two = CacheManager(quick(server.url)), CacheManager(quick(server.url))
        for key in (stock, other):
            for cache in (one, two):
                assert cache.get_or_compute(key, lambda: 1, 100) == 1
        time.sleep(0.2)  # what was computed is written behind the answer
        assert run(count, server.port) == "2"
        assert "epoch" in run(show, server.port)
        run(one_stock, server.port)
        for cache in (one, two):
            wait(cache)
            assert cache.get(stock) is MISS
            assert cache.get(other) == 1
        run(everything, server.port)
        for cache in (one, two):
            wait(cache)
            assert cache.get(other) is MISS
        run(free, server.port)
        assert run(count, server.port) == "0"
        one.close()
        two.close()


def wait(cache: CacheManager) -> None:
    """Until the cache has renewed its lease, which it does several times a second."""
    watch = cache.core.watch
    assert watch is not None
    watch.poll()
