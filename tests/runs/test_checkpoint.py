"""Checkpoints: what is kept, in which order it reaches the disk, and what happens to one that cannot be used."""

from __future__ import annotations

import logging
import os
import shutil
import stat
from pathlib import Path

import pytest
import torch
from small_runs import small_plan, stopping_line, train

from warmup_lab.runs import checkpoint
from warmup_lab.runs.progress import Progress
from warmup_lab.system.files import file_digest
from warmup_lab.training import loop

RUN_ID = "0123456789ab"


def parts(*, inputs: int = 3) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    model = torch.nn.Linear(inputs, 2)
    return model, torch.optim.AdamW(model.parameters(), lr=0.1)


def progress_at(step: int) -> Progress:
    progress = Progress(step=step)
    for row in range(step):
        progress.trace.append({"step": row, "epoch": 0.0, "lr": 0.1, "loss": 0.7, "grad_norm": 1.0})
    return progress


def save(folder: Path, *steps: int, run_id: str = RUN_ID) -> dict[int, torch.Tensor]:
    """Checkpoints after these numbers of updates; returns the weights at each."""
    model, optimizer = parts()
    weights = {}
    for step in steps:
        model(torch.ones(1, 3)).sum().backward()
        optimizer.step()
        checkpoint.save(folder, run_id, progress_at(step), model, optimizer)
        weights[step] = model.weight.detach().clone()
    return weights


def restore(folder: Path) -> tuple[Progress | None, torch.nn.Module, torch.optim.Optimizer]:
    model, optimizer = parts()
    return checkpoint.restore(folder, RUN_ID, model, optimizer, Progress()), model, optimizer


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoint").iterdir())


def craft(folder: Path, step: int, state: object) -> Path:
    """A checkpoint with this content and the right digest in its name."""
    path = folder / "checkpoint" / "state.tmp"
    path.parent.mkdir(exist_ok=True)
    torch.save(state, path)
    return path.rename(path.with_name(f"state-{step:07d}-{file_digest(path)[:16]}.pt"))


def test_the_latest_two_are_kept_and_the_latest_is_restored(tmp_path):
    weights = save(tmp_path, 2, 4, 10)
    assert [name.split("-")[1] for name in names(tmp_path)] == ["0000004", "0000010"]
    progress, model, optimizer = restore(tmp_path)
    assert (progress.step, progress.resumed_at, len(progress.trace)) == (10, [10], 10)
    assert torch.equal(model.weight, weights[10])
    assert optimizer.state[model.weight]["step"] == 3
    assert checkpoint.step_of(tmp_path, RUN_ID) == 10


def test_the_content_is_on_the_disk_before_its_name_and_the_name_before_the_older_one_is_removed(tmp_path, monkeypatch):
    save(tmp_path, 1, 2)
    made = []
    fsync, replace, unlink = os.fsync, Path.replace, Path.unlink

    def recorded_fsync(descriptor):
        made.append("fsync folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "fsync file")
        fsync(descriptor)

    def recorded_replace(self, target):
        made.append(f"rename to {target.name[:13]}")
        assert file_digest(self).startswith(target.stem[-16:])
        return replace(self, target)

    def recorded_unlink(self, **options):
        made.append(f"remove {self.name[:13]}")
        unlink(self, **options)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(Path, "replace", recorded_replace)
    monkeypatch.setattr(Path, "unlink", recorded_unlink)
    save(tmp_path, 3)
    assert [call for call in made if ".tmp" not in call and ".state" not in call] == [
        "fsync file", "rename to state-0000003", "fsync folder", "remove state-0000001",
    ]  # fmt: skip


def test_every_flipped_bit_is_found(tmp_path, caplog):
    """24 flips over the whole file: each time the run resumes from the checkpoint before it, with its weights."""
    weights = save(tmp_path, 2, 4)
    latest = checkpoint.checkpoints(tmp_path)[0]
    content = latest.read_bytes()
    for number in range(24):
        position = number * (len(content) - 1) // 23
        flipped = bytearray(content)
        flipped[position] ^= 1 << number % 8
        latest.write_bytes(flipped)
        caplog.clear()
        progress, model, _ = restore(tmp_path)
        assert progress.step == 2
        assert torch.equal(model.weight, weights[2])
        assert f"{latest.name} is damaged: its content does not match the digest" in caplog.text
        assert "the run resumes from state-0000002-" in caplog.text
        assert not latest.exists()
    assert sum("damaged" in name for name in names(tmp_path)) == 24


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "inside").touch()


BREAKS = {
    "empty": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "text": lambda path: path.write_text("not a checkpoint"),
    "folder": replace_by_folder,
    "of another name": lambda path: path.rename(path.with_name("state-0000009-0123456789abcdef.pt")),
}


@pytest.mark.parametrize("way", BREAKS)
def test_an_unusable_checkpoint_is_named_and_set_aside_and_the_run_starts_again(tmp_path, caplog, way):
    save(tmp_path, 4)
    BREAKS[way](checkpoint.checkpoints(tmp_path)[0])
    (broken,) = names(tmp_path)
    progress, _, optimizer = restore(tmp_path)
    assert progress is None
    assert not optimizer.state
    assert names(tmp_path) == [f"{broken}.damaged"]
    assert f"set aside as {broken}.damaged; the run starts from update 0" in caplog.text
    assert checkpoint.step_of(tmp_path, RUN_ID) == 0
    save(tmp_path, 5)
    assert restore(tmp_path)[0].step == 5


def state_of(folder: Path) -> dict:
    save(folder, 4)
    state = torch.load(checkpoint.checkpoints(folder)[0], weights_only=True)
    shutil.rmtree(folder / "checkpoint")
    return state


OTHER = parts(inputs=5)
UNFIT = {
    "other weights": {"model": OTHER[0].state_dict()},
    "no weights": {"model": {}},
    "weights that are numbers": {"model": {"weight": 1, "bias": 2}},
    "other optimizer": {"optimizer": {"state": {}, "param_groups": []}},
    "optimizer that is a text": {"optimizer": "adamw"},
    "other columns": {"trace": {"step": [0, 1, 2, 3], "loss": [0.0] * 4}},
    "fewer rows": {"step": 5},
    "step that is a text": {"step": "4"},
    "other run": {"run_id": "another"},
    "other schema": {"schema": 99},
}


@pytest.mark.parametrize("what", UNFIT)
def test_content_that_does_not_fit_the_run_is_set_aside_and_changes_nothing(tmp_path, caplog, what):
    craft(tmp_path, 4, state_of(tmp_path) | UNFIT[what])
    torch.manual_seed(0)
    expected = parts()[0].weight
    torch.manual_seed(0)
    progress, model, optimizer = restore(tmp_path)
    assert progress is None
    assert torch.equal(model.weight, expected)
    assert not optimizer.state
    assert "the run starts from update 0" in caplog.text


@pytest.mark.parametrize("key", ["schema", "run_id", "step", "trace", "evals", "versions", "model", "optimizer"])
def test_a_missing_key_is_no_traceback(tmp_path, caplog, key):
    state = state_of(tmp_path)
    del state[key]
    craft(tmp_path, 4, state)
    assert restore(tmp_path)[0] is None
    assert "set aside as" in caplog.text


def test_objects_are_not_unpickled_and_pytorchs_advice_is_not_repeated(tmp_path, caplog):
    class Malicious:
        def __reduce__(self):
            return (Path(tmp_path / "owned").touch, ())

    craft(tmp_path, 4, {"schema": 2, "run_id": RUN_ID, "payload": Malicious()})
    assert restore(tmp_path)[0] is None
    assert not (tmp_path / "owned").exists()
    assert "may hold only tensors, numbers and texts" in caplog.text
    assert "weights_only" not in caplog.text


def test_a_checkpoint_without_a_digest_and_a_file_in_place_of_the_folder_are_set_aside(tmp_path, caplog):
    (tmp_path / "checkpoint").mkdir()
    torch.save({}, tmp_path / "checkpoint" / "state.pt")
    assert restore(tmp_path)[0] is None
    assert "has no digest, so it cannot be verified" in caplog.text
    shutil.rmtree(tmp_path / "checkpoint")
    (tmp_path / "checkpoint").touch()
    assert restore(tmp_path)[0] is None
    assert "checkpoint is not a folder: set aside as checkpoint.damaged" in caplog.text
    save(tmp_path, 1)
    assert restore(tmp_path)[0].step == 1


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file whose reading fails")
def test_a_disk_error_is_not_damage_and_names_the_path(tmp_path):
    """Reading /proc/self/mem at 0 fails with EIO."""
    save(tmp_path, 4)
    (path,) = checkpoint.checkpoints(tmp_path)
    path.unlink()
    path.symlink_to("/proc/self/mem")
    with pytest.raises(OSError, match="Input/output error") as caught:
        restore(tmp_path)
    assert caught.value.filename == str(path)
    assert path.is_symlink(), "it was not set aside"


def test_a_lack_of_memory_is_not_damage(tmp_path, monkeypatch):
    save(tmp_path, 4)

    def fail(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    model, optimizer = parts()
    monkeypatch.setattr(model, "load_state_dict", fail)
    with pytest.raises(torch.OutOfMemoryError):
        checkpoint.restore(tmp_path, RUN_ID, model, optimizer, Progress())
    assert len(names(tmp_path)) == 1


@pytest.mark.trains
def test_a_run_whose_latest_checkpoint_is_damaged_ends_as_if_never_interrupted(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    plan = small_plan(checkpoint_every=5)
    whole = train(plan, tmp_path / "whole")[1].to_lists()
    monkeypatch.setattr(loop, "ProgressLine", stopping_line(13))
    with pytest.raises(loop.Interrupted):
        train(plan, tmp_path / "cut")
    monkeypatch.undo()
    latest, _ = checkpoint.checkpoints(tmp_path / "cut")
    content = bytearray(latest.read_bytes())
    content[len(content) // 2] ^= 1
    latest.write_bytes(content)
    result, trace = train(plan, tmp_path / "cut")
    assert result["resumed_at"] == [10]
    assert trace.to_lists() == whole
