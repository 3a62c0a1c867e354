from __future__ import annotations

import pytest

from warmup_lab.config import ConfigError
from warmup_lab.config.locations import check_output, check_study, is_url, without_protocol


@pytest.mark.parametrize(
    "output",
    [
        "runs", "/data/runs", "~/runs", "../a b", "C:\\runs", "file:///data/runs", "s3://bucket/runs", "gs://bucket",
        "abfs://container@account.dfs.core.windows.net/runs", "memory://runs", "a?b",
    ],
)  # fmt: skip
def test_folders_and_object_stores_are_accepted(output: str) -> None:
    check_output(output)


@pytest.mark.parametrize(
    "output",
    [
        "s3://KEY:hidden@bucket/runs", "s3://hidden@bucket/runs", "sftp://me:hidden@host/runs", "s3://bucket/?k=hidden",
        "abfs://c:hidden@account/runs", "az://container/runs?sig=hidden", "s3://bucket/runs#hidden",
    ],
)  # fmt: skip
def test_credentials_are_refused_and_not_shown(output: str) -> None:
    with pytest.raises(ConfigError, match="a URL with credentials") as error:
        check_output(output)
    assert "hidden" not in str(error.value)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("", "output='': name a folder"),
        ("file://", "output='file://': name a folder"),
        ("sftp://host/runs", "two writers of one run could mix"),
        ("https://host/runs", "two writers of one run could mix"),
        ("s3://", "names no bucket"),
        ("s3:///runs", "names no bucket"),
        ("s3://bucket/a::file:///tmp", "two writers of one run could mix"),
    ],
)
def test_what_cannot_hold_results_is_refused(output: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_output(output)


def test_a_file_url_is_a_folder() -> None:
    assert not is_url("file:///data/runs")
    assert without_protocol("file:///data/runs") == "/data/runs"
    assert without_protocol("s3://bucket/runs") == "s3://bucket/runs"


@pytest.mark.parametrize("study", ["", ".", "..", "a/b", "a\\b", "a\n"])
def test_a_study_is_the_name_of_a_folder(study: str) -> None:
    with pytest.raises(ConfigError, match="must be a plain folder name"):
        check_study(study)
