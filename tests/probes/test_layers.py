"""Probe `layers`, compared with other forms of its formulas."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_runs import run_parts, small_plan
from torch import nn

from warmup_lab.config.model_schema import RandomModel
from warmup_lab.config.schema import ProbeConfig
from warmup_lab.probes.base import ProbeContext, probe_batch
from warmup_lab.probes.layers import linear_cka, outputs_by_layer, weights_by_layer


def test_cka_equals_its_form_with_gram_matrices():
    """The other form of Kornblith et al.: HSIC of the centred Gram matrices, of shape (n, n)."""
    generator = torch.Generator().manual_seed(0)
    one, other = torch.randn(30, 7, generator=generator) + 2, torch.randn(30, 4, generator=generator)
    centre = np.eye(30) - 1 / 30
    k, m = (centre @ (x @ x.T).double().numpy() @ centre for x in (one, other))
    expected = np.trace(k @ m) / math.sqrt(np.trace(k @ k) * np.trace(m @ m))
    assert linear_cka(one, other) == pytest.approx(expected, rel=1e-5)
    rotation, _ = torch.linalg.qr(torch.randn(7, 7, generator=generator))
    assert linear_cka(one, 3 * one @ rotation + 1) == pytest.approx(1, abs=1e-5)
    assert math.isnan(linear_cka(one, torch.ones(30, 2)))


@pytest.mark.parametrize("kind", ["bert", "preln"])
def test_layers_partition_the_weights_and_outputs_equal_those_of_the_model(kind):
    plan = small_plan()
    plan = replace(plan, config=replace(plan.config, model=RandomModel(kind, num_layers=3, hidden_size=32)))
    task, model, optimizer, _ = run_parts(plan)
    layers = weights_by_layer(model)
    assert list(layers) == ["embeddings", "encoder.0", "encoder.1", "encoder.2", "head"]
    assert sorted(id(weight) for weights in layers.values() for weight in weights) == sorted(
        map(id, model.parameters())
    )
    assert len({tuple(map(len, layers[f"encoder.{i}"])) for i in range(3)}) == 1
    batch = probe_batch(task, 8, seed=0, device="cpu")
    outputs = outputs_by_layer(ProbeContext(plan, model, optimizer, batch))
    model.eval()
    with torch.no_grad():
        whole = model(**batch, output_hidden_states=True)
    is_token = batch["attention_mask"].bool()
    names = ["embeddings", "encoder.0", "encoder.1"]  # transformers applies the final LayerNorm to the last one
    for name, hidden in zip(names, whole.hidden_states[:3], strict=True):
        torch.testing.assert_close(outputs[name], hidden[is_token])
    torch.testing.assert_close(outputs["head"], whole.logits)
    assert len(outputs["encoder.2"]) == int(is_token.sum()) < is_token.numel()


def test_gradient_norm_and_update_ratio_of_the_head():
    plan = small_plan(probe=ProbeConfig(layers_every=1, batch_size=8))
    task, model, optimizer, probes = run_parts(plan)
    batch = probe_batch(task, 32, seed=5, device="cpu")
    model(**batch).loss.backward()
    named = dict(model.named_parameters())
    head = [name for name in named if name.startswith(("classifier", "bert.pooler"))]
    expected_norm = math.sqrt(sum(float(named[name].grad.pow(2).sum()) for name in head))
    whole = float(nn.utils.clip_grad_norm_(model.parameters(), 0.01))
    before = {name: weight.detach().clone() for name, weight in named.items()}
    probes.before_update(0, [batch], whole)
    optimizer.step()
    row = probes.after_update()
    moved = math.sqrt(sum(float((named[name].detach() - before[name]).pow(2).sum()) for name in head))
    size = math.sqrt(sum(float(before[name].pow(2).sum()) for name in head))
    assert row["grad_norm/head"] == pytest.approx(expected_norm, rel=1e-4)
    assert row["update_ratio/head"] == pytest.approx(moved / size, rel=1e-4)
    assert math.hypot(*(row[f"grad_norm/{layer}"] for layer in weights_by_layer(model))) == pytest.approx(
        whole, rel=1e-5
    )
    assert row["cka/encoder.0"] == pytest.approx(1)
