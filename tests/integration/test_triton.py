"""Direct clients of Triton: one bad row never fails its batch, and nothing is ever invented."""

import math

import numpy as np
import psutil
import pytest
import tritonclient.grpc
from tritonclient.utils import InferenceServerException

from preprocess.market.golden_row import GOLDEN_CODE, GOLDEN_DATE
from preprocess.repository.stable import stable_version
from preprocess.store import open_store
from tests.integration.clients import triton_grpc, triton_http
from tests.integration.stack import RunningStack

pytestmark = pytest.mark.triton


@pytest.fixture(scope="module")
def good(demo_stack: RunningStack) -> tuple[str, str]:
    store = open_store(demo_stack.settings)
    listing = max(store.listings(), key=lambda listing: listing.newest_price)
    store.close()
    return listing.stock.bse_code, listing.newest_price.isoformat()


BAD = {
    ("999999", "2026-08-14"): b"UNKNOWN_STOCK",
    ("12345", "2026-08-14"): b"INVALID_CODE",
    ("12345x", "2026-08-14"): b"INVALID_CODE",
    ("", ""): b"INVALID_CODE",
    ("١٢٣٤٥٦", "2026-08-14"): b"INVALID_CODE",
    ("900001", "2026-02-30"): b"INVALID_DATE",
    ("900001", "20260814"): b"INVALID_DATE",
    ("900001", "2026-W33-5"): b"INVALID_DATE",
    ("900001", "1999-01-01"): b"SHORT_HISTORY",
}


def test_bad_rows_say_why_and_good_ones_are_answered(
    demo_stack: RunningStack, good: tuple[str, str]
) -> None:
    pairs = [good, *BAD, good]
    result = triton_grpc(demo_stack.settings, pairs)
    assert result["status"][:, 0].tolist() == [b"OK", *BAD.values(), b"OK"]
    alone = triton_grpc(demo_stack.settings, [good])
    for name, column in result.items():
        np.testing.assert_array_equal(column[0], alone[name][0])
        np.testing.assert_array_equal(column[-1], alone[name][0])
    for row in range(1, len(pairs) - 1):
        assert np.isnan(result["features"][row]).all()
        assert math.isnan(result["probability"][row, 0]), "a probability was invented"
        assert result["as_of"][row, 0] == b""


def test_what_has_been_loaded_serves_at_the_priority_of_everybody(
    demo_stack: RunningStack,
) -> None:
    """Loading is done at a lower one, which no thread may keep."""
    stubs = [
        process
        for process in psutil.Process(demo_stack.process.pid).children(recursive=True)
        if process.name().startswith("triton_python")
    ]
    assert len(stubs) >= 3
    own = psutil.Process().nice()
    threads = [psutil.Process(thread.id) for stub in stubs for thread in stub.threads()]
    assert {thread.nice() for thread in threads} == {own}


def test_http_and_grpc_agree_on_bad_rows(demo_stack: RunningStack, good: tuple[str, str]) -> None:
    pairs = [good, *list(BAD)[:3]]
    http, grpc = (ask(demo_stack.settings, pairs) for ask in (triton_http, triton_grpc))
    for name, column in grpc.items():
        np.testing.assert_array_equal(http[name], column)


def test_the_golden_row_is_answered_as_published(demo_stack: RunningStack) -> None:
    version = stable_version(demo_stack.settings.versions_dir)
    result = triton_grpc(demo_stack.settings, [(GOLDEN_CODE, GOLDEN_DATE.isoformat())])
    assert result["model_version"][0, 0] == version.model_version
    assert result["probability"][0, 0] == pytest.approx(
        version.variants["fp32"].golden_probability, abs=1e-6
    )


def test_the_golden_stock_is_no_stock_on_other_days(demo_stack: RunningStack) -> None:
    result = triton_grpc(demo_stack.settings, [(GOLDEN_CODE, "2024-08-13")])
    assert result["status"][0, 0] == b"UNKNOWN_STOCK"


def test_full_batches_are_taken_and_larger_ones_refused(
    demo_stack: RunningStack, good: tuple[str, str]
) -> None:
    result = triton_grpc(demo_stack.settings, [good] * 1024)
    assert np.unique(result["probability"]).size == 1
    with pytest.raises(InferenceServerException, match="1024"):
        triton_grpc(demo_stack.settings, [good] * 1025)


def test_both_backends_are_what_the_server_says(demo_stack: RunningStack) -> None:
    address = demo_stack.settings.triton_grpc_address
    with tritonclient.grpc.InferenceServerClient(address) as client:
        metadata = client.get_server_metadata(as_json=True)
        name = f"classifier_fp32_v{stable_version(demo_stack.settings.versions_dir).model_version}"
        config = client.get_model_config(name, as_json=True)["config"]
    assert metadata["version"] == "2.51.0"
    assert config["backend"] == "onnxruntime"
