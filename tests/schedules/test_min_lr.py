"""Schedules with a minimum learning rate, compared with torch. `test_registry` compares them with transformers."""

import pytest
import torch
from reference_schedules import learning_rates

from warmup_lab.schedules.registry import make_schedule


def test_linear_with_min_lr_equals_torch_after_the_warmup():
    schedule = make_schedule("linear_with_min_lr", {"min_lr_rate": 0.25}, warmup_steps=7, total_steps=57)
    theirs = learning_rates(
        lambda o: torch.optim.lr_scheduler.LinearLR(o, start_factor=1.0, end_factor=0.25, total_iters=50), num_steps=50
    )
    assert [schedule(step) for step in range(7, 57)] == pytest.approx(theirs, abs=1e-12)
