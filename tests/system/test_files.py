"""Atomic writes and JSON."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from warmup_lab.system.files import JsonRecord, atomic_path, to_json, write_json


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
