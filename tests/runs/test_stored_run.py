"""What is read from the folder of a run, what counts as damaged, and what is refused."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
from pathlib import Path

import pytest

from warmup_lab.runs.stored_run import (
    RETRAIN,
    finished_result,
    read_result,
    read_run,
    set_aside_damaged,
    start_retraining,
    write_result,
)
from warmup_lab.runs.trace import StepTable

RUN_ID = "0123456789ab"
RESULT = {
    "schema": 2, "run_id": RUN_ID, "study": "try", "status": "completed", "failed_to_learn": False,
    "strategy": {"seed": 0}, "metrics": {"eval_loss": 0.5}, "speed": {"seconds": 1.5}, "error": None,
}  # fmt: skip
OLD = json.dumps(RESULT | {"schema": 1})


@pytest.fixture
def run(tmp_path) -> Path:
    """The folder of a finished run."""
    StepTable.from_lists({"step": [0, 1, 2], "loss": [0.7, 0.6, 0.5]}).write(tmp_path / "trace.parquet")
    StepTable.from_lists({"step": [3], "loss": [0.5]}).write(tmp_path / "evals.parquet")
    write_result(tmp_path, RESULT)
    return tmp_path


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_run_that_is_as_it_was_written_is_verified(run):
    found = read_run(run, RUN_ID)
    assert (found.verified, found.problem, found.damaged) == (True, None, ())
    assert found.finished == found.result == json.loads((run / "result.json").read_text())


def test_the_digests_are_those_of_the_files(run):
    result = json.loads((run / "result.json").read_text())
    own = result.pop("sha256")
    assert own == hashlib.sha256(json.dumps(result, sort_keys=True).encode()).hexdigest()
    assert result["files"] == {
        name: hashlib.sha256((run / name).read_bytes()).hexdigest() for name in ("trace.parquet", "evals.parquet")
    }


def test_a_folder_without_a_result_is_an_unfinished_run_without_a_problem(tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        found = read_run(folder, RUN_ID)
        assert (found.result, found.problem, found.damaged) == (None, None, ())


@pytest.mark.parametrize("name", ["result.json", "trace.parquet", "evals.parquet"])
def test_no_flipped_bit_changes_what_is_used(run, name):
    """Every 61st bit of the file: the run is damaged, or refused, or what is used is as it was written."""
    path, expected = run / name, read_run(run, RUN_ID).result
    content = path.read_bytes()
    num_found = 0
    for position in range(0, 8 * len(content), 61):
        flipped = bytearray(content)
        flipped[position // 8] ^= 1 << position % 8
        path.write_bytes(flipped)
        found = read_run(run, RUN_ID)
        assert found.result in (None, expected)
        assert (found.result is None) == (found.problem is not None)
        num_found += found.result is None
    is_json = name == "result.json"  # a flipped space between two keys changes nothing
    assert num_found > 0.5 * len(range(0, 8 * len(content), 61)) if is_json else num_found * 61 >= 8 * len(content)


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGE = {
    "empty result": ("result.json", lambda path: path.write_bytes(b""), "result.json is empty"),
    "truncated result": ("result.json", lambda path: path.write_bytes(path.read_bytes()[:-40]), "is not JSON"),
    "binary result": ("result.json", lambda path: path.write_bytes(bytes(range(256))), "is not JSON"),
    "deep result": ("result.json", lambda path: path.write_text("[" * 100_000), "is not JSON"),
    "list": ("result.json", lambda path: path.write_text("[1]"), "has no schema"),
    "changed result": (
        "result.json", lambda path: path.write_text(path.read_text().replace("0.5", "0.4")), "its own SHA-256"),
    "old result without metrics": (
        "result.json", lambda path: path.write_text(OLD.replace("metrics", "m")), "has no valid metrics"),
    "old result of no status": (
        "result.json", lambda path: path.write_text(OLD.replace("completed", "c")), "has no valid status"),
    "folder": ("result.json", make_folder, "result.json is a folder"),
    "missing trace": ("trace.parquet", Path.unlink, "trace.parquet is missing"),
    "missing evaluations": ("evals.parquet", Path.unlink, "evals.parquet is missing"),
    "folder for the trace": ("trace.parquet", make_folder, "trace.parquet is not a file"),
    "truncated trace": (
        "trace.parquet", lambda path: path.write_bytes(path.read_bytes()[:-9]), "does not match its SHA-256"),
}  # fmt: skip


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_run_is_unfinished_and_its_files_are_set_aside(run, what):
    name, damage, problem = DAMAGE[what]
    damage(run / name)
    found = read_run(run, RUN_ID)
    assert problem in found.problem
    assert (found.result, found.finished, found.refused) == (None, None, False)
    had = names(run)
    set_aside_damaged(found)
    assert "result.json" not in names(run)
    assert "result.json.damaged" in names(run)
    assert (f"{name}.damaged" in names(run)) == (name in had)
    assert read_run(run, RUN_ID).problem is None


def test_a_damaged_trace_of_schema_1_is_found_by_reading_it(run):
    (run / "result.json").write_text(OLD)
    found = read_run(run, RUN_ID)
    assert found.finished
    assert not found.verified
    (run / "evals.parquet").unlink()  # no report reads it, and schema 1 has no digest of it
    assert read_run(run, RUN_ID).finished
    content = (run / "trace.parquet").read_bytes()
    (run / "trace.parquet").write_bytes(content[:50] + content[60:])
    assert read_run(run, RUN_ID).problem == "trace.parquet cannot be read"
    (run / "trace.parquet").unlink()
    assert read_run(run, RUN_ID).problem == "trace.parquet is missing"


def test_an_error_needs_no_tables(tmp_path):
    write_result(tmp_path, RESULT | {"status": "error", "error": "ValueError: no"})
    found = read_run(tmp_path, RUN_ID)
    assert (found.verified, found.finished) == (True, None)
    assert found.result["status"] == "error"


def test_another_run_and_a_later_schema_are_refused_and_stay(run):
    found = read_run(run, "another")
    assert (found.result, found.refused, found.problem) == (None, True, f"holds another run, {RUN_ID}")
    (run / "result.json").write_text(json.dumps(RESULT | {"schema": 99}))
    found = read_run(run, RUN_ID)
    assert (found.result, found.refused) == (None, True)
    assert found.problem == "holds a result.json of schema 99, which only a later warmup-lab reads"
    assert set_aside_damaged(found) == []
    assert read_result(run) is None


def test_the_result_of_a_run_that_is_trained_again_stays_and_does_not_count(run):
    start_retraining(run)
    found = read_run(run, RUN_ID)
    assert found.result
    assert found.finished is finished_result(run) is read_result(run) is None
    write_result(run, RESULT | {"metrics": {"eval_loss": 0.4}})
    assert read_result(run)["metrics"] == {"eval_loss": 0.4}
    assert not (run / RETRAIN).exists()


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file whose reading fails")
@pytest.mark.parametrize("name", ["result.json", "trace.parquet"])
def test_a_disk_error_is_not_damage_and_names_the_path(run, name):
    """Reading /proc/self/mem at 0 fails with EIO."""
    (run / name).unlink()
    (run / name).symlink_to("/proc/self/mem")
    with pytest.raises(OSError, match="Input/output error") as caught:
        read_run(run, RUN_ID)
    assert caught.value.filename == str(run / name)


def test_missing_permission_is_not_damage_and_names_the_path(run, monkeypatch):
    """The tests may run as root, who needs no permission."""
    path = run / "result.json"

    def refuse(self):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(PermissionError) as caught:
        read_run(run, RUN_ID)
    assert caught.value.filename == str(path)


def test_a_copy_of_a_run_is_verified_too(run, tmp_path_factory):
    copy = tmp_path_factory.mktemp("copy") / "run"
    shutil.copytree(run, copy)
    assert read_run(copy, RUN_ID).verified
