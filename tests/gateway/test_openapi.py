"""The OpenAPI document: up to date, and true of the service that it describes."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import Phase, settings
from schemathesis import checks
from schemathesis.python import asgi
from starlette.routing import Route

from gateway.api.incoming import LONGEST_TIMEOUT_MS, TIMEOUT_HEADER
from gateway.api.openapi import build_document
from preprocess.features.row import Status
from tests.gateway.fakes import FakePredictor, Running, build_app
from tests.paths import PROJECT_ROOT

PAGES = {"/", "/docs", "/redoc", "/openapi.json"}
DOCUMENT = PROJECT_ROOT / "docs" / "openapi.json"


def test_the_document_in_docs_is_the_one_that_is_served() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gateway.api.openapi"], capture_output=True, text=True, check=True
    )
    assert DOCUMENT.read_text("utf-8") == done.stdout, "run `make docs`"


async def test_it_is_served(tezi: Running) -> None:
    response = await tezi.client.get("/openapi.json")
    assert response.headers["content-type"] == "application/json"
    assert response.json() == build_document()


def test_every_call_is_described(tmp_path: Path) -> None:
    app = build_app(tmp_path, market=False).app
    described = {
        (path, method.upper())
        for path, calls in build_document()["paths"].items()
        for method in calls
    }
    routed = {
        (route.path.replace(":int}", "}"), method)
        for route in app.routes
        if isinstance(route, Route) and not route.path.startswith("/static/")
        if route.path not in PAGES
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert described == routed


class Statuses(dict[str, Status]):
    """Codes that begin with 0 to 4 are known, with 5 and 6 too young, the others unknown."""

    def get(self, code: str, default: Any = None) -> Any:
        if code < "5":
            return Status.OK
        return Status.SHORT_HISTORY if code < "7" else Status.UNKNOWN_STOCK


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A running application, whose lifespan schemathesis begins and we end."""
    predictor = FakePredictor(statuses=Statuses())
    app: Any = build_app(tmp_path_factory.mktemp("openapi"), predictor=predictor).app
    with asgi.get_client(app) as client:
        while client.get("/ready").status_code != 200:
            time.sleep(0.01)
    yield app
    asgi.shutdown_lifespans()
    assert predictor.closed


api = schemathesis.openapi.from_dict(build_document())

CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.unsupported_method,
    checks.negative_data_rejection,
]


@api.parametrize()
@settings(max_examples=40, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate])
def test_every_answer_is_as_described(case: Any, app: Any) -> None:
    given = str((case.headers or {}).get(TIMEOUT_HEADER, ""))
    if given.isdecimal() and 1 <= int(given) <= LONGEST_TIMEOUT_MS:
        # A valid deadline may be too short for a busy machine; a 504 is correct then.
        case.headers[TIMEOUT_HEADER] = str(LONGEST_TIMEOUT_MS)
    case.call_and_validate(app=app, checks=CHECKS)
