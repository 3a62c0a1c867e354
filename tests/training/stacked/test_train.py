"""Runs trained together against the same runs trained alone: numbers, files, checkpoints, divergence, failures."""

from __future__ import annotations

import json
import math
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_runs import small_plan, train

from warmup_lab.config.model_schema import RandomModel
from warmup_lab.config.schema import OptimizerConfig, ProbeConfig, SchedulerConfig, TrackingConfig
from warmup_lab.config.task_schema import SyntheticTask
from warmup_lab.plan import Plan, make_plan
from warmup_lab.runs import checkpoint
from warmup_lab.runs.trace import StepTable
from warmup_lab.tasks.tokenizing import tokenize
from warmup_lab.training import loop
from warmup_lab.training.stacked import grouping
from warmup_lab.training.stacked import loop as stacked_loop
from warmup_lab.training.stacked import train as stacked_train
from warmup_lab.training.stacked.grouping import bytes_a_run, groups_of
from warmup_lab.training.stacked.train import train_stacked

NONE = TrackingConfig("none")


def plans_that_differ(**keys) -> list[Plan]:
    """Three runs that share nothing but their shapes: rate, schedule, warmup, seed, clipping, optimizer's settings."""
    one = small_plan(lr=5e-4, seed=0, warmup_ratio=0.2, max_grad_norm=1.0, tracking=NONE, **keys)
    two = small_plan(lr=1e-3, seed=1, scheduler="warmupcosine", max_grad_norm=None, tracking=NONE, **keys)
    own = OptimizerConfig("adamw", 1e-3, {"bias_correction": False, "eps": 1e-6, "betas": (0.8, 0.99)})
    three = small_plan(seed=2, scheduler="constantlr", warmup_ratio=None, max_grad_norm=0.05, tracking=NONE, **keys)
    return [one, two, make_plan(replace(three.config, optimizer=own))]


def train_all(plans: list[Plan], folder: Path) -> list[StepTable]:
    """The traces of runs that all end well."""
    folders = [folder / plan.run_id for plan in plans]
    for outcome in train_stacked(plans, folders, show_progress=False):
        assert isinstance(outcome, dict), outcome
    return [StepTable.read(one / "trace.parquet") for one in folders]


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
    assert first[0]["loss"][0] != first[1]["loss"][0], "at one seed, too, each run draws its own masks"


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
    monkeypatch.setitem(stacked_loop._STRETCH, "cpu", 16)
    assert [list(steps) for steps in stacked_loop._stretches(plans[0], 5)] == [
        [5, 6, 7],
        [*range(8, 16)],
        [16, 17, 18, 19],
    ]
    seldom = [trace.to_lists() for trace in train_all(plans, tmp_path / "seldom")]
    np.testing.assert_equal(seldom, every)
    assert len(every[1]["step"]) < 8


def stop_after(step: int):
    """A progress line that sends this process Ctrl-C when the given update is made."""

    class Line(stacked_loop.ProgressLine):
        def update(self, loss: float, lr: float) -> None:
            super().update(loss, lr)
            if self._step == step:
                signal.raise_signal(signal.SIGINT)

    return Line


def interrupt_together(plans: list[Plan], folders: list[Path], step: int, monkeypatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(stacked_loop, "ProgressLine", stop_after(step))
        with pytest.raises(stacked_loop.Interrupted, match=f"stopped after update {step} of 20; the same command"):
            train_stacked(plans, folders, show_progress=False)
    for folder in folders:
        assert checkpoint.checkpoint_path(folder).exists()
        assert not (folder / "result.json").exists()


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
            patched.setattr(loop, "ProgressLine", stop_after(13))
            with pytest.raises(loop.Interrupted, match="update 13"):
                loop.train(plan, folder, show_progress=False)
    for plan, trace in zip(plans, train_all(plans, tmp_path), strict=True):
        result, alone = train(plan, tmp_path / "alone" / plan.run_id)
        assert result["resumed_at"] == []
        np.testing.assert_allclose(trace.array("loss"), alone.array("loss"), rtol=1e-5)


def test_runs_at_different_updates_go_on_in_groups_of_their_own(tmp_path, monkeypatch):
    plans = [small_plan(dropout=0.0, seed=seed, tracking=NONE) for seed in range(3)]
    folders = [tmp_path / plan.run_id for plan in plans]
    interrupt_together(plans[:2], folders[:2], 9, monkeypatch)
    runs = [stacked_loop.Run(plan, folder) for plan, folder in zip(plans, folders, strict=True)]
    sizes = [len(group) for group in stacked_train._by_step(runs)]
    assert sizes == [2, 1]
    for plan, trace in zip(plans, train_all(plans, tmp_path), strict=True):
        np.testing.assert_allclose(
            trace.array("loss"), train(plan, tmp_path / "alone" / plan.run_id)[1].array("loss"), rtol=1e-5
        )


def test_what_goes_wrong_with_one_run_costs_the_others_nothing(tmp_path):
    """Where one run must write its trace there is a folder."""
    plans = [small_plan(seed=seed, tracking=NONE) for seed in range(3)]
    folders = [tmp_path / str(seed) for seed in range(3)]
    (folders[1] / "trace.parquet").mkdir(parents=True)
    outcomes = train_stacked(plans, folders, show_progress=False)
    assert isinstance(outcomes[1], OSError)
    assert [outcomes[place]["status"] for place in (0, 2)] == ["completed", "completed"]
    assert json.loads((folders[1] / "result.json").read_text())["status"] == "error"


def test_a_group_that_does_not_fit_is_halved_until_it_does(tmp_path, monkeypatch, caplog):
    """At most two runs fit here; the error is the one that the CPU's allocator raises."""
    real = stacked_loop.Stack.loss_and_gradient

    def scarce(self, *args):
        if len(self.weights) > 2:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you")
        return real(self, *args)

    monkeypatch.setattr(stacked_loop.Stack, "loss_and_gradient", scarce)
    plans = [small_plan(seed=seed, tracking=NONE, max_steps=3) for seed in range(5)]
    outcomes = train_stacked(plans, [tmp_path / plan.run_id for plan in plans], show_progress=False)
    assert [outcome["speed"]["runs_together"] for outcome in outcomes] == [2, 2, 1, 2, 2]
    assert caplog.text.count("trying smaller groups") == 2


def test_an_allocation_that_really_fails_is_known_for_one():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50)
    assert grouping.is_out_of_memory(caught.value)
    assert not grouping.is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_any_other_failure_of_the_group_is_the_guilty_runs_alone(tmp_path, monkeypatch):
    real = stacked_loop.Stack.load

    def picky(self, run, model):
        if model.guilty:
            raise ValueError("no")
        real(self, run, model)

    def build(plan, task, device=None):
        model, optimizer = loop.build(plan, task, device)
        model.guilty = plan.config.seed == 1
        return model, optimizer

    monkeypatch.setattr(stacked_loop.Stack, "load", picky)
    monkeypatch.setattr(stacked_loop, "build", build)
    plans = [small_plan(seed=seed, tracking=NONE, max_steps=3) for seed in range(3)]
    outcomes = train_stacked(plans, [tmp_path / plan.run_id for plan in plans], show_progress=False)
    assert [isinstance(outcome, dict) for outcome in outcomes] == [True, False, True]
    assert isinstance(outcomes[1], stacked_train.CannotStack)


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
        replace(base, optimizer=OptimizerConfig("radam", 1e-3)),
    ]
    plans = [make_plan(config) for config in (*same, *others, *alone, alone[1], base)]
    groups = groups_of(plans)
    assert groups[0] == [*range(6), len(plans) - 1]
    assert [len(group) for group in groups[1:]] == [1] * 9
    with pytest.raises(Exception, match="do not share their shapes"):
        train_stacked([plans[0], plans[6]], [tmp_path / "a", tmp_path / "b"])
