"""redis-py is loaded where Python has no TLS, and nothing else is told that it had."""

import ssl
import subprocess
import sys

from gateway.cache.features.tls import load_redis

_WITHOUT_TLS = """
import sys
sys.modules["_ssl"] = None  # as if the interpreter could not load it
from gateway.cache.features.tls import load_redis
load_redis()
from gateway.cache.plan import Plan
from gateway.cache.cache_manager import MISS, CacheManager
cache = CacheManager(Plan(redis_url="redis://127.0.0.1:1/0"))
assert cache.get("k") is MISS
cache.close()
try:
    import ssl
except ImportError:
    print("no TLS")
"""


def test_redis_without_tls() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_TLS],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "no TLS\n"


def test_with_tls_nothing_is_replaced() -> None:
    load_redis()
    assert sys.modules["ssl"] is ssl
