"""The plan of a run: its identity."""

from __future__ import annotations

from dataclasses import replace

from small_runs import small_plan

from warmup_lab.config.schema import OptimizerConfig
from warmup_lab.plan import make_plan


def test_the_run_id_depends_on_the_outcome_not_on_how_it_is_recorded():
    plan = small_plan()
    same = [replace(plan.config, study="other", force=True, checkpoint_every=3, warmup_ratio=None, warmup_steps=4)]
    same += [replace(plan.config, epochs=1, max_steps=20)]
    assert {make_plan(config).run_id for config in same} == {plan.run_id}
    different = [replace(plan.config, **change) for change in (
        {"seed": 1}, {"warmup_ratio": 0.25}, {"batch_size": 16}, {"num_threads": 2}, {"epochs": 5},
        {"optimizer": OptimizerConfig("adamw", 2e-3)}, {"task": replace(plan.config.task, data_seed=1)},
    )]  # fmt: skip
    assert len({make_plan(config).run_id for config in different} | {plan.run_id}) == 8
