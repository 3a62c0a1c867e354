"""Which runs have the same shapes, and how many fit into memory."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from small_runs import small_plan
from stacked_runs import NONE

from warmup_lab.config.model_schema import RandomModel
from warmup_lab.config.schema import OptimizerConfig, ProbeConfig, SchedulerConfig
from warmup_lab.config.task_schema import SyntheticTask
from warmup_lab.plan import make_plan
from warmup_lab.tasks.tokenizing import tokenize
from warmup_lab.training import loop
from warmup_lab.training.stacked import grouping
from warmup_lab.training.stacked.grouping import bytes_a_run, groups_of
from warmup_lab.training.stacked.train import train_stacked


def test_an_allocation_that_really_fails_is_known_for_one():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50)
    assert grouping.is_out_of_memory(caught.value)
    assert not grouping.is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_the_memory_of_a_run_is_counted_from_its_weights_and_grows_with_its_batch():
    plan = small_plan()
    task = tokenize(plan.corpus, plan.config.task, plan.config.model)
    model, _ = loop.build(plan, task)
    weights = 4 * sum(parameter.numel() for parameter in model.parameters())
    small, large = (bytes_a_run(make_plan(replace(plan.config, batch_size=size)), task) for size in (8, 32))
    assert small > 8 * weights  # weights, gradient, two moments, four temporaries
    assert large - 8 * weights > 3 * (small - 8 * weights)


def test_groups_are_runs_of_one_shape(tmp_path):
    base = small_plan(tracking=NONE).config
    same = [
        replace(base, seed=3), replace(base, scheduler=SchedulerConfig("warmupcosine")),
        replace(base, warmup_ratio=0.7),
        replace(base, max_grad_norm=None), replace(base, optimizer=OptimizerConfig("adamw", 1.0, {"eps": 1e-6})),
        replace(base, save_model=True, study="other"),
    ]  # fmt: skip
    others = [
        replace(base, optimizer=OptimizerConfig("sgd", 0.1)), replace(base, batch_size=16), replace(base, epochs=2),
        replace(base, eval_every=5), replace(base, model=RandomModel("bert", 2, 32, 2)),
        replace(base, task=SyntheticTask("synthetic", num_train=170, num_validation=40)),
    ]  # fmt: skip
    alone = [
        replace(base, probe=ProbeConfig(overshoot_every=2)),
        replace(base, optimizer=OptimizerConfig("nadam", 1e-3)),
    ]
    plans = [make_plan(config) for config in (*same, *others, *alone, alone[1], base)]
    groups = groups_of(plans)
    assert groups[0] == [*range(6), len(plans) - 1]
    assert [len(group) for group in groups[1:]] == [1] * 9
    with pytest.raises(Exception, match="differ in their shapes"):
        train_stacked([plans[0], plans[6]], [tmp_path / "a", tmp_path / "b"])
