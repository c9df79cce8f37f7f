"""redis-py in a Python that cannot load TLS, as the stub of Triton's Python backend may be.

The stub brings an interpreter of its own, and the `_ssl` of the machine's Python need not fit it.
redis-py does without, but for one annotation of its asyncio part that names a class of `ssl`.
"""

import importlib
import sys
from types import ModuleType

_NAMED: dict[str, type] = {
    "SSLContext": object,
    "SSLError": OSError,
    "TLSVersion": object,
    "VerifyFlags": object,
    "VerifyMode": object,
}


def load_redis() -> None:
    """Import redis-py; without TLS, addresses that begin with rediss:// cannot be used then."""
    try:
        importlib.import_module("ssl")
    except ImportError:
        importlib.import_module("asyncio")  # finds out by itself, and must not see the names
        sys.modules["ssl"] = _named_only()
        try:
            importlib.import_module("redis")
        finally:
            del sys.modules["ssl"]  # for everyone else it is as absent as it was


def _named_only() -> ModuleType:
    module = ModuleType("ssl", "Names alone: this Python has no TLS.")
    for name, base in _NAMED.items():
        setattr(module, name, type(name, (base,), {}))
    return module
