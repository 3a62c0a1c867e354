"""Probe `overshoot`, on changes of the weights with a known effect on the loss."""

from __future__ import annotations

import math

import pytest
import torch
from small_runs import run_parts, small_plan

from warmup_lab.probes.base import PendingUpdate, ProbeContext, probe_batch
from warmup_lab.probes.overshoot import OvershootProbe


@pytest.mark.parametrize(("rate", "expected"), [(0.0, 0.0), (1e-4, 0.0), (-1e-4, 1.0), (math.nan, 1.0)])
def test_overshoot_of_a_small_step_along_the_gradient(rate, expected):
    """A step of `rate` against the gradient lowers the loss for small positive rates; NaN counts as higher."""
    plan = small_plan(dropout=0.0)
    task, model, optimizer, _ = run_parts(plan)
    batch = probe_batch(task, 8, seed=0, device="cpu")
    probe = OvershootProbe(ProbeContext(plan, model, optimizer, batch))
    model(**batch).loss.backward()
    probe.before_update(PendingUpdate(0, [batch], 1.0))
    with torch.no_grad():
        for weight in model.parameters():
            weight -= rate * weight.grad
    assert probe.after_update() == {"overshoot": expected}
