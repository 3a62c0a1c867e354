"""BERT's AdamW and GI-Adam, compared with the published rules in numpy."""

import math

import numpy as np
import pytest
import torch
from optimizer_cases import PEAK, adamw_rule, case_config, tiny_bert, update, updated_by_rule, weights

from warmup_lab.config.schema import OptimizerConfig
from warmup_lab.optimizers.registry import build_optimizer


def bert_rule(param, grad, m, v, learning_rate, weight_decay_rate, _step):
    """`AdamWeightDecayOptimizer.apply_gradients` of google-research/bert, optimization.py, line by line."""
    next_m = 0.9 * m + (1.0 - 0.9) * grad
    next_v = 0.999 * v + (1.0 - 0.999) * np.square(grad)
    update = next_m / (np.sqrt(next_v) + 1e-6)
    update += weight_decay_rate * param
    update_with_lr = learning_rate * update
    return param - update_with_lr, next_m, next_v


def gi_rule(param, grad, m, v, learning_rate, weight_decay, step):  # noqa: PLR0913 - as in the paper
    """Adam with v_0 = g_1^2 and both corrections (Kalra & Barkeshli 2024), and AdamW's weight decay."""
    return adamw_rule(param, grad, m, grad**2 if step == 0 else v, learning_rate, weight_decay, step)


@pytest.mark.parametrize(("case", "rule"), [("adamw without bias correction", bert_rule), ("giadam", gi_rule)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 1e-6)])
def test_equals_the_published_rule(case, rule, dtype, tolerance):
    model = tiny_bert().to(dtype)
    expected = updated_by_rule(model, rule, num_steps=20)
    optimizer = build_optimizer(case_config(case), model)
    for step in range(20):
        update(model, optimizer, step)
    for ours, theirs in zip(weights(model), expected, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=tolerance, atol=tolerance)


def test_first_update_without_bias_correction_is_3_16_times_as_large():
    moved = []
    for bias_correction in (True, False):
        layer = torch.nn.Linear(3, 2)
        before = layer.weight.detach().clone()
        options = {"weight_decay": 0.0, "bias_correction": bias_correction}
        optimizer = build_optimizer(OptimizerConfig("adamw", PEAK, options), layer)
        layer(torch.ones(1, 3)).sum().backward()
        optimizer.step()
        moved.append((layer.weight - before).abs().mean().item())
    assert moved == [pytest.approx(PEAK, rel=1e-4), pytest.approx(PEAK * 0.1 / math.sqrt(0.001), rel=1e-4)]


def test_gi_adam_warms_up_by_the_root_of_1_minus_beta2_to_the_t():
    """This is exact for a constant gradient: v stays g^2, and the corrected v is g^2 / (1 - beta2^t)."""
    weight = torch.nn.Parameter(torch.zeros(2, 1, dtype=torch.float64))
    optimizer = build_optimizer(OptimizerConfig("giadam", 1.0, {"weight_decay": 0.0}), torch.nn.ParameterList([weight]))
    moved = []
    for _ in range(100):
        before = weight.detach().clone()
        weight.grad = torch.tensor([[3.0], [-0.5]], dtype=torch.float64)
        optimizer.step()
        moved.append((before - weight.detach()).flatten().tolist())
    expected = [[math.sqrt(1 - 0.999**t), -math.sqrt(1 - 0.999**t)] for t in range(1, 101)]
    np.testing.assert_allclose(moved, expected, rtol=1e-6)
