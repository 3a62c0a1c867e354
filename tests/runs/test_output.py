from __future__ import annotations

from pathlib import Path

import pytest

from warmup_lab.config import ConfigError
from warmup_lab.runs import output_folder


def test_a_folder_is_used_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("USERPROFILE", "/home/me")
    assert output_folder("runs") == Path("runs")
    assert output_folder("~/runs") == Path("/home/me/runs")
    assert output_folder("file:///data/runs") == Path("/data/runs")


def test_a_url_has_a_scratch_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARMUP_LAB_SCRATCH", str(tmp_path))
    found = output_folder("s3://bucket/runs")
    assert found.parent == tmp_path
    assert found.name.startswith("s3-bucket-runs-")
    assert output_folder("s3://bucket/runs/") == found
    assert len({output_folder(url) for url in ("s3://bucket/runs", "s3://bucket-runs", "gs://bucket/runs")}) == 3


def test_a_url_with_credentials_has_no_folder() -> None:
    with pytest.raises(ConfigError, match="a URL with credentials"):
        output_folder("s3://key:secret@bucket/runs")
