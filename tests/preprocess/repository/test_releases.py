"""Publishing, activating, rolling back, sharing: with a Triton, without one, and when it fails."""

import asyncio
import errno
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from preprocess.errors import ModelError, PublishError, ServerError
from preprocess.repository.control_key import make_key
from preprocess.repository.labels import Labels, read_labels
from preprocess.repository.lock import only_change
from preprocess.repository.publish import Candidate
from preprocess.repository.releases import Releases
from preprocess.repository.versions import (
    ModelVersion,
    read_versions,
    require_intact,
    version_numbers,
)
from preprocess.settings import Settings, load_settings
from preprocess.training.folder import STAGING_FOLDER
from tests.full_disk import Cancelled, Trouble
from tests.graphs import tiny_candidate
from tests.integration.stack import free_ports
from tests.preprocess.repository.fake_triton import FakeTriton, serving


class Clock:
    """A minute goes by whenever somebody looks."""

    now = datetime(2026, 8, 14, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(minutes=1)
        return self.now


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    ports = free_ports(4)
    names = ("http_port", "triton_http_port", "triton_grpc_port", "triton_metrics_port")
    return load_settings(
        data_dir=tmp_path / "data", gpu="off", **dict(zip(names, ports, strict=True))
    )


@pytest.fixture
def candidate(tmp_path: Path) -> Candidate:
    return tiny_candidate(tmp_path / "model", "fp32", "int8", "gpu")


@pytest.fixture
def notices() -> list[str]:
    return []


@pytest.fixture
def releases(settings: Settings, notices: list[str]) -> Releases:
    make_key(settings, keep=True)  # a Triton has run on this folder
    return Releases(settings, clock=Clock(), notice=notices.append)


@pytest.fixture
async def triton(settings: Settings) -> AsyncIterator[FakeTriton]:
    async with serving(FakeTriton(settings.repository_dir), settings) as fake:
        yield fake


def labels(settings: Settings) -> tuple[int | None, int | None, int | None]:
    found = read_labels(settings.versions_dir)
    return found.stable, found.previous, found.candidate


async def publish(releases: Releases, candidate: Candidate, count: int) -> None:
    for _ in range(count):
        await releases.publish(candidate)


async def test_without_a_triton_only_files_change(
    settings: Settings, releases: Releases, candidate: Candidate
) -> None:
    await publish(releases, candidate, 3)
    assert labels(settings) == (1, None, None)
    await releases.activate(2)
    await releases.share_traffic(3, 5.0, shadow=False)
    assert labels(settings) == (2, 1, 3)
    await releases.roll_back()
    assert labels(settings) == (1, 2, 3)
    await releases.end_traffic()
    assert labels(settings) == (1, 2, None)
    assert (settings.repository_dir / "predict_int8_v3" / "config.pbtxt").is_file()
    text = (settings.repository_dir / "predict_int8" / "config.pbtxt").read_text()
    assert 'model_name: "classifier_int8_v1"' in text


@pytest.fixture
def keyless(settings: Settings, tmp_path: Path) -> Settings:
    """A container of its own: it shares the versions, and not the key of Triton."""
    own = load_settings(**{**settings.model_dump(), "data_dir": tmp_path / "keyless"})
    own.home.mkdir()
    settings.versions_dir.mkdir(parents=True, exist_ok=True)
    own.versions_dir.symlink_to(settings.versions_dir)
    return own


@asynccontextmanager
async def following(releases: Releases) -> AsyncIterator[None]:
    """What the supervisor of Triton does meanwhile."""

    async def follow() -> None:
        while True:
            with suppress(ServerError):
                await releases.reconcile()
            await asyncio.sleep(0.05)

    task = asyncio.create_task(follow())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_without_the_key_a_change_waits_until_triton_has_followed(
    keyless: Settings, releases: Releases, candidate: Candidate, triton: FakeTriton
) -> None:
    await releases.publish(candidate)
    async with following(releases):
        await Releases(keyless).publish(candidate)
        assert "predict_fp32_v2" in triton.loaded
        await Releases(keyless).activate(2)
        assert triton.behind("predict_fp32") == "classifier_fp32_v2"
        await Releases(keyless, keep=1, clock=Clock()).publish(candidate, activate=True)
        while "predict_fp32_v1" in triton.loaded:  # it was deleted
            await asyncio.sleep(0.05)
    assert labels(keyless) == (3, 2, None)
    assert not keyless.repository_dir.exists()


async def test_the_key_of_another_server_is_an_error_that_says_so(
    settings: Settings, releases: Releases, candidate: Candidate, triton: FakeTriton
) -> None:
    triton.key = "another"
    with pytest.raises(ServerError, match="key in this data folder is not the server's"):
        await releases.publish(candidate)


@pytest.mark.usefixtures("triton")
async def test_a_change_that_triton_does_not_follow_is_taken_back(
    keyless: Settings,
    releases: Releases,
    candidate: Candidate,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await publish(releases, candidate, 2)
    left = asyncio.create_task(Releases(keyless).activate(2))
    while labels(keyless) != (2, 1, None):
        await asyncio.sleep(0.01)
    left.cancel()
    await asyncio.gather(left, return_exceptions=True)
    assert labels(keyless) == (1, None, None)
    monkeypatch.setattr("preprocess.repository.releases._FOLLOWED_S", 0.3)
    with pytest.raises(ServerError, match=r"not followed .* labels are as before"):
        await Releases(keyless).activate(2)
    assert labels(keyless) == (1, None, None)
    with pytest.raises(ServerError, match=r"version 3; .* kept in"):
        await Releases(keyless).publish(candidate)
    assert version_numbers(keyless.versions_dir) == [1, 2]


async def test_a_new_version_is_loaded_and_answers_nobody(
    settings: Settings, releases: Releases, candidate: Candidate, triton: FakeTriton
) -> None:
    await releases.publish(candidate)
    assert triton.behind("predict_fp32") == "classifier_fp32_v1"
    triton.calls.clear()
    await releases.publish(candidate)
    assert triton.loads() == [
        "classifier_fp32_v2",
        "classifier_int8_v2",
        "predict_fp32_v2",
        "predict_int8_v2",
    ]
    assert triton.behind("predict_fp32") == "classifier_fp32_v1"
    assert labels(settings) == (1, None, None)
    assert not any("gpu" in name for name in triton.loaded)  # there is none


async def test_activating_and_rolling_back_load_only_the_plain_names(
    settings: Settings, releases: Releases, candidate: Candidate, triton: FakeTriton
) -> None:
    await publish(releases, candidate, 2)
    plain = ["classifier_fp32", "predict_fp32", "classifier_int8", "predict_int8"]
    for change, stable in ((releases.activate(2), 2), (releases.roll_back(), 1)):
        triton.calls.clear()
        await change
        assert triton.loads() == plain
        assert {triton.behind(name) for name in plain} == {
            f"classifier_fp32_v{stable}",
            f"classifier_int8_v{stable}",
        }
        assert labels(settings)[0] == stable


async def test_a_previous_version_whose_process_has_died_is_loaded_anew(
    settings: Settings, releases: Releases, candidate: Candidate, triton: FakeTriton
) -> None:
    await publish(releases, candidate, 2)
    await releases.activate(2)
    del triton.graphs["classifier_int8_v1"]  # still called ready
    triton.calls.clear()
    await releases.roll_back()
    assert labels(settings)[:2] == (1, 2)
    assert "classifier_int8_v1" in triton.loads()
    assert not [name for call, name in triton.calls if call == "unload" and "_v2" in name]
    assert triton.behind("predict_int8") == "classifier_int8_v1"


async def test_a_stable_version_without_a_variant_takes_its_plain_names_away(
    settings: Settings, releases: Releases, candidate: Candidate, triton: FakeTriton, tmp_path: Path
) -> None:
    await releases.publish(candidate)
    await releases.publish(tiny_candidate(tmp_path / "other", "fp32"), activate=True)
    assert "predict_int8" not in triton.loaded
    assert "predict_int8_v1" in triton.loaded  # of the previous version
    assert not (settings.repository_dir / "predict_int8").exists()
    await releases.roll_back()
    assert triton.behind("predict_int8") == "classifier_int8_v1"


@pytest.mark.parametrize("refused", ["classifier_int8_v2", "predict_fp32_v2"])
async def test_a_version_that_triton_refuses_is_taken_out_again(
    settings: Settings,
    releases: Releases,
    candidate: Candidate,
    triton: FakeTriton,
    refused: str,
) -> None:
    await releases.publish(candidate)
    triton.refuse.add(refused)
    before = dict(triton.loaded)
    with pytest.raises(ServerError, match=r"refused version 2; .* is unaffected.*refused/2"):
        await releases.publish(candidate)
    assert triton.loaded == before
    assert version_numbers(settings.versions_dir) == [1]
    assert not (settings.repository_dir / "classifier_fp32_v2").exists()
    assert (settings.home / "refused" / "2" / "fp32.onnx").is_file()
    triton.refuse.clear()
    assert (await releases.publish(candidate)).model_version == 3


async def test_a_refused_version_that_cannot_be_kept_goes_all_the_same(
    settings: Settings,
    releases: Releases,
    candidate: Candidate,
    triton: FakeTriton,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The versions may be a volume of their own, and the one of `refused` full."""
    await releases.publish(candidate)
    triton.refuse.add("predict_fp32_v2")
    trouble = Trouble("full")
    monkeypatch.setattr("shutil.move", lambda *_: trouble.strike())
    with pytest.raises(ServerError, match=r"refused version 2; .* unaffected\. .*predict_fp32_v2$"):
        await releases.publish(candidate)
    assert version_numbers(settings.versions_dir) == [1]


async def test_a_version_that_answers_wrongly_is_taken_out_again(
    settings: Settings, releases: Releases, candidate: Candidate, triton: FakeTriton
) -> None:
    await releases.publish(candidate)
    triton.shift = 1e-3
    with pytest.raises(ServerError, match="came back wrong"):
        await releases.publish(candidate)
    assert version_numbers(settings.versions_dir) == [1]


async def test_whichever_call_fails_stable_and_the_plain_names_agree(
    settings: Settings, releases: Releases, candidate: Candidate, triton: FakeTriton
) -> None:
    """One call after another is refused, in the middle of an activation."""
    await publish(releases, candidate, 2)
    target = 2
    for number in range(1, 100):
        triton.calls.clear()
        triton.fail_at = number
        before = labels(settings)
        try:
            await releases.activate(target)
        except ServerError:
            failed = True
        else:
            failed = False
        asked, triton.fail_at = len(triton.calls), 0
        if failed:
            assert labels(settings) == before
            for variant in ("fp32", "int8"):  # what served serves on, and by the same names
                behind = triton.behind(f"predict_{variant}")
                assert behind == f"classifier_{variant}_v{before[0]}"
        await releases.reconcile()
        stable = labels(settings)[0]
        for variant in ("fp32", "int8"):
            assert triton.behind(f"predict_{variant}") == f"classifier_{variant}_v{stable}"
            assert triton.behind(f"classifier_{variant}") == f"classifier_{variant}_v{stable}"
        if not failed:
            assert stable == target
            target = 3 - target
        if asked < number:
            break
    else:
        raise AssertionError("an activation without a failure was never reached")
    assert number > 6


async def test_an_activation_that_is_cancelled_changes_nothing(
    settings: Settings, releases: Releases, candidate: Candidate, triton: FakeTriton
) -> None:
    await publish(releases, candidate, 2)
    triton.hangs.add("predict_fp32")
    activation = asyncio.create_task(releases.activate(2))
    async with asyncio.timeout(60):
        while triton.loads()[-1] != "predict_fp32":
            await asyncio.sleep(0.01)
    activation.cancel()
    with pytest.raises(asyncio.CancelledError):
        await activation
    assert labels(settings) == (1, None, None)
    assert triton.behind("classifier_fp32") == "classifier_fp32_v1"


async def test_a_cancellation_while_old_versions_leave_changes_nothing_either(
    settings: Settings,
    releases: Releases,
    candidate: Candidate,
    triton: FakeTriton,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def cancelled(*_: object) -> None:
        raise asyncio.CancelledError

    await publish(releases, candidate, 2)
    monkeypatch.setattr(Releases, "_tidy", cancelled)
    with pytest.raises(asyncio.CancelledError):
        await releases.activate(2)
    assert labels(settings) == (1, None, None)
    assert triton.behind("predict_fp32") == "classifier_fp32_v1"


@pytest.mark.parametrize("change", ["publish", "publish and activate", "activate", "traffic"])
@pytest.mark.parametrize("kind", ["full", "full for good", "cancelled"])
async def test_a_change_that_the_disk_or_ctrl_c_stops_is_not_made(
    settings: Settings,
    releases: Releases,
    candidate: Candidate,
    triton: FakeTriton,
    *,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    change: str,
) -> None:
    """At each file that is written, one after the other."""
    await publish(releases, candidate, 2)
    changes: dict[str, Callable[[], Awaitable[object]]] = {
        "publish": lambda: releases.publish(candidate),
        "publish and activate": lambda: releases.publish(candidate, activate=True),
        "activate": lambda: releases.activate(2),
        "traffic": lambda: releases.share_traffic(2, 5.0, shadow=False),
    }
    before = labels(settings), version_numbers(settings.versions_dir), set(triton.loaded)

    def after() -> object:
        return labels(settings), version_numbers(settings.versions_dir), set(triton.loaded)

    trouble = (Cancelled if kind == "cancelled" else Trouble)(kind)
    monkeypatch.setattr("preprocess.files.sync", trouble)
    for number in range(1, 100):
        trouble.at, trouble.calls = number, 0
        try:
            await changes[change]()
        except (OSError, asyncio.CancelledError):
            trouble.at = 0
        else:
            break
        assert after() == before
        assert triton.behind("predict_fp32") == "classifier_fp32_v1"
        assert not [path for path in settings.versions_dir.rglob(".*") if path.is_file()]
        assert not any((settings.versions_dir / STAGING_FOLDER).iterdir())
        await releases.reconcile()
        assert after() == before
    assert number > (1 if change == "traffic" else 2)
    assert after() != before


async def test_a_folder_that_cannot_be_written_is_told_of(
    settings: Settings, releases: Releases, candidate: Candidate
) -> None:
    settings.versions_dir.write_bytes(b"")  # root may write to any folder
    with pytest.raises(OSError, match="exists"):
        await releases.publish(candidate)


async def test_old_versions_that_cannot_be_deleted_do_not_stop_a_change(
    settings: Settings,
    releases: Releases,
    candidate: Candidate,
    triton: FakeTriton,
    *,
    notices: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("preprocess.repository.releases.delete_version", refuse)
    await publish(releases, candidate, 5)
    await releases.activate(5)
    assert labels(settings) == (5, 1, None)
    assert triton.behind("predict_fp32") == "classifier_fp32_v5"
    assert set(notices) == {"old versions stay for now: [Errno 30] Read-only file system"}


async def test_changes_need_a_folder_with_versions_and_make_none(
    settings: Settings, releases: Releases
) -> None:
    for change in (
        releases.activate(1),
        releases.roll_back(),
        releases.share_traffic(1, 5.0, shadow=True),
        releases.end_traffic(),
        releases.reconcile(),
        releases.prepare_start(),
    ):
        with pytest.raises(ModelError, match=r"No model is published in .*tezi demo"):
            await change
    assert not settings.versions_dir.exists()


async def test_old_versions_leave_and_those_in_use_never_do(
    settings: Settings,
    releases: Releases,
    candidate: Candidate,
    triton: FakeTriton,
    notices: list[str],
) -> None:
    await publish(releases, candidate, 1)
    for _ in range(5):
        version = await releases.publish(candidate, activate=True)
        assert labels(settings)[:2] == (version.model_version, version.model_version - 1)
    await releases.activate(5)
    assert version_numbers(settings.versions_dir) == [4, 5, 6]
    held = {name for name in triton.loaded if "_v" in name}
    assert held == {
        f"{kind}_{variant}_v{n}"
        for kind in ("classifier", "predict")
        for variant in ("fp32", "int8")
        for n in (5, 6)
    }
    assert notices == [f"version {n} was deleted; the newest 3 are kept" for n in (1, 2, 3)]
    await releases.activate(4)  # it is still on the disk
    await publish(releases, candidate, 4)
    assert set(version_numbers(settings.versions_dir)) >= {4, 5}  # stable and previous
    assert labels(settings) == (4, 5, None)


async def test_what_gateways_may_still_follow_stays(
    settings: Settings, candidate: Candidate, triton: FakeTriton
) -> None:
    moment = datetime(2026, 8, 14, 12, tzinfo=UTC)
    releases = Releases(settings, keep=1, clock=lambda: moment)
    await releases.publish(candidate)
    for _ in range(3):
        await releases.publish(candidate, activate=True)
    assert version_numbers(settings.versions_dir) == [1, 2, 3, 4]
    assert "predict_fp32_v1" in triton.loaded


async def test_what_the_labels_of_before_name_leaves_with_the_next_change(
    settings: Settings, candidate: Candidate, triton: FakeTriton
) -> None:
    """A gateway may not have read the new labels yet, however old the ones before are."""
    releases = Releases(settings, keep=1, clock=Clock())
    await releases.publish(candidate)
    for _ in range(2):
        await releases.publish(candidate, activate=True)
    assert labels(settings) == (3, 2, None)
    assert version_numbers(settings.versions_dir) == [1, 2, 3]
    assert "predict_fp32_v1" in triton.loaded
    await releases.publish(candidate)
    assert version_numbers(settings.versions_dir) == [2, 3, 4]
    assert "predict_fp32_v1" not in triton.loaded


async def test_a_version_that_there_is_not(
    settings: Settings, releases: Releases, candidate: Candidate
) -> None:
    await releases.publish(candidate)
    with pytest.raises(ModelError, match="no version 7; there are: 1"):
        await releases.share_traffic(7, 5.0, shadow=False)
    assert labels(settings) == (1, None, None)


async def test_a_damaged_version_does_not_become_stable(
    settings: Settings, releases: Releases, candidate: Candidate, triton: FakeTriton
) -> None:
    await publish(releases, candidate, 2)
    (settings.versions_dir / "2" / "int8.onnx").write_bytes(b"cut")
    with pytest.raises(ModelError, match=r"int8\.onnx is not the graph that was published"):
        await releases.activate(2)
    assert labels(settings) == (1, None, None)
    assert triton.behind("predict_fp32") == "classifier_fp32_v1"


async def test_a_server_that_starts_begins_with_the_stable_version(
    settings: Settings, releases: Releases, candidate: Candidate, notices: list[str]
) -> None:
    await publish(releases, candidate, 3)
    await releases.activate(2)
    version, models = await releases.prepare_start()
    assert version.model_version == 2
    assert models == [
        "features",
        "classifier_fp32_v2",
        "classifier_int8_v2",
        "predict_fp32_v2",
        "predict_int8_v2",
        "classifier_fp32",
        "predict_fp32",
        "classifier_int8",
        "predict_int8",
    ]
    assert notices == []


async def test_where_stable_is_damaged_the_one_before_it_starts(
    settings: Settings, releases: Releases, candidate: Candidate, notices: list[str]
) -> None:
    await publish(releases, candidate, 3)
    await releases.activate(2)
    (settings.versions_dir / "2" / "fp32.onnx").write_bytes(b"")
    version, _ = await releases.prepare_start()
    assert version.model_version == 1
    assert labels(settings)[0] == 1
    assert notices[-1] == "version 1 is now stable"
    for number in (1, 3):
        (settings.versions_dir / str(number) / "fp32.onnx").unlink()
    with pytest.raises(ModelError, match="None of the published versions"):
        await releases.prepare_start()


async def test_a_server_that_is_up_gets_the_rest(
    settings: Settings,
    releases: Releases,
    candidate: Candidate,
    notices: list[str],
) -> None:
    await publish(releases, candidate, 4)
    await releases.activate(2)
    await releases.share_traffic(3, 5.0, shadow=True)
    (settings.versions_dir / "3" / "fp32.onnx").write_bytes(b"")
    async with serving(FakeTriton(settings.repository_dir), settings) as triton:
        await releases.reconcile()
        held = {name for name in triton.loaded if name.startswith("predict_fp32")}
        assert held == {"predict_fp32"} | {f"predict_fp32_v{n}" for n in (1, 2, 4)}
        assert triton.behind("predict_fp32") == "classifier_fp32_v2"
        assert [notice.partition(":")[0] for notice in notices] == ["version 3 is left out"]
        triton.calls.clear()
        await releases.reconcile()
        assert not [name for name in triton.loads() if "_v3" not in name]  # all is as it should be


async def test_a_plain_name_that_leads_elsewhere_is_no_activation(
    settings: Settings, releases: Releases, candidate: Candidate, triton: FakeTriton
) -> None:
    """The server says that it has loaded the name, and answers as before."""
    await publish(releases, candidate, 2)
    triton.deaf.add("predict_fp32")
    with pytest.raises(ServerError, match="predict_fp32 still answers with version 1"):
        await releases.activate(2)
    assert labels(settings) == (1, None, None)


async def test_configs_of_another_release_are_written_anew(
    settings: Settings, releases: Releases, candidate: Candidate
) -> None:
    await releases.publish(candidate)
    configs = [
        settings.repository_dir / name / "config.pbtxt"
        for name in ("classifier_fp32_v1", "predict_fp32_v1", "classifier_fp32", "predict_fp32")
    ]
    before = [config.read_bytes() for config in configs]
    for config in configs:
        config.write_text("# as an older Tezi wrote it\n")
    await releases.prepare_start()
    assert [config.read_bytes() for config in configs] == before


async def test_half_done_activations_are_finished_by_the_next_command(
    settings: Settings, releases: Releases, candidate: Candidate, triton: FakeTriton
) -> None:
    """As after a kill between the labels and the plain names."""
    await publish(releases, candidate, 2)
    path = settings.versions_dir / "labels.json"
    path.write_text(path.read_text().replace('"stable": 1', '"stable": 2'))
    assert triton.behind("predict_fp32") == "classifier_fp32_v1"
    await releases.reconcile()
    assert triton.behind("predict_fp32") == "classifier_fp32_v2"


async def test_changes_wait_for_each_other(
    settings: Settings, releases: Releases, candidate: Candidate
) -> None:
    found = await asyncio.gather(*(releases.publish(candidate) for _ in range(3)))
    assert sorted(version.model_version for version in found) == [1, 2, 3]
    async with only_change(settings):
        with pytest.raises(PublishError, match="Another command"):
            async with only_change(settings, wait_s=0.1):
                raise AssertionError("two hold the lock")


async def test_damaged_labels_stop_changes(
    settings: Settings, releases: Releases, candidate: Candidate
) -> None:
    await releases.publish(candidate)
    (settings.versions_dir / "labels.json").write_text("{")
    with pytest.raises(ModelError, match="Delete it"):
        await releases.publish(candidate)
    (settings.versions_dir / "labels.json").unlink()
    await releases.activate(1)
    assert read_labels(settings.versions_dir) == Labels(
        generation=1, stable=1, changed_at=read_labels(settings.versions_dir).changed_at
    )


# One process imports everything and forks a child for each folder, which dies at the call that the
# folder is named after.
_CHANGE_AND_DIE = """
import asyncio, os, signal, sys
from pathlib import Path
from preprocess import files
from preprocess.repository.releases import Releases
from preprocess.settings import load_settings
from tests.graphs import tiny_candidate
import preprocess.repository.publish
calls = 0
def publish(home):
    def dying_sync(path, real=files.sync):
        global calls
        calls += 1
        if calls == int(home.name):
            os.kill(os.getpid(), signal.SIGKILL)
        real(path)
    files.sync = dying_sync
    settings = load_settings(data_dir=home, triton_grpc_port=int(sys.argv[1]), gpu="off")
    candidate = tiny_candidate(home / "model", "fp32", "int8", "gpu")
    asyncio.run(Releases(settings).publish(candidate, activate=True))
for home in map(Path, sys.argv[2:]):
    child = os.fork()
    if not child:
        publish(home)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, (home, status)
"""


async def test_killed_anywhere_it_leaves_a_repository_that_starts(
    settings: Settings, releases: Releases, candidate: Candidate, tmp_path: Path
) -> None:
    """The version, its folders for Triton, the labels, the plain names: each may be cut short."""
    first = await releases.publish(candidate)
    homes = [tmp_path / "killed" / str(call) for call in (1, 4, 6, 9, 20, 44)]
    for home in homes:
        shutil.copytree(settings.home, home)
    arguments = [str(settings.triton_grpc_port), *map(str, homes)]
    subprocess.run([sys.executable, "-c", _CHANGE_AND_DIE, *arguments], check=True)
    for home in homes:
        await starts_and_publishes(settings.model_copy(update={"data_dir": home}), first, candidate)


async def starts_and_publishes(
    settings: Settings, first: ModelVersion, candidate: Candidate
) -> None:
    releases = Releases(settings, clock=Clock())
    found = read_versions(settings.versions_dir)
    assert found[0] == first
    for each in found:
        require_intact(settings.versions_dir, each)
    stable, models = await releases.prepare_start()
    assert stable.model_version == read_labels(settings.versions_dir).stable
    assert stable.model_version in (1, 2)
    async with serving(FakeTriton(settings.repository_dir), settings) as triton:
        for name in models:
            if name != "features":
                text = (settings.repository_dir / name / "config.pbtxt").read_text("utf-8")
                assert f'name: "{name}"' in text
        await releases.reconcile()
        for variant in ("fp32", "int8"):
            behind = triton.behind(f"predict_{variant}")
            assert behind == f"classifier_{variant}_v{stable.model_version}"
        version = await releases.publish(candidate)
        assert version.model_version == read_labels(settings.versions_dir).newest
