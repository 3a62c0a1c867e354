"""The one-cycle policy, compared with torch. `test_registry` compares warmup-stable-decay with transformers."""

import pytest
import torch
from reference_schedules import learning_rates

from warmup_lab.config.steps import ceil_share
from warmup_lab.schedules.registry import make_schedule


@pytest.mark.parametrize("total_steps", [4, 10, 97, 360])
@pytest.mark.parametrize(
    "options",
    [{}, {"anneal_strategy": "linear", "div_factor": 10.0}, {"three_phase": True, "final_div_factor": 100.0}],
)
def test_onecycle_equals_torch(options, total_steps):
    for warmup_steps in sorted({2, ceil_share(0.3, total_steps), total_steps // 2, total_steps - 1}):
        if options.get("three_phase") and warmup_steps > total_steps / 2:
            continue
        schedule = make_schedule("onecycle", options, warmup_steps=warmup_steps, total_steps=total_steps)
        theirs = learning_rates(
            lambda o, w=warmup_steps: torch.optim.lr_scheduler.OneCycleLR(
                o, max_lr=1.0, total_steps=total_steps, pct_start=w / total_steps, cycle_momentum=False, **options
            ),
            num_steps=total_steps - 1,  # torch refuses one more step
        )
        assert [schedule(step) for step in range(total_steps - 1)] == pytest.approx(theirs, abs=1e-12, rel=0)
        lowest = 1 / options.get("div_factor", 25.0) / options.get("final_div_factor", 1e4)
        assert schedule(total_steps - 1) == pytest.approx(lowest, abs=1e-12)
