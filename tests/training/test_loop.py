"""The loop against a plain PyTorch loop, and its promises: determinism, pairing, resumption, divergence."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers
from small_runs import small_plan, stopping_line, train

from warmup_lab.config.schema import OptimizerConfig, ProbeConfig
from warmup_lab.plan import Plan, make_plan
from warmup_lab.runs import checkpoint
from warmup_lab.runs.trace import StepTable
from warmup_lab.system.seeding import reseed, update_seed
from warmup_lab.tasks.batches import batch_indices, collate
from warmup_lab.tasks.tokenizing import tokenize
from warmup_lab.training import loop
from warmup_lab.training.evaluate import evaluate

pytestmark = pytest.mark.trains


def test_equals_a_plain_pytorch_loop_with_transformers_schedule(tmp_path):
    """Loss, rate and gradient norm of every update, against the loop that people would write by hand."""
    plan = small_plan(dropout=0.0, grad_accumulation=2)
    _, trace = train(plan, tmp_path)

    task = tokenize(plan.corpus, plan.config.task, plan.config.model)
    model, _ = loop.build(plan, task)
    decayed = [p for name, p in model.named_parameters() if p.ndim > 1]
    others = [p for name, p in model.named_parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW([{"params": decayed}, {"params": others, "weight_decay": 0.0}], lr=1e-3)
    scheduler = transformers.get_linear_schedule_with_warmup(optimizer, plan.warmup_steps, plan.total_steps)
    losses, rates, norms = [], [], []
    for epoch in range(4):
        order = np.concatenate(batch_indices(len(task.train), 32, plan.config.seed, epoch))
        for start in range(0, len(order), 64):  # the two halves of an update as one batch
            batch = collate(task.train, order[start : start + 64], task.pad_id)
            loss = model(**batch).loss
            optimizer.zero_grad()
            loss.backward()
            norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0).item())
            rates.append(scheduler.get_last_lr()[0])
            optimizer.step()
            scheduler.step()
            losses.append(loss.item())
    assert len(losses) == plan.total_steps == 12
    np.testing.assert_allclose(trace.array("lr"), rates, rtol=1e-12)
    np.testing.assert_allclose(trace.array("loss"), losses, rtol=2e-5)
    np.testing.assert_allclose(trace.array("grad_norm"), norms, rtol=2e-3)


def test_the_same_run_twice_is_the_same_bit_for_bit(tmp_path):
    first, second = (train(small_plan(), tmp_path / name)[1] for name in "ab")
    assert first.to_lists() == second.to_lists()
    other_seed = train(small_plan(seed=1), tmp_path / "c")[1]
    assert first.to_lists()["loss"] != other_seed.to_lists()["loss"]


def test_at_one_seed_strategies_share_weights_order_and_dropout(tmp_path):
    """The loss of the first update sees all three, and comes before any strategy can act."""
    plans = [small_plan(scheduler="warmupcosine", warmup_ratio=r) for r in (0.0, 0.5)] + [small_plan(lr=5e-3)]
    first_losses = {train(plan, tmp_path / plan.run_id)[1].to_lists()["loss"][0] for plan in plans}
    assert len(first_losses) == 1


def test_a_probe_changes_nothing_but_its_column(tmp_path):
    plain = train(small_plan(lr=0.02), tmp_path / "plain")[1].to_lists()
    result, trace = train(small_plan(lr=0.02, probe=ProbeConfig(overshoot_every=2)), tmp_path / "probed")
    probed = trace.to_lists()
    overshoot = probed.pop("overshoot")
    assert probed == plain
    assert overshoot[1::2] == [None] * (len(overshoot) // 2)
    assert set(overshoot[::2]) <= {0.0, 1.0}
    assert result["metrics"]["oscillation"]["whole"]["overshoot_rate"] == np.mean(overshoot[::2])


def test_interrupted_and_resumed_ends_as_if_never_interrupted(tmp_path, monkeypatch):
    whole = train(small_plan(), tmp_path / "whole")[1].to_lists()
    directory = tmp_path / "resumed"
    for stop_at in (7, 13):
        monkeypatch.setattr(loop, "ProgressLine", stopping_line(stop_at))
        with pytest.raises(loop.Interrupted, match=f"stopped after update {stop_at} of 20; the same command"):
            train(small_plan(), directory)
        assert checkpoint.checkpoints(directory)
        assert not (directory / "result.json").exists()
    monkeypatch.undo()
    result, trace = train(small_plan(), directory)
    assert result["resumed_at"] == [7, 13]
    assert trace.to_lists() == whole
    assert StepTable.read(directory / "evals.parquet").to_lists()["step"] == [10, 20]
    assert not (directory / "checkpoint").exists()


def plan_with(optimizer: str, lr: float, **keys) -> Plan:
    return make_plan(replace(small_plan(**keys).config, optimizer=OptimizerConfig(optimizer, lr)))


@pytest.mark.parametrize("optimizer", ["schedulefree", "muon", "lamb", "giadam"])
def test_a_resumed_run_of_an_optimizer_of_several_parts_or_modes_ends_the_same(optimizer, tmp_path, monkeypatch):
    """Stopped after 7 updates, and after the evaluation at update 10."""
    plan = plan_with(optimizer, 3e-3)
    whole = train(plan, tmp_path / "whole")[1].to_lists()
    for stop_at in (7, 10):
        monkeypatch.setattr(loop, "ProgressLine", stopping_line(stop_at))
        with pytest.raises(loop.Interrupted):
            train(plan, tmp_path / "resumed")
    monkeypatch.undo()
    result, trace = train(plan, tmp_path / "resumed")
    assert result["resumed_at"] == [7, 10]
    assert trace.to_lists() == whole
    evals = [StepTable.read(tmp_path / name / "evals.parquet").to_lists() for name in ("whole", "resumed")]
    assert evals[0] == evals[1]


def test_schedulefree_evaluates_and_saves_the_average_of_its_steps(tmp_path, monkeypatch):
    """x by hand: the mean of the z that training itself takes, weighted by the square of the highest rate so far."""
    steps = []

    def recording(plan, task):
        model, optimizer = build(plan, task)
        step = optimizer.step

        def record_step():
            step()
            z = torch.cat([optimizer.state[p].get("z", p).detach().flatten() for p in model.parameters()])
            steps.append((optimizer.param_groups[0]["lr"], z.clone()))

        monkeypatch.setattr(optimizer, "step", record_step)
        return model, optimizer

    build = loop.build
    monkeypatch.setattr(loop, "build", recording)
    plan = plan_with("schedulefree", 3e-3, scheduler="warmupconstant", eval_every=None, save_model=True)
    result, trace = train(plan, tmp_path)
    assert trace.array("lr")[0] == 0
    shares = np.maximum.accumulate([lr for lr, _ in steps]) ** 2
    average = sum(share * z.double() for share, (_, z) in zip(shares, steps, strict=True)) / shares.sum()
    model = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "model")
    saved = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    np.testing.assert_allclose(saved, average, rtol=1e-4, atol=2e-6)
    assert not np.allclose(saved, steps[-1][1], rtol=1e-4, atol=2e-6)
    task = tokenize(plan.corpus, plan.config.task, plan.config.model)
    assert evaluate(model, task, plan)["loss"] == pytest.approx(result["metrics"]["eval_loss"], rel=1e-6)


def test_how_often_schedulefree_is_evaluated_changes_nothing_of_its_training(tmp_path):
    often, once = (
        train(plan_with("schedulefree", 3e-3, eval_every=every), tmp_path / str(every))[1].to_lists()
        for every in (1, None)
    )
    assert often == once


def test_divergence_is_a_result(tmp_path):
    plan = small_plan(lr=1e30, scheduler="constantlr", warmup_ratio=None, max_grad_norm=None)
    result, trace = train(plan, tmp_path)
    assert result["status"] == "diverged"
    assert result["failed_to_learn"] is True
    assert result["metrics"]["eval_loss"] is None
    assert 0 < len(trace) < plan.total_steps
    assert not math.isfinite(trace.array("loss")[-1]) or not math.isfinite(trace.array("grad_norm")[-1])
    json.loads((tmp_path / "result.json").read_text(), parse_constant=lambda name: pytest.fail(f"{name} in JSON"))


def test_an_error_is_recorded_and_raised(tmp_path, monkeypatch):
    def broken(*_):
        raise MemoryError("no memory left")

    monkeypatch.setattr(loop, "evaluate", broken)
    with pytest.raises(MemoryError):
        train(small_plan(), tmp_path)
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["status"], result["error"]) == ("error", "MemoryError: no memory left")


def test_what_a_run_leaves(tmp_path):
    plan = small_plan(save_model=True)
    result, trace = train(plan, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "evals.parquet", "model", "result.json", "trace.parquet",
    ]  # fmt: skip
    assert trace.columns == ("step", "epoch", "lr", "loss", "grad_norm")
    assert trace.to_lists()["step"] == list(range(20))
    assert trace.to_lists()["epoch"][5] == 1.0
    assert StepTable.read(tmp_path / "evals.parquet").columns == ("step", "loss", "accuracy")
    assert list(result) == [
        "schema", "run_id", "study", "status", "failed_to_learn", "num_classes", "label_entropy",
        "majority_accuracy", "strategy", "metrics", "resumed_at", "speed", "versions", "mixed_versions", "error",
        "files", "sha256",
    ]  # fmt: skip
    assert result["strategy"] == {
        "scheduler": "warmuplinear", "warmup_steps": 4, "warmup_ratio": 0.2, "total_steps": 20, "optimizer": "adamw",
        "lr": 1e-3, "seed": 0, "task": "synthetic", "model": "bert", "warmup": "linear", "t_eff": 2.5,
    }  # fmt: skip  # t_eff of 4 updates from 0: 1 + 3/4 + 2/4 + 1/4
    assert set(result["metrics"]["oscillation"]) == {"whole", "early", "late"}
    model = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "model")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "model")
    texts = [texts[0] for texts in plan.corpus.validation.texts]
    model.eval()
    with torch.inference_mode():
        logits = model(**tokenizer(texts, padding=True, return_tensors="pt")).logits
    accuracy = (logits.argmax(-1).numpy() == plan.corpus.validation.labels).mean()
    assert accuracy == pytest.approx(result["metrics"]["eval_accuracy"])


def test_dropout_draws_what_torchs_own_seed_would_have_it_draw():
    for seed in (0, 2**63 - 1):
        torch.manual_seed(seed)
        expected = torch.rand(5)
        torch.rand(3)
        reseed(seed, "cpu")
        assert torch.equal(torch.rand(5), expected)


def test_update_seeds_differ_between_updates_and_runs():
    seeds = {update_seed(seed, step) for seed in range(50) for step in range(200)}
    assert len(seeds) == 10_000
    assert all(0 <= seed < 2**63 for seed in seeds)
