"""Stacked runs against the same runs trained alone: numbers, files, checkpoints, divergence."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from small_runs import small_plan, stopping_line, train
from stacked_runs import NONE, interrupt_together, train_all

from warmup_lab.config.schema import OptimizerConfig
from warmup_lab.plan import Plan, make_plan
from warmup_lab.runs.trace import StepTable
from warmup_lab.tasks.tokenizing import tokenize
from warmup_lab.training import loop
from warmup_lab.training.stacked import loop as stacked_loop

pytestmark = pytest.mark.trains


def plans_that_differ(**keys) -> list[Plan]:
    """Three runs that share nothing but their shapes: rate, schedule, warmup, seed, clipping, optimizer's settings."""
    one = small_plan(lr=5e-4, seed=0, warmup_ratio=0.2, max_grad_norm=1.0, tracking=NONE, **keys)
    two = small_plan(lr=1e-3, seed=1, scheduler="warmupcosine", max_grad_norm=None, tracking=NONE, **keys)
    own = OptimizerConfig("adamw", 1e-3, {"bias_correction": False, "eps": 1e-6, "betas": (0.8, 0.99)})
    three = small_plan(seed=2, scheduler="constantlr", warmup_ratio=None, max_grad_norm=0.05, tracking=NONE, **keys)
    return [one, two, make_plan(replace(three.config, optimizer=own))]


def test_with_dropout_off_each_run_equals_the_run_trained_alone(tmp_path):
    """Loss within 1e-5 over 50 updates of two micro-batches, with the epochs' short last batches and evaluations."""
    plans = plans_that_differ(dropout=0.0, max_steps=50, grad_accumulation=2, batch_size=24, eval_every=20)
    for plan, trace in zip(plans, train_all(plans, tmp_path / "together"), strict=True):
        _, alone = train(plan, tmp_path / "alone" / plan.run_id)
        assert trace.columns == alone.columns
        for name in ("step", "epoch", "lr"):
            assert trace.to_lists()[name] == alone.to_lists()[name]
        np.testing.assert_allclose(trace.array("loss"), alone.array("loss"), rtol=1e-5)
        np.testing.assert_allclose(trace.array("grad_norm"), alone.array("grad_norm"), rtol=1e-3)
        evals, evals_alone = (
            StepTable.read(tmp_path / way / plan.run_id / "evals.parquet") for way in ("together", "alone")
        )
        assert evals.to_lists()["step"] == evals_alone.to_lists()["step"] == [20, 40, 50]
        np.testing.assert_allclose(evals.array("loss"), evals_alone.array("loss"), rtol=1e-5)
        assert evals.to_lists()["accuracy"] == evals_alone.to_lists()["accuracy"]


@pytest.mark.parametrize("optimizer", ["sgd", "lion", "adam"])
def test_other_optimizers_equal_theirs(tmp_path, optimizer):
    settings = OptimizerConfig(optimizer, {"sgd": 0.1, "lion": 1e-4, "adam": 1e-3}[optimizer], {"weight_decay": 0.1})
    base = small_plan(dropout=0.0, max_steps=10, tracking=NONE).config
    plans = [make_plan(replace(base, optimizer=settings, seed=seed)) for seed in range(2)]
    for plan, trace in zip(plans, train_all(plans, tmp_path / "together"), strict=True):
        _, alone = train(plan, tmp_path / "alone" / plan.run_id)
        np.testing.assert_allclose(trace.array("loss"), alone.array("loss"), rtol=1e-5)


def test_what_a_run_leaves_is_what_it_leaves_alone(tmp_path):
    plans = [small_plan(save_model=True, tracking=NONE, seed=seed) for seed in range(2)]
    train_all(plans, tmp_path)
    _, _ = train(plans[0], tmp_path / "alone")
    names = [sorted(path.name for path in (tmp_path / name).iterdir()) for name in (plans[0].run_id, "alone")]
    assert names[0] == names[1] == ["evals.parquet", "model", "result.json", "trace.parquet"]
    result, alone = (json.loads((tmp_path / name / "result.json").read_text()) for name in (plans[0].run_id, "alone"))
    assert result["speed"].pop("runs_together") == 2
    assert {key: result[key] for key in ("run_id", "status", "strategy", "versions", "resumed_at", "error")} == {
        key: alone[key] for key in ("run_id", "status", "strategy", "versions", "resumed_at", "error")
    }
    assert result["metrics"].keys() == alone["metrics"].keys()
    assert result["speed"].keys() == alone["speed"].keys()
    reference = loop.build(plans[1], tokenize(plans[1].corpus, plans[1].config.task, plans[1].config.model))[0]
    saved = type(reference).from_pretrained(tmp_path / plans[1].run_id / "model")
    assert saved.state_dict().keys() == reference.state_dict().keys()


def test_the_same_group_twice_is_the_same_bit_for_bit(tmp_path):
    plans = [small_plan(seed=seed, tracking=NONE) for seed in (0, 0, 1)]
    plans[1] = make_plan(replace(plans[0].config, warmup_ratio=0.5))
    first, second = ([trace.to_lists() for trace in train_all(plans, tmp_path / name)] for name in "ab")
    assert first == second
    assert first[0]["loss"][0] == first[1]["loss"][0], "strategies at one seed share weights, order and dropout"
    assert first[0]["loss"][0] != first[2]["loss"][0]


def test_a_run_that_blows_up_is_a_result_and_the_others_do_not_notice(tmp_path):
    """Its twin in the second group has an ordinary rate; what the two others do is the same bit for bit."""
    calm = [small_plan(lr=lr, scheduler="constantlr", warmup_ratio=None, max_grad_norm=None, tracking=NONE, seed=seed)
            for lr, seed in ((1e-3, 0), (1e-4, 1), (2e-3, 2))]  # fmt: skip
    wild = make_plan(replace(calm[1].config, optimizer=OptimizerConfig("adamw", 1e30)))
    expected = train_all(calm, tmp_path / "calm")
    got = train_all([calm[0], wild, calm[2]], tmp_path / "wild")
    for place in (0, 2):
        assert got[place].to_lists() == expected[place].to_lists()
    result = json.loads((tmp_path / "wild" / wild.run_id / "result.json").read_text())
    alone, trace = train(wild, tmp_path / "alone")
    assert result["status"] == alone["status"] == "diverged"
    assert len(got[1]) == len(trace) < 20
    assert not math.isfinite(got[1].array("loss")[-1])


def test_looking_every_few_updates_changes_nothing(tmp_path, monkeypatch):
    """On a GPU the host looks at losses every 16 updates; a run that blew up in between is frozen there and then."""
    keys = {"scheduler": "constantlr", "warmup_ratio": None, "max_grad_norm": None, "tracking": NONE, "eval_every": 8}
    plans = [small_plan(lr=lr, **keys) for lr in (1e-3, 1e30)]
    every = [trace.to_lists() for trace in train_all(plans, tmp_path / "every")]
    monkeypatch.setitem(stacked_loop._UPDATES_PER_SYNC, "cpu", 16)
    assert [list(steps) for steps in stacked_loop._ranges_between_syncs(plans[0], 5)] == [
        [5, 6, 7],
        [*range(8, 16)],
        [16, 17, 18, 19],
    ]
    seldom = [trace.to_lists() for trace in train_all(plans, tmp_path / "seldom")]
    np.testing.assert_equal(seldom, every)
    assert len(every[1]["step"]) < 8


def test_interrupted_and_resumed_together_ends_as_if_never_interrupted(tmp_path, monkeypatch):
    plans = [small_plan(seed=seed, tracking=NONE) for seed in range(2)]
    whole = [trace.to_lists() for trace in train_all(plans, tmp_path / "whole")]
    interrupt_together(plans, [tmp_path / "cut" / plan.run_id for plan in plans], 7, monkeypatch)
    assert [trace.to_lists() for trace in train_all(plans, tmp_path / "cut")] == whole
    result = json.loads((tmp_path / "cut" / plans[0].run_id / "result.json").read_text())
    assert result["resumed_at"] == [7]
    assert not (tmp_path / "cut" / plans[0].run_id / "checkpoint").exists()


@pytest.mark.parametrize(
    "optimizer", [("adamw", {}), ("adamw", {"bias_correction": False}), ("sgd", {}), ("lion", {})], ids=str
)
def test_checkpoints_go_from_together_to_alone_and_back(tmp_path, monkeypatch, optimizer):
    """Cut at update 6 together, at 13 alone, ended together: the losses are those of a run never cut."""
    base = small_plan(dropout=0.0, tracking=NONE).config
    lr = {"adamw": 1e-3, "sgd": 0.1, "lion": 1e-4}[optimizer[0]]
    config = replace(base, optimizer=OptimizerConfig(optimizer[0], lr, optimizer[1]))
    plans = [make_plan(replace(config, seed=seed)) for seed in range(2)]
    folders = [tmp_path / plan.run_id for plan in plans]
    interrupt_together(plans, folders, 6, monkeypatch)
    for plan, folder in zip(plans, folders, strict=True):
        with monkeypatch.context() as patched:
            patched.setattr(loop, "ProgressLine", stopping_line(13))
            with pytest.raises(loop.Interrupted, match="update 13"):
                loop.train(plan, folder, show_progress=False)
    for plan, trace in zip(plans, train_all(plans, tmp_path), strict=True):
        result, alone = train(plan, tmp_path / "alone" / plan.run_id)
        assert result["resumed_at"] == []
        np.testing.assert_allclose(trace.array("loss"), alone.array("loss"), rtol=1e-5)
