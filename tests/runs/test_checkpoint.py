"""Checkpoints: which are used, and which are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small_runs import small_plan, train

from warmup_lab.runs import checkpoint
from warmup_lab.tasks.tokenizing import tokenize
from warmup_lab.training import loop


@pytest.mark.trains
def test_a_checkpoint_of_another_run_or_a_broken_one_is_not_used(tmp_path, caplog):
    plan = small_plan(max_steps=3)
    path = checkpoint.checkpoint_path(tmp_path)
    path.parent.mkdir()
    path.write_bytes(b"not a checkpoint")
    result, _ = train(plan, tmp_path)
    assert "cannot be read" in caplog.text
    assert result["resumed_at"] == []
    model, optimizer = loop.build(plan, tokenize(plan.corpus, plan.config.task, plan.config.model))
    checkpoint.save(tmp_path, "another", checkpoint.Progress(step=2), model, optimizer)
    assert checkpoint.restore(tmp_path, plan.run_id, model, optimizer) is None
    assert "belongs to another run" in caplog.text


def test_a_checkpoint_never_unpickles_objects(tmp_path):
    class Malicious:
        def __reduce__(self):
            return (Path(tmp_path / "owned").touch, ())

    path = checkpoint.checkpoint_path(tmp_path)
    path.parent.mkdir()
    torch.save({"schema": 1, "run_id": "x", "payload": Malicious()}, path)
    assert checkpoint.restore(tmp_path, "x", torch.nn.Linear(1, 1), None) is None
    assert not (tmp_path / "owned").exists()
