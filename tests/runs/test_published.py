"""Publishing to an object store. That in memory is fsspec's own; tests/cluster/test_s3.py does the same on S3."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from published_runs import RUN, before_result, check_two_writers, machine, write_finished

from warmup_lab.config import ConfigError
from warmup_lab.runs import finished_result, published_run, published_sweep, sweep_at
from warmup_lab.runs.store import Store


@pytest.fixture
def url() -> str:
    return f"memory://{uuid.uuid4().hex}/runs"


def test_a_folder_is_not_published(tmp_path: Path) -> None:
    assert published_run("runs", tmp_path) is None
    assert published_sweep("runs", tmp_path) is None
    assert sweep_at(str(tmp_path)) is None


def test_a_folder_elsewhere_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"remove hydra\.run\.dir and hydra\.sweep\.dir"):
        published_run(url, tmp_path)


def test_a_published_result_is_found_on_another_machine(url: str, tmp_path: Path) -> None:
    published = machine(url, tmp_path / "a", 0.3).publish_result()
    other = machine(url, tmp_path / "b")
    other.fetch()
    assert finished_result(other.directory, RUN) == published


@pytest.mark.parametrize("first_to_start_wins", [True, False])
def test_the_first_complete_result_of_two_wins(
    url: str, tmp_path: Path, first_to_start_wins: bool, caplog: pytest.LogCaptureFixture
) -> None:
    check_two_writers(url, tmp_path, first_to_start_wins=first_to_start_wins)
    assert "was published by another process first" in caplog.text


def test_a_writer_that_dies_before_its_result_leaves_nothing_finished(url: str, tmp_path: Path) -> None:
    def die() -> None:
        raise KeyboardInterrupt

    run = machine(url, tmp_path / "a", 0.3)
    with pytest.raises(KeyboardInterrupt), before_result(die):
        run.publish_result()
    other = machine(url, tmp_path / "b")
    other.fetch()
    assert finished_result(other.directory, RUN) is None
    run.fetch()  # the same command on the first machine
    other.fetch()
    assert finished_result(other.directory, RUN) is not None


def test_a_run_that_is_removed_from_the_store_is_unfinished_again(url: str, tmp_path: Path) -> None:
    run = machine(url, tmp_path / "a", 0.3)
    run.publish_result()
    run.store.remove(run.store.list())
    run.fetch()
    assert finished_result(run.directory, RUN) is None
    write_finished(run.directory, 0.5)
    assert run.publish_result()["metrics"]["eval_loss"] == 0.5


def test_the_latest_checkpoint_comes_from_the_store(url: str, tmp_path: Path) -> None:
    run, other = machine(url, tmp_path / "a"), machine(url, tmp_path / "b")
    folder = run.directory / "checkpoint"
    folder.mkdir(parents=True)
    names = [f"state-000000{step}-{'0' * 16}.pt" for step in (1, 2, 3)]
    for name in names[:2]:
        (folder / name).write_bytes(name.encode())
    run.publish_checkpoints()
    (folder / names[0]).unlink()
    (folder / names[2]).write_bytes(b"third")
    run.publish_checkpoints()
    assert sorted(run.store.list()) == [f"checkpoint/{name}" for name in names[1:]]
    other.fetch()
    assert [path.read_bytes() for path in (other.directory / "checkpoint").iterdir()] == [b"third"]


def test_a_sweep_is_fetched_with_its_runs_and_no_line_of_its_log_is_lost(url: str, tmp_path: Path) -> None:
    runs = [machine(url, tmp_path / name) for name in "ab"]
    first, second = (sweep_on(url, run.directory.parent, tmp_path / name) for run, name in zip(runs, "ab", strict=True))
    write_finished(runs[0].directory, 0.3)
    runs[0].publish_result()
    assert second.fetch()
    assert finished_result(runs[1].directory, RUN) is not None
    for sweep, line in ((first, "one"), (second, "two")):
        (sweep.directory / "sweep_log.jsonl").write_text(f"{line}\n")
        (sweep.directory / "sweep.json").write_text(line)
        (sweep.directory / ".lock").touch()
        sweep.publish()
    assert first.store.read("sweep_log.jsonl") == b"one\ntwo\n"
    assert first.store.read("sweep.json") == b"two"
    assert first.store.read(".lock") is None


def sweep_on(url: str, directory: Path, scratch: Path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WARMUP_LAB_SCRATCH", str(scratch))
        sweep = published_sweep(url, directory)
    assert sweep is not None
    return sweep


def test_a_store_that_writes_over_files_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Store(url).check()
    assert Store(url).list() == []
    monkeypatch.setattr(Store, "create", lambda *_: True)
    with pytest.raises(ConfigError, match="this store writes over files that must only be created"):
        Store(url).check()
