"""Sources: every kind of file is found and read to its end, or refused with a reason."""

import gzip
import tarfile
from pathlib import Path

import pytest

from preprocess.errors import ImportRefusedError
from preprocess.imports import sources
from preprocess.imports.sources import DamagedFileError, Member, find_sources, members
from tests.preprocess.imports.builders import gz_file, tar_file, zip_file


def _members(path: Path) -> list[Member]:
    [source] = find_sources([path])
    folder = path.parent / "unpacked"
    folder.mkdir(exist_ok=True)
    return members(source, folder)


def _read(path: Path) -> dict[str, bytes]:
    found = {}
    for member in _members(path):
        with member.open() as file:
            found[member.file_name] = file.stream.read()
    return found


@pytest.mark.parametrize("name", ["a.csv", "A.CSV"])
def test_a_plain_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"a\n1\n")
    assert _read(tmp_path / name) == {name: b"a\n1\n"}


def test_a_compressed_file(tmp_path: Path) -> None:
    assert _read(gz_file(tmp_path / "a.csv.gz", b"a\n" * 500_000)) == {"a.csv.gz": b"a\n" * 500_000}


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tgz", "a.zip"])
def test_an_archive_gives_its_tables_only(tmp_path: Path, name: str) -> None:
    make = zip_file if name.endswith("zip") else tar_file
    files = {
        "README.txt": b"not a table",
        "year/b.csv": b"b",
        "year/c.csv.gz": gzip.compress(b"c"),
        "year/._b.csv": b"\0resource fork",
        "a.CSV": b"a",
    }
    assert _read(make(tmp_path / name, files)) == {"a.CSV": b"a", "b.csv": b"b", "c.csv.gz": b"c"}


def test_a_member_without_a_name_is_no_table(tmp_path: Path) -> None:
    path = zip_file(tmp_path / "a.zip", {"a.csv": b"a", "b.csv": b"b"})
    path.write_bytes(path.read_bytes().replace(b"b.csv", b"\0.csv"))  # names end at a NUL
    assert _read(path) == {"a.csv": b"a"}


def test_members_are_named_with_their_archive(tmp_path: Path) -> None:
    path = zip_file(tmp_path / "a.zip", {"in/b.csv": b"b", "in/\x1b.csv": b""})
    names = {member.name for member in _members(path)}
    assert names == {f"{path}: in/b.csv", f"{path}: in/\\x1b.csv"}


def test_folders_are_searched_deep_and_sorted(tmp_path: Path) -> None:
    for name in ("2.csv", "1.csv.gz", "sub/3.zip", "sub/notes.txt", ".hidden/4.csv", "sub/.5.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"xy")
    other = tmp_path.parent / "elsewhere.csv"
    found = find_sources([other, tmp_path])
    assert [(source.path.name, source.size) for source in found] == [
        ("elsewhere.csv", 0),
        ("1.csv.gz", 2),
        ("2.csv", 2),
        ("3.zip", 2),
    ]


def _refusal(path: Path) -> str:
    with pytest.raises(ImportRefusedError) as caught:
        _read(path)
    return str(caught.value)


def test_paths_that_are_no_file_to_read(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert "no such file" in _refusal(tmp_path / "none.csv")
    assert "in this folder" in _refusal(tmp_path / "folder")
    assert "in this archive" in _refusal(tar_file(tmp_path / "a.tgz", {"a.txt": b"a"}))
    assert "in this archive" in _refusal(zip_file(tmp_path / "a.zip", {"a/": b""}))


def test_a_file_that_may_not_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv").write_text("a")

    def refuse(*_arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # root may open everything
    with pytest.raises(ImportRefusedError, match="Permission denied"):
        _read(tmp_path / "a.csv")


_ROWS = b"".join(b"%d,row\n" % number for number in range(50_000))


@pytest.mark.parametrize("name", ["a.csv.gz", "a.tar.gz", "a.zip"])
@pytest.mark.parametrize("keep", [0.5, 0.999])
def test_a_file_cut_short_is_damaged(tmp_path: Path, name: str, keep: float) -> None:
    path = tmp_path / name
    if name.endswith(".csv.gz"):
        gz_file(path, _ROWS)
    else:
        (zip_file if name.endswith("zip") else tar_file)(path, {"a.csv": _ROWS, "b.csv": _ROWS})
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(DamagedFileError, match="damaged or cut short"):
        _read(path)


def test_a_missing_checksum_is_noticed(tmp_path: Path) -> None:
    # The archive ends where a buffer ends, so that nothing but the checksum is left to read.
    rows = b"x\n" * ((5 * 262_144 - 512 - 1_024) // 2)
    path = tar_file(tmp_path / "a.tar.gz", {"a.csv": rows})
    assert len(gzip.decompress(path.read_bytes())) == 5 * 262_144
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(DamagedFileError):
        _read(path)


def test_an_encrypted_archive_is_refused(tmp_path: Path) -> None:
    path = zip_file(tmp_path / "a.zip", {"a.csv": b"a"})
    data = bytearray(path.read_bytes())
    data[6] |= 1  # the flag of encryption, in the member's header ...
    data[data.index(b"PK\x01\x02") + 8] |= 1  # ... and in the directory
    path.write_bytes(data)
    with pytest.raises(DamagedFileError, match="encrypted"):
        _read(path)


def test_a_disk_without_room_is_not_called_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", full)
    reason = _refusal(tar_file(tmp_path / "a.tar.gz", {"a.csv": b"a"}))
    assert reason == "it cannot be read or unpacked: No space left on device"


@pytest.mark.parametrize(
    ("bound", "reason"),
    [
        ("LARGEST_UNPACKED", "unpacks to more than"),
        ("RATIO_FREE", "unpacks to more than"),
        ("MOST_MEMBERS", "more than 1 files"),
    ],
)
@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.csv.gz"])
def test_an_archive_beyond_the_bounds_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, bound: str, reason: str
) -> None:
    data = b"0" * 2_000_000  # a thousand times its packed size
    if name == "a.csv.gz":
        if bound == "MOST_MEMBERS":
            return
        path = gz_file(tmp_path / name, data)
    else:
        make = zip_file if name == "a.zip" else tar_file
        path = make(tmp_path / name, {"a.csv": data, "b.csv": data})
    monkeypatch.setattr(sources, bound, 1 if bound == "MOST_MEMBERS" else 1_000_000)
    assert reason in _refusal(path)


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_a_tar_header_has_a_bound(tmp_path: Path, form: int) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz", format=form) as archive:
        archive.addfile(tarfile.TarInfo("x" * (sources.LARGEST_HEADER + 1) + ".csv"))
    assert "a header of" in _refusal(tmp_path / "a.tar.gz")


def test_the_list_of_a_zip_archive_has_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "LARGEST_DIRECTORY", 100)
    path = zip_file(tmp_path / "a.zip", {f"{number}.csv": b"a" for number in range(10)})
    assert "list of members" in _refusal(path)
