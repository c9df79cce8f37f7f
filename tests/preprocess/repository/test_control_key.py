"""The key of Triton's control APIs."""

from pathlib import Path

from preprocess.repository.control_key import make_key, read_key
from preprocess.settings import load_settings


def test_each_start_has_a_key_of_its_own_that_only_its_owner_reads(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path)
    assert read_key(settings) is None
    first = make_key(settings)
    assert make_key(settings, keep=True) == read_key(settings) == first
    assert make_key(settings) == read_key(settings) != first
    assert {path.stat().st_mode & 0o077 for path in tmp_path.glob("*.key")} == {0}
