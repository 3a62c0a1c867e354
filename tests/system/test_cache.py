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
    assert read_arrays(NAME) is None
    write_arrays(NAME, ARRAYS)
    found = read_arrays(NAME)
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


@pytest.mark.parametrize("content", [b"", b"noise", None])
def test_a_damaged_file_counts_as_missing(content: bytes | None, caplog: pytest.LogCaptureFixture) -> None:
    write_arrays(NAME, ARRAYS)
    path = cache_root() / NAME
    stored = bytearray(path.read_bytes())
    stored[len(stored) // 2] ^= 1
    path.write_bytes(bytes(stored) if content is None else content)
    assert read_arrays(NAME) is None
    assert "is damaged" in caplog.text
    write_arrays(NAME, ARRAYS)
    assert read_arrays(NAME) is not None


def test_a_cache_that_cannot_be_written_is_replaced_for_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("WARMUP_LAB_CACHE", str(tmp_path / "file" / "cache"))
    with caplog.at_level(logging.WARNING):
        for number in range(2):
            write_arrays(Path(f"{number}.npz"), ARRAYS)
    assert read_arrays(Path("0.npz")) is not None
    assert caplog.text.count("cannot write to the cache") == 1
    assert "WARMUP_LAB_CACHE" in caplog.text
    assert (tmp_path / "file").read_text() == "not a folder"
