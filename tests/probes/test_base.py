"""The fixed batch."""

from __future__ import annotations

import torch
from small_runs import run_parts, small_plan

from warmup_lab.probes.base import probe_batch


def test_the_fixed_batch_depends_only_on_the_seed():
    task = run_parts(small_plan())[0]
    first, again, other = (probe_batch(task, 40, seed=seed, device="cpu") for seed in (0, 0, 1))
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    assert first["input_ids"].shape != other["input_ids"].shape or not first["input_ids"].equal(other["input_ids"])
    assert len(first["labels"]) == 40
    assert len(probe_batch(task, 1000, seed=0, device="cpu")["labels"]) == 160
