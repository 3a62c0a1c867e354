"""The cache on disk: what is stored comes back, damage counts as missing, and no run needs it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from warmup_lab.system import cache
from warmup_lab.system.cache import cache_root, read_arrays, store, write_arrays

NAME = Path("folder") / "arrays.npz"
ARRAYS = {"a": np.arange(1000), "b": np.array([1.5])}


@pytest.fixture(autouse=True)
def _own_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("WARMUP_LAB_CACHE", str(tmp_path / "cache"))
    cache._temporary_root.cache_clear()
    yield
    cache._temporary_root.cache_clear()


def test_the_folder_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_root() == tmp_path / "cache"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WARMUP_LAB_CACHE", "~/other")
    assert cache_root() == tmp_path / "other"
    monkeypatch.delenv("WARMUP_LAB_CACHE")
    assert cache_root() == tmp_path / ".cache" / "warmup-lab"


def test_arrays_come_back() -> None:
    assert read_arrays(NAME, ARRAYS) is None
    write_arrays(NAME, ARRAYS)
    found = read_arrays(NAME, ARRAYS)
    assert found is not None
    assert {name: array.tolist() for name, array in found.items()} == {"a": list(range(1000)), "b": [1.5]}


def test_files_are_written_only_if_they_differ(tmp_path: Path) -> None:
    folder = store(Path("files"), {"one": b"1", "two": b"2"})
    assert folder == tmp_path / "cache" / "files"
    (folder / "two").write_bytes(b"damaged")
    unchanged = (folder / "one").stat().st_ino
    store(Path("files"), {"one": b"1", "two": b"2"})
    assert (folder / "two").read_bytes() == b"2"
    assert (folder / "one").stat().st_ino == unchanged


@pytest.mark.parametrize("content", [b"", b"noise", b"x" * 32])
def test_a_damaged_file_counts_as_missing(content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    write_arrays(NAME, ARRAYS)
    (cache_root() / NAME).write_bytes(content)
    assert read_arrays(NAME, ARRAYS) is None
    assert "is damaged" in caplog.text
    write_arrays(NAME, ARRAYS)
    assert read_arrays(NAME, ARRAYS) is not None


def test_no_flipped_bit_and_no_cut_passes(caplog: pytest.LogCaptureFixture) -> None:
    """Without a digest of the whole file, flips in the array headers give other arrays, or a `tokenize.TokenError`."""
    caplog.set_level(logging.CRITICAL)
    write_arrays(NAME, ARRAYS)
    path = cache_root() / NAME
    stored = path.read_bytes()
    positions = np.random.default_rng(0).integers(8 * len(stored), size=300)
    headers = range(8 * stored.index(b"NUMPY"), 8 * stored.index(b"NUMPY") + 8 * 128, 3)
    for position in (*positions.tolist(), *headers):
        flipped = bytearray(stored)
        flipped[position // 8] ^= 1 << position % 8
        path.write_bytes(flipped)
        assert read_arrays(NAME, ARRAYS) is None, position
    for length in np.random.default_rng(1).integers(len(stored), size=50):
        path.write_bytes(stored[:length])
        assert read_arrays(NAME, ARRAYS) is None, length
    path.write_bytes(stored)
    assert read_arrays(NAME, ARRAYS) is not None


def test_a_file_with_other_keys_or_in_the_place_of_another_counts_as_missing(caplog: pytest.LogCaptureFixture) -> None:
    write_arrays(NAME, {"a": ARRAYS["a"]})
    assert read_arrays(NAME, ARRAYS) is None
    assert "is damaged (it holds a)" in caplog.text
    write_arrays(NAME, ARRAYS)
    (cache_root() / NAME).rename(cache_root() / NAME.with_name("other.npz"))
    assert read_arrays(NAME.with_name("other.npz"), ARRAYS) is None


def test_a_file_that_cannot_be_read_counts_as_missing() -> None:
    (cache_root() / NAME).mkdir(parents=True)
    assert read_arrays(NAME, ARRAYS) is None


def test_a_cache_that_cannot_be_written_is_replaced_for_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("WARMUP_LAB_CACHE", str(tmp_path / "file" / "cache"))
    with caplog.at_level(logging.WARNING):
        for number in range(2):
            write_arrays(Path(f"{number}.npz"), ARRAYS)
    assert read_arrays(Path("0.npz"), ARRAYS) is not None
    assert caplog.text.count("cannot write to the cache") == 1
    assert "WARMUP_LAB_CACHE" in caplog.text
    assert (tmp_path / "file").read_text() == "not a folder"
