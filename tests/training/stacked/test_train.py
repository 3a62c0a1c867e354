"""Which runs are stacked, and what happens if a group fails."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from small_runs import small_plan, train
from stacked_runs import NONE, interrupt_together, train_all
from transformers import GPT2Config, GPT2ForSequenceClassification

from warmup_lab.optimizers.registry import build_optimizer
from warmup_lab.runs import checkpoint
from warmup_lab.system.files import file_digest
from warmup_lab.training import loop
from warmup_lab.training.run import Run
from warmup_lab.training.stacked import loop as stacked_loop
from warmup_lab.training.stacked import train as stacked_train
from warmup_lab.training.stacked.train import train_stacked

pytestmark = pytest.mark.trains


def test_runs_at_different_updates_go_on_in_groups_of_their_own(tmp_path, monkeypatch):
    plans = [small_plan(dropout=0.0, seed=seed, tracking=NONE) for seed in range(3)]
    folders = [tmp_path / plan.run_id for plan in plans]
    interrupt_together(plans[:2], folders[:2], 9, monkeypatch)
    runs = [Run(plan, folder) for plan, folder in zip(plans, folders, strict=True)]
    sizes = [len(group) for group in stacked_train._by_step(runs)]
    assert sizes == [2, 1]
    for plan, trace in zip(plans, train_all(plans, tmp_path), strict=True):
        np.testing.assert_allclose(
            trace.array("loss"), train(plan, tmp_path / "alone" / plan.run_id)[1].array("loss"), rtol=1e-5
        )


def test_with_dropout_a_run_is_the_same_in_every_group(tmp_path, monkeypatch):
    """Stopped so that checkpoints are out of step, one run diverged, or halved for lack of memory: the losses stay.

    The groups differ in their runs, and with them in the padding and the order of the additions.
    """
    keys = {"scheduler": "constantlr", "warmup_ratio": None, "max_grad_norm": None, "tracking": NONE}
    plans = [small_plan(seed=seed, lr=1e-4 if seed < 3 else 1e30, grad_accumulation=2, max_steps=20, **keys)
             for seed in range(4)]  # fmt: skip
    whole = train_all(plans, tmp_path / "whole")[:3]
    assert len({trace.array("loss")[0] for trace in whole}) == 3

    stopped = [tmp_path / "stopped" / plan.run_id for plan in plans]
    interrupt_together(plans, stopped, 7, monkeypatch, diverged=1)
    interrupt_together(plans[:1], stopped[:1], 13, monkeypatch)
    ways = [train_all(plans[:3], tmp_path / "stopped")]

    real = stacked_loop.Stack.loss_and_gradient
    with monkeypatch.context() as patched:
        patched.setattr(stacked_loop.Stack, "loss_and_gradient", lambda *args: _scarce(real, *args))
        ways.append(train_all(plans[:3], tmp_path / "halved"))
    for way in ways:
        for trace, expected in zip(way, whole, strict=True):
            np.testing.assert_allclose(trace.array("loss"), expected.array("loss"), rtol=1e-5)


def _scarce(real, stack, *args):
    """At most two runs fit here; the error is the one that the CPU's allocator raises."""
    if len(stack.weights) > 2:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you")
    return real(stack, *args)


def test_a_run_whose_checkpoint_does_not_fit_is_not_trained_at_the_updates_of_the_others(tmp_path, monkeypatch):
    plans = [small_plan(dropout=0.0, seed=seed, tracking=NONE) for seed in range(2)]
    folders = [tmp_path / plan.run_id for plan in plans]
    interrupt_together(plans, folders, 9, monkeypatch)
    (path,) = checkpoint.checkpoints(folders[0])
    state = torch.load(path, weights_only=True)
    del state["trace"]["grad_norm"]
    torch.save(state, path)
    path.rename(path.with_name(f"state-0000009-{file_digest(path)[:16]}.pt"))
    outcomes = train_stacked(plans, folders, show_progress=False)
    assert "its last checkpoint cannot be used" in str(outcomes[0])
    assert outcomes[1]["resumed_at"] == [9]
    assert train_stacked(plans[:1], folders[:1], show_progress=False)[0]["resumed_at"] == []


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
    real = stacked_loop.Stack.loss_and_gradient
    monkeypatch.setattr(stacked_loop.Stack, "loss_and_gradient", lambda *args: _scarce(real, *args))
    plans = [small_plan(seed=seed, tracking=NONE, max_steps=3) for seed in range(5)]
    outcomes = train_stacked(plans, [tmp_path / plan.run_id for plan in plans], show_progress=False)
    assert [outcome["speed"]["runs_together"] for outcome in outcomes] == [2, 2, 1, 2, 2]
    assert caplog.text.count("trying smaller groups") == 2


def test_decoders_are_trained_alone(tmp_path, monkeypatch):
    """Stacked, their attention would see later tokens. The launcher trains what `CannotStack` reports."""
    shape = {"n_layer": 2, "n_embd": 16, "n_head": 2, "vocab_size": 500, "pad_token_id": 0}

    def build(plan, _task, _device=None):
        net = GPT2ForSequenceClassification(GPT2Config(**shape, bos_token_id=None, eos_token_id=None))
        return net, build_optimizer(plan.config.optimizer, net)

    monkeypatch.setattr(stacked_loop, "build", build)
    plans = [small_plan(seed=seed, tracking=NONE) for seed in range(2)]
    outcomes = train_stacked(plans, [tmp_path / plan.run_id for plan in plans], show_progress=False)
    assert all(isinstance(outcome, stacked_train.CannotStack) for outcome in outcomes)
    assert "GPT2ForSequenceClassification cannot be stacked" in str(outcomes[0])


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
