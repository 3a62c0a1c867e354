"""Results on S3: a server of moto on this machine, and commands with scratch folders of their own. `make test-s3`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import program
import pytest
from published_runs import check_two_writers, machine
from s3_server import BUCKET, SECRET, S3Server

from warmup_lab.runs.published import sweep_at

moto = pytest.importorskip("moto.server", reason="moto is not installed: make test-s3 installs it")
s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed: make test-s3 installs it")
RUN = ["task=synthetic_small", "max_steps=30", "tracking=none", "num_threads=1", "output=s3://bucket/runs"]


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[S3Server]:
    """A server with an empty bucket; its address and keys are in the environment."""
    with pytest.MonkeyPatch.context() as patch, S3Server(patch.setenv) as server:
        yield server


def train(scratch: Path, *words: str) -> subprocess.CompletedProcess[str]:
    scratch.mkdir(exist_ok=True)
    done = program.train_py(*RUN, *words, cwd=scratch, WARMUP_LAB_SCRATCH=str(scratch))
    assert done.returncode == 0, done.stderr
    return done


def published(pattern: str) -> list[str]:
    store = s3fs.S3FileSystem()
    store.invalidate_cache()
    return sorted(store.glob(f"bucket/{pattern}"))


def test_a_run_goes_on_on_another_machine_and_is_trained_once(tmp_path: Path) -> None:
    scratch = [tmp_path / name for name in "abc"]
    scratch[0].mkdir()
    killed = program.start_train_py(
        *RUN, "checkpoint_every=5", "seed=1", cwd=scratch[0], WARMUP_LAB_SCRATCH=str(scratch[0])
    )
    deadline = time.monotonic() + 120
    while not published("runs/single/*/checkpoint/*.pt") and time.monotonic() < deadline:
        time.sleep(0.05)
    killed.kill()
    killed.communicate()
    assert published("runs/single/*/checkpoint/*.pt")
    assert not published("runs/single/*/result.json")
    train(scratch[1], "checkpoint_every=5", "seed=1")
    (name,) = published("runs/single/*/result.json")
    (resumed_at,) = json.loads(s3fs.S3FileSystem().cat_file(name))["resumed_at"]
    assert resumed_at % 5 == 0
    again = train(scratch[2], "checkpoint_every=5", "seed=1")
    assert "is already completed; nothing to train" in again.stdout + again.stderr
    assert not published("runs/single/*/checkpoint/*")


def test_a_sweep_trains_what_is_missing_and_is_reported_from_anywhere(tmp_path: Path) -> None:
    first = train(tmp_path / "a", "-m", "seed=0,1", "hydra/launcher=joblib")
    assert "2 to train" in first.stderr
    second = train(tmp_path / "b", "-m", "seed=0,1,2", "hydra/launcher=stacked")
    assert "2 finished already, 1 to train" in second.stderr
    assert len(published("runs/sweep/*/result.json")) == 3
    command = [sys.executable, "-m", "warmup_lab.report", "s3://bucket/runs/sweep"]
    report = program.run(command, cwd=tmp_path, WARMUP_LAB_SCRATCH=str(tmp_path / "c"))
    assert report.returncode == 0, report.stderr
    assert len(pd.read_parquet(next((tmp_path / "c").glob("*/sweep/results.parquet")))) == 3
    assert published("runs/sweep/report.html")


@pytest.mark.parametrize("first_to_start_wins", [True, False])
def test_the_first_complete_result_of_two_writers_wins(tmp_path: Path, first_to_start_wins: bool) -> None:
    check_two_writers(f"s3://bucket/two{first_to_start_wins}", tmp_path, first_to_start_wins=first_to_start_wins)


def test_a_report_needs_one_listing_and_three_reads_a_run(server: S3Server, tmp_path: Path, monkeypatch) -> None:
    url = f"s3://{BUCKET}/counted"
    for name in "abcd":
        machine(url, tmp_path / "a", 0.3, run=name * 12).publish_result()
    monkeypatch.setenv("WARMUP_LAB_SCRATCH", str(tmp_path / "b"))
    sweep = sweep_at(f"{url}/sweep")
    assert sweep is not None
    server.requests()
    assert sweep.fetch()
    assert server.requests() == {"list": 1, "GET": 4 * 3}
    assert sweep.fetch()
    assert server.requests() == {"list": 1}


def test_no_file_holds_credentials(tmp_path: Path) -> None:
    done = train(tmp_path / "a", "seed=3", "tracking=wandb", "tracking.mode=offline")
    store = s3fs.S3FileSystem()
    contents = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    contents += [store.cat_file(name) for name in store.find("bucket")]
    assert len(contents) > 10
    assert not any(SECRET.encode() in content for content in [*contents, (done.stdout + done.stderr).encode()])


def test_a_missing_bucket_is_named_before_anything_is_trained(tmp_path: Path) -> None:
    done = program.train_py(*RUN, "output=s3://nobody/runs", cwd=tmp_path, WARMUP_LAB_SCRATCH=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: s3://nobody/runs: ")
    assert "update" not in done.stdout
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in done.stderr
