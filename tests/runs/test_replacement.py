"""A result is replaced by that of another training: whenever the process is killed, one of the two is left."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from warmup_lab.runs.progress import Progress
from warmup_lab.runs.result import reset_run, write_outcome
from warmup_lab.runs.stored_run import finished_result, read_run
from warmup_lab.runs.trace import StepTable
from warmup_lab.system import file_digest

RUN_ID = "0123456789ab"
FILES = ("evals.parquet", "result.json", "trace.parquet")


def end_training(folder: Path, loss: float, *, save_model: bool = False) -> None:
    """What a run that ended with this loss writes."""
    result = {
        "schema": 2, "run_id": RUN_ID, "study": "try", "status": "completed", "failed_to_learn": False,
        "strategy": {"seed": 0}, "metrics": {"eval_loss": loss}, "speed": {"seconds": 1.5}, "error": None,
    }  # fmt: skip
    evals = StepTable.from_lists({"step": [1], "accuracy": [0.5]})  # equal in all trainings
    progress = Progress(1, StepTable.from_lists({"step": [0], "loss": [loss]}), evals)
    plan: Any = SimpleNamespace(config=SimpleNamespace(save_model=save_model))
    write_outcome(plan, SimpleNamespace(tokenizer_dir=None), None, progress, result, folder)  # type: ignore[arg-type]


def add_checkpoint(folder: Path) -> Path:
    path = folder / "checkpoint" / "state-0000001-0123456789abcdef.pt"
    path.parent.mkdir()
    path.write_text("weights")
    return path


def content(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run with the loss 0.5."""
    folder = tmp_path / "run"
    folder.mkdir()
    end_training(folder, 0.5)
    return folder


@pytest.fixture
def moments(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Path]]:
    """Each call to the disk, with a copy of the folder as a kill in front of the call would leave it."""
    made: list[tuple[str, Path]] = []

    def observe(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def observed(path: Any, *rest: Any, **keys: Any) -> Any:
            what = Path(rest[0] if rest else path).name if not isinstance(path, int) else "file"
            if isinstance(path, int) and stat.S_ISDIR(os.fstat(path).st_mode):
                what = "folder"
            shutil.copytree(run, copy := tmp_path / f"moment-{len(made)}")
            made.append((f"{name} {what}", copy))
            return call(path, *rest, **keys)

        return observed

    for name in ("fsync", "replace", "rename", "unlink"):
        monkeypatch.setattr(os, name, observe(name, getattr(os, name)))
    return made


def test_a_kill_at_any_moment_leaves_the_old_or_the_new_result(
    run: Path, moments: list[tuple[str, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = content(run)
    reset_run(run)
    end_training(run, 0.4)
    monkeypatch.undo()
    new = content(run)
    kept = []
    for call, folder in moments:
        found = read_run(folder, RUN_ID)
        assert found.problem is None, call
        assert content(folder) in (old, new), call
        kept.append("new" if content(folder) == new else "old")
        is_marked = kept[-1] == "old" and (folder / ".retrain").exists()
        assert (found.finished is None) == is_marked, f"{call}: only the old one is trained again"
    assert kept == sorted(kept, reverse=True), "the old one is not back after the new one"
    assert set(kept) == {"old", "new"}
    assert sorted(path.name for path in run.iterdir()) == list(FILES)


def test_the_new_files_are_on_the_disk_before_the_result_and_get_their_names_after_it(
    run: Path, moments: list[tuple[str, Path]]
) -> None:
    end_training(run, 0.4)
    calls = [call for call, _ in moments if not call.endswith(".tmp") and not call.startswith("unlink")]
    assert calls == [
        "fsync file", "replace trace.parquet.new", "fsync file", "replace evals.parquet.new", "fsync folder",
        "fsync file", "replace result.json", "fsync folder", "replace trace.parquet", "replace evals.parquet",
    ]  # fmt: skip


def test_the_model_is_replaced_with_the_result(run: Path, moments: list[tuple[str, Path]], monkeypatch: Any) -> None:
    """The model of a kill is that of the result, or it is absent until the run is read."""

    def save(_task: Any, _model: Any, folder: Path) -> None:
        folder.mkdir()
        (folder / "weights").write_text("new")

    monkeypatch.setattr("warmup_lab.runs.result._save_model", save)
    (run / "model").mkdir()
    (run / "model" / "weights").write_text("old")
    end_training(run, 0.4, save_model=True)
    monkeypatch.undo()
    kept = set()
    for call, folder in moments:
        loss = json.loads((folder / "result.json").read_text())["metrics"]["eval_loss"]
        assert read_run(folder, RUN_ID).finished, call
        weights = (folder / "model" / "weights").read_text()
        assert weights == ("new" if loss == 0.4 else "old"), call
        kept.add(weights)
    assert kept == {"old", "new"}


def test_a_mark_says_which_result_is_replaced(run: Path) -> None:
    """Killed after the new result was in place and before its mark was removed: the new result counts."""
    reset_run(run)
    assert (run / ".retrain").read_text() == file_digest(run / "result.json")
    assert finished_result(run) is None
    mark = (run / ".retrain").read_text()
    end_training(run, 0.4)
    (run / ".retrain").write_text(mark)
    assert finished_result(run)
    (run / ".retrain").write_text("")
    assert finished_result(run) is None, "as earlier versions marked it"


def test_a_reader_while_the_result_is_replaced_does_not_find_damage(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other process replaces the result after `result.json` was read and before the tables are."""
    replaced = []

    def slow_digest(path: Path) -> str:
        if not replaced:
            replaced.append(True)
            end_training(run, 0.4)
        return file_digest(path)

    monkeypatch.setattr("warmup_lab.runs.stored_run.file_digest", slow_digest)
    found = read_run(run, RUN_ID)
    assert (found.problem, found.result and found.result["metrics"]) == (None, {"eval_loss": 0.4})


def test_the_next_reader_removes_the_checkpoint_that_a_kill_after_the_result_left(run, moments):
    reset_run(run)
    checkpoint = add_checkpoint(run)
    end_training(run, 0.25)
    assert not checkpoint.exists()
    removal = [copy for what, copy in moments if what == f"unlink {checkpoint.name}"]
    assert removal
    for copy in removal:
        assert (copy / "checkpoint").exists()
        finished = finished_result(copy, RUN_ID)
        assert finished is not None
        assert finished["metrics"]["eval_loss"] == 0.25
        assert not (copy / "checkpoint").exists()


def test_a_run_that_is_trained_again_keeps_its_checkpoint(run):
    reset_run(run)
    checkpoint = add_checkpoint(run)
    assert read_run(run, RUN_ID).retrained
    assert checkpoint.exists()


def test_a_checkpoint_that_cannot_be_removed_stays_without_a_word(run, monkeypatch):
    """As in a folder of another user, which a report only reads."""
    checkpoint = add_checkpoint(run)

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "unlink", refuse)
    assert finished_result(run, RUN_ID)
    assert checkpoint.exists()
