"""Muon, compared with torch and with the published rule in numpy."""

import math

import numpy as np
import torch
from optimizer_cases import (
    CASES,
    PEAK,
    case_config,
    excluded_by_bert,
    gradients,
    is_encoder_matrix,
    multiplier,
    tiny_bert,
    update,
    weights,
)

from warmup_lab.config.schema import OptimizerConfig
from warmup_lab.optimizers.muon import orthogonal
from warmup_lab.optimizers.registry import build_optimizer


def test_muon_equals_torch_muon_and_adamw():
    """torch iterates in bfloat16 (8 bits), so its updates, with an RMS of about 0.2 lr, are off by a few percent."""
    ours, theirs = tiny_bert(), tiny_bert()
    options = CASES["muon"]
    optimizer = build_optimizer(case_config("muon"), ours)
    named = list(theirs.named_parameters())
    rest = [(name, param) for name, param in named if not is_encoder_matrix(name, param)]
    muon = torch.optim.Muon(
        [param for name, param in named if is_encoder_matrix(name, param)], PEAK, weight_decay=0.1, momentum=0.9,
        adjust_lr_fn="match_rms_adamw",
    )  # fmt: skip
    adamw = torch.optim.AdamW(
        [
            {"params": [param for name, param in rest if not excluded_by_bert(name)], "weight_decay": 0.1},
            {"params": [param for name, param in rest if excluded_by_bert(name)], "weight_decay": 0.0},
        ],
        PEAK, betas=options["betas"], eps=options["eps"], foreach=False,
    )  # fmt: skip
    for step in range(10):
        before = weights(ours)
        for other, param in zip(before, theirs.parameters(), strict=True):
            param.data.copy_(other)  # compare single updates, so that bfloat16 errors do not add up
        update(ours, optimizer, step)
        update(theirs, muon, step)
        for group in adamw.param_groups:
            group["lr"] = PEAK * multiplier(step)
        adamw.step()
        for (name, param), one, other in zip(named, weights(ours), weights(theirs), strict=True):
            if is_encoder_matrix(name, param):
                difference, size = (one - other).norm(), PEAK * multiplier(step) * 0.2 * math.sqrt(one.numel())
                assert difference <= 0.05 * size, name
            else:
                torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_muon_equals_the_published_rule():
    """In float64, for a tall and a wide matrix, compared with the mapping of each singular value."""
    model = torch.nn.ModuleList([torch.nn.Linear(3, 6, bias=False), torch.nn.Linear(6, 4, bias=False)]).double()
    config = OptimizerConfig("muon", PEAK, {"momentum": 0.9, "weight_decay": 0.1})
    optimizer = build_optimizer(config, model)
    expected = [weight.numpy().copy() for weight in weights(model)]
    buffers = [np.zeros_like(weight) for weight in expected]
    for step in range(8):
        lr = PEAK * multiplier(step)
        for i, gradient in enumerate(gradients(model, step)):
            buffers[i] = 0.9 * buffers[i] + 0.1 * gradient.numpy()
            left, values, right = np.linalg.svd(0.1 * gradient.numpy() + 0.9 * buffers[i], full_matrices=False)
            values = values / np.linalg.norm(values)
            for _ in range(5):
                values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
            scale = 0.2 * math.sqrt(max(expected[i].shape))
            expected[i] = expected[i] * (1 - 0.1 * lr) - lr * scale * (left * values) @ right
        update(model, optimizer, step)
        for ours, theirs in zip(weights(model), expected, strict=True):
            np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-10, atol=1e-12)


def test_orthogonal_sets_singular_values_to_about_1():
    matrix = torch.randn(12, 30, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonal(matrix, 5))
    assert 0.6 < values.min() < values.max() < 1.3
    assert torch.equal(orthogonal(torch.zeros(3, 2), 5), torch.zeros(3, 2))
