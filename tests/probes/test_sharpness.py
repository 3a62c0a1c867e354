"""Probe `sharpness`, compared with dense Hessians and known spectra."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from small_runs import run_parts, small_plan
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import BertConfig, BertForSequenceClassification

from warmup_lab.config.schema import OptimizerConfig, ProbeConfig
from warmup_lab.optimizers.registry import build_optimizer
from warmup_lab.probes.base import PendingUpdate, ProbeContext, probe_batch
from warmup_lab.probes.sharpness import SharpnessProbe, hessian_product, inverse_root_preconditioner, top_eigenpair


@pytest.mark.parametrize("spectrum", [(-9.0, 3.0), (-5.0, -0.5), (0.1, 40.0)])
def test_the_top_eigenvalue_is_not_the_largest_absolute_value(spectrum):
    generator = torch.Generator().manual_seed(0)
    basis, _ = torch.linalg.qr(torch.randn(60, 60, generator=generator, dtype=torch.float64))
    values = torch.linspace(*spectrum, 60, dtype=torch.float64)
    matrix = basis @ torch.diag(values) @ basis.T
    start = torch.randn(60, generator=generator, dtype=torch.float64)
    value, vector = top_eigenpair(lambda v: matrix @ v, start, tolerance=1e-7, max_products=200)
    assert value == pytest.approx(spectrum[1], rel=1e-9)
    assert abs(float(vector @ basis[:, -1])) == pytest.approx(1, abs=1e-6)


def test_the_search_stops_at_the_cap_and_continues_from_a_start():
    matrix = torch.diag(torch.linspace(0, 1, 400))
    calls = []

    def product(vector):
        calls.append(1)
        return matrix @ vector

    value, vector = top_eigenpair(product, torch.ones(400), tolerance=0, max_products=12)
    assert len(calls) == 12
    assert 0.9 < value <= 1 + 1e-6
    calls.clear()
    better, _ = top_eigenpair(product, vector, tolerance=0, max_products=12)
    assert value < better <= 1 + 1e-6
    assert math.isnan(top_eigenpair(lambda v: v * math.nan, torch.ones(4))[0])


def bert_of_700_weights(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    shape = BertConfig(
        vocab_size=12, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8,
        max_position_embeddings=64, type_vocab_size=2,
    )  # fmt: skip
    return BertForSequenceClassification(shape)


def dense_hessian(model: nn.Module, batch) -> np.ndarray:
    """The Hessian by `torch.autograd.functional.hessian`, in double precision."""
    model.double()
    names, shapes = zip(*((name, weight.shape) for name, weight in model.named_parameters()), strict=True)
    flat = torch.cat([weight.detach().reshape(-1) for weight in model.parameters()])

    def loss(vector):
        parts = vector.split([shape.numel() for shape in shapes])
        weights = {name: part.view(shape) for name, part, shape in zip(names, parts, shapes, strict=True)}
        return torch.func.functional_call(model, weights, kwargs=dict(batch)).loss

    with sdpa_kernel(SDPBackend.MATH):
        matrix = torch.autograd.functional.hessian(loss, flat, vectorize=True).numpy()
    model.float()
    return matrix


def test_sharpness_equals_the_top_eigenvalue_of_the_dense_hessian():
    """For a model with few weights, after two updates of AdamW; plain and preconditioned."""
    plan = small_plan(probe=ProbeConfig(sharpness_every=1, batch_size=6))
    task, _, _, _ = run_parts(plan)
    tiny = bert_of_700_weights()
    model, batch = tiny, {key: value % 12 if key == "input_ids" else value for key, value in
                          probe_batch(task, 6, seed=0, device="cpu").items()}  # fmt: skip
    optimizer = build_optimizer(OptimizerConfig("adamw", 1e-2), model)
    for _ in range(2):
        optimizer.zero_grad()
        model(**batch).loss.backward()
        optimizer.step()
    context = ProbeContext(plan, model, optimizer, batch)
    probe = SharpnessProbe(context)
    for _ in range(3):  # each search starts from the last eigenvector
        probe.before_update(PendingUpdate(0, [batch], 1.0))
    found = probe.after_update()
    model.eval()
    with hessian_product(context) as product:
        tight, _ = top_eigenpair(product, context.memory["sharpness"], tolerance=1e-3, max_products=100)

    model.eval()
    matrix = dense_hessian(model, batch)
    assert tight == pytest.approx(np.linalg.eigvalsh(matrix)[-1], rel=1e-4)
    assert found["sharpness"] == pytest.approx(tight, rel=0.02)

    beta2, eps = 0.999, 1e-8
    root = []
    for name, weight in model.named_parameters():
        second = optimizer.state[weight]["exp_avg_sq"].numpy().astype(np.float64).ravel() / (1 - beta2**2)
        held = name.endswith("_embeddings.weight")
        root.append(np.where((second > 0) & (not held), 1 / np.sqrt(np.sqrt(second) + eps), 0))
    scale = np.concatenate(root)
    expected = np.linalg.eigvalsh(scale[:, None] * matrix * scale)[-1]
    assert found["preconditioned_sharpness"] == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(("bias_correction", "expected"), [(True, 1e-2), (False, 1e-2 * math.sqrt(0.001))])
def test_the_preconditioner_has_the_bias_correction_of_the_optimizer(bias_correction, expected):
    """One update with the gradient 0.01: v_hat is its square, v without the correction a thousandth of that."""
    model = nn.Linear(2, 1, bias=False)
    optimizer = build_optimizer(OptimizerConfig("adamw", 1e-3, {"bias_correction": bias_correction}), model)
    before = inverse_root_preconditioner(optimizer, model)
    model.weight.grad = torch.full((1, 2), 1e-2)
    optimizer.step()
    scale = inverse_root_preconditioner(optimizer, model)
    torch.testing.assert_close(scale**-2, torch.full((2,), expected), rtol=1e-4, atol=0)
    assert before is None
