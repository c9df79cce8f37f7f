"""Who may import whom, read off the source."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from preprocess.settings import PROJECT_ROOT


def imported(path: Path) -> set[str]:
    """The modules that a file imports, by their full names."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def sources(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((PROJECT_ROOT / folder).rglob("*.py"))


def offenders(files: Iterator[Path], *roots: str) -> list[str]:
    """Files that import one of `roots` or something below it."""
    return [
        f"{path.relative_to(PROJECT_ROOT)} imports {name}"
        for path in files
        for name in sorted(imported(path))
        if any(name == root or name.startswith(f"{root}.") for root in roots)
    ]


def test_preprocess_knows_nothing_of_the_gateway_or_the_tests() -> None:
    assert offenders(sources("preprocess"), "gateway", "tests") == []


def test_the_forest_compiler_can_be_lifted_out() -> None:
    found = {
        name.partition(".")[0]
        for path in sources("preprocess/forest")
        for name in imported(path)
        if not name.startswith("preprocess.forest")
    }
    assert found - sys.stdlib_module_names == {"numpy", "onnx"}


def test_no_sql_dialect_outside_the_store() -> None:
    outside = (path for path in sources("preprocess", "gateway") if path.parent.name != "store")
    assert offenders(outside, "sqlite3", "psycopg2") == []


def test_features_know_no_server_and_no_database() -> None:
    servers = ("httpx", "starlette", "grpc", "tritonclient", "redis")
    others = ("sqlite3", "psycopg2", "click", "rich")
    assert offenders(sources("preprocess/features"), *servers, *others) == []


@pytest.mark.parametrize("core", ["predictions.py", "limits.py", "probe.py", "ports.py"])
def test_the_core_of_the_gateway_knows_no_http_and_no_grpc(core: str) -> None:
    files = iter([PROJECT_ROOT / "gateway" / core])
    assert offenders(files, "starlette", "uvicorn", "grpc", "tritonclient") == []


def test_triton_is_controlled_by_grpc_alone() -> None:
    assert offenders(sources("preprocess", "gateway"), "tritonclient.http") == []


def test_nothing_is_unpickled_by_the_product() -> None:
    allowed = {"preprocess/training/run.py"}  # writes the plain baseline, and reads none
    found = [
        line
        for line in offenders(sources("preprocess", "gateway", "backends"), "pickle", "joblib")
        if line.split()[0] not in allowed
    ]
    assert found == []


def test_the_cache_knows_no_server_but_redis() -> None:
    others = ("prometheus_client", "starlette", "grpc", "tritonclient", "sqlite3", "psycopg2")
    assert offenders(sources("preprocess/cache"), *others) == []
