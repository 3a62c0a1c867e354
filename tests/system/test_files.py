"""Atomic and durable writes, digests and JSON."""

from __future__ import annotations

import errno
import json
import math
import os
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from warmup_lab.system.files import (
    JsonRecord,
    atomic_path,
    file_digest,
    set_aside,
    sync_folder,
    to_json,
    write_json,
)


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.txt"
    with atomic_path(path) as temporary:
        temporary.write_text("old")

    def fill_the_disk() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half of the new")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fill_the_disk()
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The calls to the disk, in their order; they are made for real."""
    made: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def recorded_fsync(descriptor: int) -> None:
        state = os.fstat(descriptor)
        made.append("fsync folder" if stat.S_ISDIR(state.st_mode) else f"fsync file of {state.st_size} bytes")
        fsync(descriptor)

    def recorded_replace(self: Path, target: Path) -> Path:
        made.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(Path, "replace", recorded_replace)
    return made


def test_a_durable_file_is_on_the_disk_before_it_gets_its_name(tmp_path: Path, calls: list[str]) -> None:
    with atomic_path(tmp_path / "a", durable=True) as temporary:
        temporary.write_bytes(b"12345")
    sync_folder(tmp_path)
    assert calls == ["fsync file of 5 bytes", "rename", "fsync folder"]


def test_other_files_do_not_wait_for_the_disk(tmp_path: Path, calls: list[str]) -> None:
    write_json(tmp_path / "a.json", {})
    assert calls == ["rename"]


@pytest.mark.parametrize(("number", "raises"), [(errno.EINVAL, False), (errno.ENOTSUP, False), (errno.EIO, True)])
def test_only_a_system_that_cannot_sync_folders_is_excused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, raises: bool
) -> None:
    def refuse(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    if raises:
        with pytest.raises(OSError, match="Input/output error") as caught:
            sync_folder(tmp_path)
        assert caught.value.filename == str(tmp_path)
    else:
        sync_folder(tmp_path)


def test_damaged_files_and_folders_are_kept_under_another_name(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("first")
    assert set_aside(tmp_path / "a.json") == tmp_path / "a.json.damaged"
    (tmp_path / "a.json").mkdir()
    assert set_aside(tmp_path / "a.json") == tmp_path / "a.json.damaged-2"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json.damaged", "a.json.damaged-2"]
    assert (tmp_path / "a.json.damaged").read_text() == "first"


def test_the_digest_is_sha_256(tmp_path: Path) -> None:
    """The example of FIPS 180-2, appendix B.1."""
    (tmp_path / "a").write_bytes(b"abc")
    assert file_digest(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_json_has_no_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"a": [1, None]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": [1, None]}
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"a": math.nan})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": [1, None]}


@dataclass(frozen=True)
class Record(JsonRecord):
    pair: tuple[float, float]
    inner: dict[int, object]


def test_records_become_json_values() -> None:
    record = Record((1.0, math.inf), {3: np.float64("nan"), 4: np.int64(2), 5: [Record((0.5, 1.5), {})]})
    expected = {"pair": [1.0, None], "inner": {"3": None, "4": 2, "5": [{"pair": [0.5, 1.5], "inner": {}}]}}
    assert record.to_dict() == to_json(record) == expected
