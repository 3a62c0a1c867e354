"""All probes in a run: they change nothing, survive an interruption, and keep to their stated cost."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_runs import run_parts, small_plan, stopping_line, train

from warmup_lab.config.errors import ConfigError
from warmup_lab.config.model_schema import PretrainedModel, RandomModel
from warmup_lab.config.schema import OptimizerConfig, ProbeConfig
from warmup_lab.plan import make_plan
from warmup_lab.probes import critical_lr
from warmup_lab.probes.base import probe_batch
from warmup_lab.tasks.batches import collate
from warmup_lab.tasks.tokenizing import tokenize
from warmup_lab.training import loop

ALL = ProbeConfig(overshoot_every=2, sharpness_every=4, critical_lr_every=3, layers_every=2, batch_size=16)
LAYERS = ("embeddings", "encoder.0", "head")
COLUMNS = [
    "overshoot", "sharpness", "preconditioned_sharpness", "critical_lr", "critical_lr_degenerate",
    *(f"{family}/{layer}" for family in ("grad_norm", "update_ratio", "cka") for layer in LAYERS),
]  # fmt: skip  # fmt: skip


@pytest.mark.trains
@pytest.mark.parametrize(
    ("optimizer", "keys"),
    [
        ("adamw", {"grad_accumulation": 2}),
        ("adamw", {"precision": "bf16"}),
        ("sgd", {}),
        ("radam", {}),
        ("nadam", {}),
        ("adafactor", {}),
    ],
)
def test_all_probes_together_change_only_their_columns(tmp_path, optimizer, keys):
    """Bit for bit, with dropout. Nesterov momentum changes the gradients in place."""
    options = {"nesterov": True} if optimizer == "sgd" else {}
    plan = small_plan(max_steps=9, **keys)
    plan = make_plan(replace(plan.config, optimizer=OptimizerConfig(optimizer, 3e-3, options)))
    plain = train(plan, tmp_path / "plain")[1].to_lists()
    probed = train(make_plan(replace(plan.config, probe=ALL)), tmp_path / "probed")[1].to_lists()
    columns = {name: probed.pop(name) for name in list(probed)[5:]}
    assert probed == plain
    assert list(columns) == COLUMNS
    assert [value is not None for value in columns["sharpness"]] == [step % 4 == 0 for step in range(9)]
    assert [value is not None for value in columns["critical_lr_degenerate"]] == [step % 3 == 0 for step in range(9)]
    adam = optimizer in ("adamw", "radam", "nadam")
    preconditioned = [step in (4, 8) and adam for step in range(9)]  # at update 0 there is no second moment yet
    assert [value is not None for value in columns["preconditioned_sharpness"]] == preconditioned
    assert all(found is None or (rate is None) == (found == 1) for rate, found in zip(
        columns["critical_lr"], columns["critical_lr_degenerate"], strict=True))  # fmt: skip


@pytest.mark.trains
def test_a_resumed_run_has_the_same_probe_columns(tmp_path, monkeypatch):
    """The memory of the probes and the outputs at the start survive the interruption."""
    plan = small_plan(probe=ALL, max_steps=14)
    whole = train(plan, tmp_path / "whole")[1].to_lists()
    monkeypatch.setattr(loop, "ProgressLine", stopping_line(7))
    with pytest.raises(loop.Interrupted):
        train(plan, tmp_path / "resumed")
    monkeypatch.undo()
    assert train(plan, tmp_path / "resumed")[1].to_lists() == whole


@pytest.mark.trains
def test_a_run_diverges_in_the_same_way_with_all_probes(tmp_path):
    keys = {"lr": 1e30, "scheduler": "constantlr", "warmup_ratio": None, "max_grad_norm": None}
    result, trace = train(small_plan(probe=ProbeConfig(1, 1, 1, 1, batch_size=16), **keys), tmp_path)
    assert result["status"] == "diverged"
    assert np.isnan(trace.array("sharpness")[-1])
    assert trace.array("critical_lr_degenerate")[-1] == 1
    plain = train(small_plan(**keys), tmp_path / "plain")[1]
    assert trace.array("loss").tobytes() == plain.array("loss").tobytes()


@pytest.mark.trains
@pytest.mark.parametrize("kind", ["preln", "pretrained"])
def test_each_kind_of_model_has_layer_columns(tmp_path, kind):
    plan = small_plan(probe=ALL, max_steps=3)
    model = RandomModel("preln", num_layers=2, hidden_size=32)
    if kind == "pretrained":
        source = make_plan(replace(plan.config, save_model=True, model=replace(plan.config.model, num_layers=2)))
        train(source, tmp_path / "source")
        model = PretrainedModel("pretrained", path=str(tmp_path / "source" / "model"))
    _, trace = train(make_plan(replace(plan.config, model=model)), tmp_path / "run")
    assert {"cka/embeddings", "cka/encoder.0", "cka/encoder.1", "cka/head"} <= set(trace.columns)
    assert trace.array("cka/encoder.1")[0] == pytest.approx(1)
    assert np.isfinite(trace.array("sharpness")[0])


def test_probes_restore_every_state():
    plan = small_plan(probe=ProbeConfig(1, 1, 1, 1, batch_size=16))
    _, model, optimizer, probes = run_parts(plan)
    task = tokenize(plan.corpus, plan.config.task, plan.config.model)
    for step, batches in zip(range(3), loop.batches_of(plan, task, collate), strict=False):
        torch.manual_seed(step)
        optimizer.zero_grad()
        model(**batches[0]).loss.backward()
        before = copy.deepcopy((model.state_dict(), optimizer.state_dict(), [p.grad for p in model.parameters()]))
        state = torch.get_rng_state()
        probes.before_update(step, batches, 1.0)
        after = (model.state_dict(), optimizer.state_dict(), [p.grad for p in model.parameters()])
        # Groups contain strings, which assert_close cannot compare.
        assert after[1].pop("param_groups") == before[1].pop("param_groups")
        torch.testing.assert_close(after, before, rtol=0, atol=0)
        assert model.training
        assert torch.equal(torch.get_rng_state(), state)
        optimizer.step()
        now = copy.deepcopy(model.state_dict())
        probes.after_update()
        torch.testing.assert_close(model.state_dict(), now, rtol=0, atol=0)


def count_forward_passes(model):
    """A list that grows by one item at each forward pass."""
    count = []
    model.register_forward_hook(lambda *_: count.append(1))
    return count


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("overshoot", 2),
        ("sharpness", 1),
        ("critical_lr", 2 + critical_lr.MAX_FACTORS + critical_lr.NUM_BISECTIONS),
        ("layers", 1),
    ],
)
def test_a_probed_update_takes_at_most_the_stated_forward_passes(name, most):
    plan = small_plan(probe=ProbeConfig(**{f"{name}_every": 2}))
    task, model, optimizer, probes = run_parts(plan)
    batches = [probe_batch(task, 8, seed=1, device="cpu")]
    counted = count_forward_passes(model)
    model(**batches[0]).loss.backward()
    for step in range(2):
        counted.clear()
        probes.before_update(step, batches, 1.0)
        optimizer.step()
        probes.after_update()
        assert len(counted) <= (0 if step else most)
        assert step or counted


def test_a_period_below_1_is_refused():
    with pytest.raises(ConfigError, match="layers_every=0: must be at least 1"):
        ProbeConfig(layers_every=0)
    assert ProbeConfig(sharpness_every=3).wanted == {"sharpness": 3}
